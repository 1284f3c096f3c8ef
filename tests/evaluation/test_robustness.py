"""Test top-1 under corruptions against a loop, for a function, a parameter file and the script, and the table."""

import json

import numpy as np
import pytest
from PIL import Image

from helpers.in_process import script_here
from helpers.scripts import refused, script
from resattnet.data.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from resattnet.datasets import catalog, record_writer
from resattnet.evaluation.evaluate import evaluate_file
from resattnet.evaluation.open_network import open_model
from resattnet.evaluation.options import TestOptions
from resattnet.evaluation.robustness import measure_robustness, model_robustness
from resattnet.evaluation.tables import mean_robustness_table, robustness_table
from resattnet.machine.mxnet import mx
from resattnet.prediction.model_images import read_images
from resattnet.zoo import parameters
from resattnet.zoo.builders import get_attention_cifar


@pytest.fixture(scope="module")
def digits():
    return catalog.load_images("digits", None, "test")


@pytest.fixture(scope="module")
def linear():
    """Return a least-squares linear classifier of the digits, which maps images to logits."""
    train_set = catalog.load_images("digits", None, "train")

    def features(images):
        return np.concatenate([images.reshape(len(images), -1) / 255, np.ones((len(images), 1))], axis=1)

    x, targets = features(train_set.images[..., :1]), np.eye(10)[train_set.labels]
    weights = np.linalg.solve(x.T @ x + 1e-3 * np.eye(x.shape[1]), x.T @ targets)
    return lambda images: features(images[..., :1]) @ weights


@pytest.mark.parametrize("batch_size", [7, 100, 1000])
def test_against_a_loop(batch_size, digits, linear):
    images, labels = digits.images[:90], digits.labels[:90]
    before = images.copy()
    result = measure_robustness(linear, images, labels, ("impulse", "blur"), batch_size, seed=4)
    assert json.loads(json.dumps(result)) == result and (images == before).all()
    assert result["images"] == 90 and result["clean"] == (linear(images).argmax(1) == labels).mean()
    assert list(result["top1"]) == ["impulse", "blur"]
    values = []
    for name in ("impulse", "blur"):
        for strength in STRENGTHS:
            logits = np.concatenate(
                [linear(corrupt(images[row : row + 1], name, strength, 4, row)) for row in range(90)]
            )
            hits = [order[0] == label for order, label in zip(np.argsort(-logits, axis=1), labels)]
            values.append(sum(hits) / 90)
    assert sum(result["top1"].values(), []) == values and result["mean"] == pytest.approx(sum(values) / 10)


def test_noise_costs_accuracy(digits, linear):
    result = measure_robustness(linear, digits.images, digits.labels)
    assert list(result["top1"]) == list(CORRUPTIONS) and result["clean"] > 0.8
    assert result["top1"]["noise"][4] < result["clean"] - 0.1 and result["top1"]["impulse"][4] < result["clean"] - 0.1


def test_no_bar_where_there_is_no_terminal(digits, linear, capfd):
    measure_robustness(linear, digits.images[:20], digits.labels[:20], ("noise",))
    assert capfd.readouterr() == ("", "")


