"""Test the packaged parameters: description, accuracy, and error messages when parameters are missing."""

import csv
import hashlib
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.scripts import ROOT, script
from resattnet.datasets import catalog
from resattnet.experiments import recipes
from resattnet.export import targets
from resattnet.export.export_file import export_file
from resattnet.export.options import ExportOptions
from resattnet.machine.mxnet import mx
from resattnet.prediction.classifier import Classifier
from resattnet.prediction.model_file import load_model
from resattnet.prediction.options import ModelFileOptions
from resattnet.system.errors import InputError
from resattnet.system.files import digest
from resattnet.zoo import packaged, parameters, pretrained
from resattnet.zoo.builders import get_attention_cifar, get_attention_net

NAME, RECIPE = "cifar10_attention56_thin", "thin56-proof"


def logits(net):
    return net(mx.nd.array(np.random.default_rng(0).normal(size=(2, 3, 32, 32)))).asnumpy()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Replace the package's folder with a folder that holds an untrained network for the digits."""
    net = get_attention_cifar(10, 56, "thin", attention_learning="nal")
    net.initialize()
    network = dict(
        num_layers=56, widths="thin", classes=10, attention_learning="nal", attention="mixed", mask="hourglass"
    )
    parameters.save_parameters(
        net, str(tmp_path / "some.params"), dict(network=network, dataset="digits", validation_top1=0.125)
    )
    monkeypatch.setattr(packaged, "FOLDER", str(tmp_path))
    return net, str(tmp_path)


def test_builder_gives_the_parameters(folder):
    net, _ = folder
    again = get_attention_cifar(10, 56, widths="thin", pretrained=True, attention_learning="nal")
    assert (logits(again) == logits(net)).all()
    again = get_attention_cifar(10, 56, "thin", True, [mx.cpu(0), mx.cpu(1)], attention_learning="nal", prefix="a_")
    assert again.output.weight.list_ctx() == [mx.cpu(0), mx.cpu(1)]


@pytest.mark.parametrize(
    "build, wanted",
    [
        (lambda: get_attention_cifar(10, 92, pretrained=True), "get_attention_cifar(10, 92)"),
        (
            lambda: get_attention_cifar(100, 56, "thin", True, attention_learning="nal"),
            "get_attention_cifar(100, 56, widths='thin', attention_learning='nal')",
        ),
        (lambda: get_attention_net(10, 56, pretrained=True), "get_attention_net(10, 56)"),
        (
            lambda: get_attention_cifar(10, 56, "thin", True, attention_learning="nal", stage_strides=(1, 1, 1)),
            "get_attention_cifar(10, 56, widths='thin', attention_learning='nal', stage_strides=(1, 1, 1))",
        ),
    ],
)
def test_a_network_without_parameters_lists_those_that_have(folder, build, wanted):
    with pytest.raises(InputError) as error:
        build()
    assert str(error.value) == (
        f"the package has no trained parameters for {wanted}, only for get_attention_cifar(10, 56, "
        "widths='thin', attention_learning='nal') (digits, top-1 0.1250)"
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "some.json is damaged"),
        ("[]", "some.json is damaged"),
        (None, "some.params has no description beside it"),
        ("{}", "some.params is damaged"),
        ('{"sha256": "%s"}', "does not name the network and the data set"),
        (
            '{"sha256": "%s", "dataset": "digits", "network": {"num_layers": 56, "widths": "thin", "classes": 10}}',
            "lacks validation_top1",
        ),
    ],
)
def test_a_damaged_description_says_where_it_came_from(folder, text, message):
    path = os.path.join(folder[1], "some.json")
    if text is None:
        os.remove(path)
    else:
        with open(path, "w") as handle:
            handle.write(text.replace("%s", digest(os.path.join(folder[1], "some.params"))))
    for act in (
        lambda: get_attention_cifar(10, 56, "thin", pretrained=True),
        lambda: pretrained.describe_pretrained("some"),
    ):
        with pytest.raises(InputError, match=message + ".*it came with the package: install that again") as error:
            act()
        assert "\n" not in str(error.value)


def test_a_run_given_by_its_name_leads_to_its_parameters(folder, tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / "models" / "digits1").mkdir(parents=True)
    (home / "models" / "digits1" / "best.params").write_bytes(b"")
    monkeypatch.chdir(home)
    for name in ("digits1", "digit1"):
        with pytest.raises(InputError, match=name + ": no such parameter file; did you mean models/digits1/best.param"):
            parameters.read_description(name)


def test_a_local_file_does_not_shadow_packaged_parameters(folder, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / "some").write_text("a note")
    monkeypatch.chdir(home)
    again = get_attention_cifar(10, 56, widths="thin", pretrained=True, attention_learning="nal")
    assert (logits(again) == logits(folder[0])).all()


def test_damaged_parameters_say_where_they_came_from(folder):
    with open(os.path.join(folder[1], "some.params"), "r+b") as handle:
        handle.seek(100000)
        handle.write(b"damage")
    with pytest.raises(InputError, match="some.params is damaged.*it came with the package: install that again"):
        get_attention_cifar(10, 56, "thin", pretrained=True, attention_learning="nal")


def test_packaged_names_are_paths_unless_a_file_has_the_name(folder, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "some").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert load_model("some", ModelFileOptions(), [mx.cpu()]).network.attention_learning == "nal"
    with pytest.raises(InputError, match="sone: no such parameter file; did you mean some?"):
        load_model("sone", ModelFileOptions(), [mx.cpu()])
    (elsewhere / "some").rmdir()
    shutil.copy(os.path.join(folder[1], "some.params"), str(elsewhere / "some"))
    assert packaged.resolve_path("some") == "some"
    with pytest.raises(InputError, match="some has no description beside it"):
        load_model("some", ModelFileOptions(), [mx.cpu()])


def test_float16_is_half_the_size_and_nearly_the_same(folder, tmp_path):
    net, path = folder[0], os.path.join(folder[1], "some.params")
    paths, comparison, _ = export_file(path, ExportOptions(to="float16", output=str(tmp_path / "half")))
    assert [os.path.basename(name) for name in paths] == ["half.params", "half.json"]
    assert os.path.getsize(paths[0]) < 0.52 * os.path.getsize(path)
    for name, value in mx.nd.load(paths[0]).items():
        assert value.dtype == (np.float16 if value.ndim > 1 or name == "output.bias" else np.float32)  # Gluon's cast
        assert (value.asnumpy() == net._collect_params_with_prefix()[name].data().asnumpy().astype(value.dtype)).all()
    again = load_model(paths[0], ModelFileOptions(), [mx.cpu()])
    assert again.description["dtype"] == "float16" and again.net.output.weight.data().dtype == np.float32
    assert 0 < comparison.error < 0.01 * comparison.largest


def test_float16_does_not_replace_its_source(folder):
    path = os.path.join(folder[1], "some.params")
    with pytest.raises(InputError, match="some: that would replace .*some.params itself; give another name"):
        export_file(path, ExportOptions(to="float16", output=path[: -len(".params")]))


def test_float16_that_gives_other_logits_leaves_no_file(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(targets.TARGETS, "float16", targets.TARGETS["float16"]._replace(tolerance=1e-9))
    with pytest.raises(RuntimeError, match="half.params was not written: its logits differ from the network's"):
        export_file("some", ExportOptions(to="float16", output=str(tmp_path / "half")))
    assert not [name for name in os.listdir(str(tmp_path)) if name.startswith("half")]


def test_what_float16_cannot_hold(folder, tmp_path):
    net, path = folder[0], str(tmp_path / "large.params")
    net.output.bias.set_data(mx.nd.full((10,), 7e4))
    parameters.save_parameters(net, path, parameters.read_description(os.path.join(folder[1], "some.params")))
    with pytest.raises(InputError, match="to=float16: a parameter exceeds 65504"):
        export_file(path, ExportOptions(to="float16"))


# The packaged parameters


def test_a_run_matches_its_recipe():
    told, recipe = pretrained.describe_pretrained(NAME), recipes.find_recipe(RECIPE, recipes.read_recipes(recipes.PATH))
    given = recipes.read_options(recipe)
    assert told["run"] == RECIPE and told["dataset"] == given.dataset
    assert {name: told["network"][name] for name in ("num_layers", "widths")} == {
        name: getattr(given, name) for name in ("num_layers", "widths")
    }
    last, best = recipe.ours.split(", best ")
    with open(os.path.join(ROOT, "data", RECIPE + ".csv"), newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == given.epochs
    errors = {int(row["epoch"]): f"{100 - 100 * float(row['validation_top1']):.2f}" for row in rows}
    assert errors[told["epoch"]] == f"{100 - 100 * told['validation_top1']:.2f}" == last
    assert min(errors.values(), key=float) == best
    assert told["validation_top1"] >= 0.9


def test_it_reaches_its_accuracy_on_real_images(cifar10_dir):
    """Top-1 on the first 2,000 test images is within three standard errors of top-1 on all 10,000 test images.

    The top-1 of all 10,000 was measured on a JPEG re-encoding. On the first 2,000 images of the re-encoding, 1,824
    predictions are correct. The two highest logits of each image differ by at least 0.01, so rounding on another CPU
    changes no class.
    """
    test_set, share = (
        catalog.load_images("cifar10", cifar10_dir, "test"),
        pretrained.describe_pretrained(NAME)["validation_top1"],
    )
    images = test_set.images[:2000]
    found = Classifier.load(NAME).predict(images, top=1)
    hits = np.array([prediction.labels[0] for prediction in found]) == test_set.labels[:2000]
    assert abs(hits.mean() - share) < 3 * np.sqrt(share * (1 - share) / 2000)
    if hashlib.sha256(images.tobytes()).hexdigest().startswith("02fb37e2633d2724"):
        assert hits.sum() == 1824


@pytest.mark.isa
def test_builder_and_classifier_have_the_same_network():
    builder = get_attention_cifar(10, 56, widths="thin", pretrained=True)
    np.testing.assert_allclose(logits(builder), logits(Classifier.load(NAME).net), rtol=1e-4, atol=1e-4)
    assert parameters.read_description(packaged.resolve_path(NAME))["dtype"] == "float16"


def test_scripts_take_its_name(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(image).save(str(tmp_path / "noise.png"))
    done = script("predict.py", "--params", NAME, "noise.png", "--top", 1, "--num-gpus", 0, cwd=str(tmp_path))
    assert done.returncode == 0 and "noise.png" in done.stdout, done.stderr