def test_the_table():
    result = dict(images=50, clean=0.75, mean=0.4, top1=dict(noise=[0.5, 0.4, 0.3, 0.2, 0.1], pixelate=[0.5] * 5))
    assert robustness_table(result).splitlines() == [
        "clean top-1 0.7500 of 50 test images; corrupted, by strength:",
        "corruption       1       2       3       4       5    mean",
        "noise       0.5000  0.4000  0.3000  0.2000  0.1000  0.3000",
        "pixelate    0.5000  0.5000  0.5000  0.5000  0.5000  0.5000",
        "mean        0.5000  0.4500  0.4000  0.3500  0.3000  0.4000",
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Return a parameter file for the digits, with initial features and an output layer fitted to the features."""
    train_set, facts = catalog.load_images("digits", None, "train"), catalog.describe_data("digits")
    mx.random.seed(0)
    net, path = get_attention_cifar(10, 56, "tiny"), str(tmp_path_factory.mktemp("net") / "net.params")
    net.initialize(mx.init.Xavier())
    x = (train_set.images[:300].transpose(0, 3, 1, 2) / 255 - facts.mean[0]) / facts.std[0]
    features = net.features(mx.nd.array(x)).asnumpy().reshape(300, -1)
    features = np.concatenate([features, np.ones((300, 1))], axis=1)
    scale = np.square(features).mean()
    weights = np.linalg.solve(
        features.T @ features + 0.1 * scale * np.eye(features.shape[1]), features.T @ np.eye(10)[train_set.labels[:300]]
    )
    net.output.weight.set_data(mx.nd.array(weights[:-1].T))
    net.output.bias.set_data(mx.nd.array(weights[-1]))
    parameters.save_parameters(
        net,
        path,
        dict(
            network=dict(num_layers=56, widths="tiny", classes=10, attention_learning="arl"),
            dataset="digits",
            data_format="bin",
            data_dir="data",
        ),
    )
    return path


@pytest.fixture
def few_test_images(monkeypatch):
    """Use 70 test images."""
    load = catalog.load_images

    def load_few(name, data_dir, split, **kwargs):
        whole = load(name, data_dir, split, **kwargs)
        count = 70 if split == "test" else None
        return whole._replace(images=whole.images[:count], labels=whole.labels[:count])

    monkeypatch.setattr(catalog, "load_images", load_few)


def measured(path, options):
    model = open_model(path, options)
    return model_robustness(model, read_images(model, "test"), options)


@pytest.mark.isa
@pytest.mark.parametrize("graph", ["plain", "fused", "int8"])
def test_a_parameter_file_with_each_graph(graph, path, few_test_images):
    options = TestOptions(
        num_gpus=0,
        graph=graph,
        corruptions="contrast",
        corruption_images=60,
        batch_size=60,
        calibration_images=32 if graph == "int8" else None,
    )
    result = measured(path, options)
    whole = evaluate_file(path, options)
    assert result["images"] == 60 and result["clean"] > 0.4 and whole.robustness == result
    assert result["clean"] == (whole.evaluation.logits[:60].argmax(axis=1) == whole.test_set.labels[:60]).mean()
    assert result["top1"]["contrast"][4] < result["clean"] - 0.1


def test_records_give_the_same(path, digits, tmp_path):
    few = digits._replace(images=digits.images[:20], labels=digits.labels[:20])
    facts = catalog.describe_data("digits")
    record_writer.write_records(
        str(tmp_path), "mine", {"train": few, "test": few}, "mine", facts.mean, facts.std, False
    )
    known = dict(num_gpus=0, corruptions="noise", batch_size=20)
    expected = measured(path, TestOptions(corruption_images=20, **known))
    assert expected == measured(path, TestOptions(dataset="mine", data_format="rec", data_dir=str(tmp_path), **known))


def test_the_script(path, few_test_images, tmp_path):
    given = ["--params", path, "--num-gpus", 0, "--corruptions", "noise,brightness", "--corruption-images", 20]
    done = script("cifar10_test.py", *given)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    result = measured(path, TestOptions(num_gpus=0, corruptions="noise,brightness", corruption_images=20))
    assert result["images"] == 20
    assert done.stdout.splitlines()[-5:] == robustness_table(result).splitlines()
    more = ("--output", tmp_path / "out", "--format", "json")
    done = script_here("cifar10_test.py", "--params", path, *given[1:], *more)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert [each["robustness"] for each in json.loads(done.stdout)["evaluations"]] == [result, result]
    with Image.open(str(next((tmp_path / "out").glob("2_*")) / "corruptions.png")) as image:
        assert image.size[0] > 2 * 6 * 32 and image.size[1] > 10 * 32


def test_several_files_have_a_line_each():
    result = {"images": 20, "clean": 0.5, "top1": {"noise": [0.4, 0.4, 0.3, 0.2, 0.2], "jpeg": [0.5] * 5}, "mean": 0.4}
    assert mean_robustness_table(["a", "b"], [result, dict(result, clean=0.6)]).splitlines() == [
        "top-1 of 20 test images under corruptions, mean of five strengths",
        "file   clean   noise    jpeg    mean",
        "a     0.5000  0.3000  0.5000  0.4000",
        "b     0.6000  0.3000  0.5000  0.4000",
    ]


@pytest.mark.parametrize(
    "args, message",
    [
        ("--corruptions nois", "--corruptions nois: no such corruption; did you mean noise?"),
        ("--corruption-images 9", "--corruption-images 9 has no effect without --corruptions"),
        ("--corruptions 0 --corruption-images 9", "--corruption-images 9 has no effect without --corruptions"),
        ("--corruptions 1 --ensemble 1", "--ensemble 1 --corruptions 1: corruptions are measured of single files only"),
        ("--corruptions 1 --corruption-images 0", "--corruption-images 0: give a number at least 1"),
    ],
)
def test_bad_input_is_one_line(args, message, path):
    assert message in refused(script_here("cifar10_test.py", "--params", path, "--num-gpus", 0, *args.split()))
