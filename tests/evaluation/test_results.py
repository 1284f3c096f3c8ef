"""Test results of parameter files: figures against other computations, files against printed output, and errors."""

import json
import os
import runpy
import sys

import numpy as np
import pytest
from PIL import Image

from helpers.scripts import ROOT
from resattnet.data.image_set import ImageSet
from resattnet.datasets import record_writer
from resattnet.evaluation import results_json, tables
from resattnet.evaluation.evaluate import evaluate_files
from resattnet.evaluation.metrics import Evaluation, compute_reliability
from resattnet.evaluation.open_network import open_model
from resattnet.evaluation.options import TestOptions as Testing
from resattnet.evaluation.results import ModelResult, compare_with_first
from resattnet.evaluation.results_json import result_to_json, results_to_json
from resattnet.machine.mxnet import mx
from resattnet.models import spec
from resattnet.reports import evaluation_figures, figure_style, image_grids
from resattnet.reports.evaluation_files import write_results
from resattnet.system import files
from resattnet.zoo import parameters
from resattnet.zoo.builders import get_attention_cifar

SCRIPT = os.path.join(ROOT, "scripts", "cifar10_test.py")
CLASSES = ("ant", "bee", "crocodile", "dog")


def save(path, images, **facts):
    """Save a random network whose predictions on the images cover all classes."""
    classes = facts.pop("classes", 4)
    net = get_attention_cifar(classes, 56, "thin")
    net.initialize()
    net.output.weight.set_data(net.output.weight.data() * 3 / net(images).asnumpy().std(axis=0).mean())
    net.output.bias.set_data(mx.nd.array(-net(images).asnumpy().mean(axis=0)))
    path.parent.mkdir()
    parameters.save_parameters(
        net,
        str(path),
        dict(facts, network=dict(num_layers=56, widths="thin", classes=classes, attention_learning="arl")),
    )
    return net


def write_noise(folder, seed, classes):
    rng = np.random.default_rng(seed)
    sets = {
        split: ImageSet(
            rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8),
            rng.integers(0, len(classes), 40).astype(np.int32),
            classes,
        )
        for split in ("train", "test")
    }
    folder.mkdir()
    record_writer.write_records(str(folder), "noise", sets, "noise", (0.5,) * 3, (0.25,) * 3, True)
    return sets["test"]


class Home:
    """Folder with five networks.

    Two networks share one noise data set. One has fewer classes. One has other images under the same data set name.
    One is for the digits.
    """

    def __init__(self, folder):
        self.folder, self.test_set = folder, write_noise(folder / "data", 0, CLASSES)
        write_noise(folder / "three", 1, CLASSES[:3])
        write_noise(folder / "others", 2, CLASSES)
        self.images = (self.test_set.images.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.25
        noise = dict(dataset="noise", data_format="rec")
        self.nets = []
        for name, facts in (
            ("a", dict(noise, data_dir=str(folder / "data"))),
            ("b", dict(noise, data_dir=str(folder / "data"))),
            ("three", dict(noise, data_dir=str(folder / "three"), classes=3)),
            ("others", dict(noise, data_dir=str(folder / "others"))),
            ("digits", dict(dataset="digits", classes=10)),
        ):
            (folder / name).mkdir(exist_ok=True) if name not in ("three", "others") else None
            self.nets.append(save(folder / name / "run" / "best.params", mx.nd.array(self.images), **facts))

    def path(self, name):
        return str(self.folder / name / "run" / "best.params")

    def shares(self, net, images=None):
        """Compute the probabilities of the saved network in NumPy."""
        exponents = np.exp(net(mx.nd.array(self.images if images is None else images)).asnumpy().astype(float))
        return exponents / exponents.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(spec.CIFAR_WIDTHS, "thin", spec.Widths(8, (16, 16, 16), 16))
        patch.setitem(spec.attention_net_spec, 56, spec.attention_net_spec[56]._replace(modules=(0, 1, 0)))
        mx.random.seed(3)
        yield Home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def call(monkeypatch, capsys, home):
    """Run the script in this process. Return its output, or the one-line message of an error."""

    def run(*args, code=0):
        monkeypatch.setattr(sys, "argv", [SCRIPT] + [str(arg) for arg in args] + ["--num-gpus", "0"])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(SCRIPT, run_name="__main__")
        out, err = capsys.readouterr()
        assert (left.value.code or 0) == code, err
        assert err.count("\n") == (code == 2) and not (code and out)
        return err if code else out

    return run


def test_figures_of_one_file_by_numpy(home, call):
    shares, labels = home.shares(home.nets[0]), home.test_set.labels
    predicted = shares.argmax(axis=1)
    assert len(set(predicted)) > 2
    found = json.loads(call("--params", home.path("a"), "--format", "json", "--hardest", 7))
    losses = -np.log(shares[np.arange(40), labels])
    assert found["samples"] == 40 and found["top1"] == (predicted == labels).mean() and found["top5"] == 1
    assert found["loss"] == pytest.approx(losses.mean(), rel=1e-4)
    for label, row in enumerate(found["classes"]):
        true, named = labels == label, predicted == label
        both = (true & named).sum()
        assert (row["name"], row["images"]) == (CLASSES[label], true.sum())
        assert row["precision"] == (pytest.approx(both / named.sum()) if named.any() else None)
        assert row["recall"] == pytest.approx(both / true.sum())
        assert row["f1"] == pytest.approx(2 * both / (true.sum() + named.sum()))
        counts = [(true & (predicted == other)).sum() * (other != label) for other in range(4)]
        most = int(np.argmax(counts))
        assert row["taken_for"] == {"label": most, "class": CLASSES[most], "images": counts[most]}
        assert found["confusion"][label] == [(true & (predicted == other)).sum() for other in range(4)]
    for name in ("precision", "recall", "f1"):
        values = [row[name] for row in found["classes"] if row[name] is not None]
        assert found["macro"][name] == pytest.approx(sum(values) / len(values))
    assert found["macro"]["without_images"] == []
    order = [index for index in np.argsort(-losses).tolist() if predicted[index] != labels[index]]
    assert [row["index"] for row in found["hardest"]] == order[:7]
    args = "--format", "json", "--hardest", 40, "--hardest-of", "all"
    everything = json.loads(call("--params", home.path("a"), *args))["hardest"]
    assert [row["index"] for row in everything] == np.argsort(-losses).tolist()
    assert [row["right"] for row in everything] == (predicted == labels)[np.argsort(-losses)].tolist()
    assert not any(row["right"] for row in found["hardest"])
    for row in found["hardest"]:
        assert (row["label"], row["predicted"]) == (labels[row["index"]], predicted[row["index"]])
        assert row["loss"] == pytest.approx(losses[row["index"]], rel=1e-4)
        assert row["probability"] == pytest.approx(shares[row["index"]].max(), rel=1e-4)
    gap = sum(
        row["images"] / 40 * abs(row["confidence"] - row["accuracy"]) for row in found["reliability"] if row["images"]
    )
    assert found["ece"] == pytest.approx(gap) and sum(row["images"] for row in found["reliability"]) == 40
    assert [row["accuracy"] is None for row in found["reliability"]] == [
        not row["images"] for row in found["reliability"]
    ]
    assert found["params"] == home.path("a") and found["sha256"] == files.digest(home.path("a"))
    assert (found["dataset"], found["data_format"], found["graph"]) == ("noise", "rec", "plain")
    assert found["network"]["num_layers"] == 56 and found["network"]["classes"] == 4 and found["mirrored"] is None


def test_text_and_files_say_the_same(home, call, tmp_path):
    text = call("--params", home.path("a"), "--output", tmp_path / "new" / "out", "--hardest", 5)
    with open(str(tmp_path / "new" / "out" / "evaluation.json")) as handle:
        written = handle.read()
    assert call("--params", home.path("a"), "--format", "json", "--hardest", 5) == written + "\n"
    found, lines = json.loads(written), text.splitlines()
    assert lines[0] == f"{home.path('a')}: 40 test images"
    assert lines[1] == "top-1 {:.4f}  top-5 {:.4f}  loss {:.4f}  ECE {:.4f}".format(
        *tuple(found[name] for name in ("top1", "top5", "loss", "ece"))
    )
    for line, row in zip(lines[4:8], found["classes"]):
        assert line.split() == [row["name"], str(row["images"])] + [
            "-" if row[name] is None else f"{row[name]:.4f}" for name in ("precision", "recall", "f1")
        ] + [row["taken_for"]["class"], f"({row['taken_for']['images']})"]
    assert lines[8].split() == ["mean", "40"] + [
        f"{found['macro'][name]:.4f}" for name in ("precision", "recall", "f1")
    ]
    start = lines.index([line for line in lines if line.startswith("confusion matrix")][0])
    assert lines[start + 1].split() == ["ant", "bee", "crocod", "dog"]
    for line, name, row in zip(lines[start + 2 : start + 6], CLASSES, found["confusion"]):
        assert line.split() == [name] + [str(count or ".") for count in row]
    names = ["confusion.png", "evaluation.json", "hardest.png", "reliability.png"]
    assert sorted(os.listdir(str(tmp_path / "new" / "out"))) == names and all(name in lines[-1] for name in names)
    for name in names:
        if name.endswith(".png"):
            with Image.open(str(tmp_path / "new" / "out" / name)) as picture:
                assert picture.format == "PNG" and min(picture.size) > 200
                assert len(np.unique(np.asarray(picture))) > 20


@pytest.mark.parametrize("which", ["mistakes", "all"])
def test_the_hardest_sheet_has_those_images(which, home, monkeypatch, tmp_path):
    """Each image says whether it is right or wrong, in words and by the colour of its frame."""
    drawn = []
    monkeypatch.setattr(image_grids, "image_sheet", lambda *args: drawn.append(args))
    monkeypatch.setattr(figure_style, "save", lambda figure, path: None)
    found = evaluate_files([home.path("a")], Testing(num_gpus=0))
    document = results_to_json(found, 38, which)
    write_results(found, document, str(tmp_path), 38, which)
    rows = document["hardest"]
    ((images, captions, title, frames),) = drawn
    mistakes = int((~found[0].evaluation.right).sum())
    assert len(rows) == len(images) == len(captions) == len(frames) == (38 if which == "all" else mistakes)
    assert 38 > mistakes and title.startswith(
        f"The {len(rows)} {'images' if which == 'all' else 'mistakes'} with the highest loss of run/best.params\n"
        "on 40 test images of noise\n"
    )
    for row, image, caption, frame in zip(rows, images, captions, frames):
        assert (image == home.test_set.images[row["index"]]).all()
        assert caption == (
            f"true: {CLASSES[row['label']]}\npredicted: {CLASSES[row['predicted']]} {row['probability']:.2f}\n"
            + ("right" if row["label"] == row["predicted"] else "wrong")
        )
        assert frame == (figure_style.RIGHT if row["right"] else figure_style.WRONG)
    assert any(row["right"] for row in rows) == (which == "all")


def test_each_figure_of_an_evaluation_has_a_title(home, monkeypatch, tmp_path):
    figures = {}
    monkeypatch.setattr(figure_style, "save", lambda figure, path: figures.update({os.path.basename(path): figure}))
    found = evaluate_files([home.path("a")], Testing(num_gpus=0, corruptions="noise", corruption_images=9))
    write_results(found, results_to_json(found), str(tmp_path))
    titles = {name: figure._suptitle.get_text() for name, figure in figures.items()}
    assert sorted(titles) == ["confusion.png", "corruptions.png", "hardest.png", "reliability.png"]
    for name in ("confusion.png", "hardest.png", "reliability.png"):
        assert "run/best.params\non 40 test images of noise" in titles[name]
    assert f"top-1 accuracy {found[0].evaluation.top1:.4f}" in titles["confusion.png"]
    assert titles["corruptions.png"] == "Corrupted test images of noise, at strengths 1 to 5"


def test_a_sheet_without_mistakes_says_so(home, monkeypatch, tmp_path):
    found = of_classes(3)
    perfect = Evaluation(np.eye(3, dtype=np.float32)[found.evaluation.labels], found.evaluation.labels)
    perfect = ModelResult("a/x.params", {"dataset": "x", "params": "a/x.params"}, perfect, found.test_set)
    figures = {}
    monkeypatch.setattr(figure_style, "save", lambda figure, path: figures.update({os.path.basename(path): figure}))
    write_results([perfect], result_to_json(perfect), str(tmp_path))
    assert figures["hardest.png"]._suptitle.get_text() == "No mistakes of a/x.params\non 300 test images of x"


def test_several_files_and_their_ensemble_by_numpy(home, call, tmp_path):
    paths, labels = [home.path("a"), home.path("b")], home.test_set.labels
    text = call("--params", *paths, "--ensemble", 1, "--flip", 1, "--output", tmp_path)
    with open(str(tmp_path / "comparison.json")) as handle:
        written = handle.read()
    assert call("--params", *paths, "--ensemble", 1, "--flip", 1, "--format", "json") == written + "\n"
    found = json.loads(written)
    plain, mirrored = (
        [home.shares(net, images) for net in home.nets[:2]] for images in (home.images, home.images[..., ::-1])
    )
    for row, one, two in zip(found["evaluations"], plain + [sum(plain) / 2], mirrored + [sum(mirrored) / 2]):
        for figures_, shares in ((row, one), (row["mirrored"], (one + two) / 2)):
            assert figures_["top1"] == (shares.argmax(axis=1) == labels).mean()
            assert figures_["loss"] == pytest.approx(-np.log(shares[np.arange(40), labels]).mean(), rel=1e-4)
            right = shares.argmax(axis=1) == labels
            assert figures_["ece"] == pytest.approx(compute_reliability(shares.max(axis=1), right).error, rel=1e-3)
    first, second, together = (shares.argmax(axis=1) == labels for shares in plain + [sum(plain) / 2])
    assert [(row["only_first"], row["only_second"]) for row in found["comparisons"]] == [
        ((first & ~other).sum(), (other & ~first).sum()) for other in (second, together)
    ]
    assert found["evaluations"][2]["params"] == found["comparisons"][1]["second"] == paths
    assert [row["params"] for row in found["evaluations"][:2]] == paths
    assert sorted(os.listdir(str(tmp_path))) == ["1_run_best", "2_run_best", "comparison.json", "ensemble"]
    for name, row in zip(("1_run_best", "2_run_best", "ensemble"), found["evaluations"]):
        assert len(os.listdir(str(tmp_path / name))) == 4
        with open(str(tmp_path / name / "evaluation.json")) as handle:
            assert json.load(handle) == row
    lines = text.splitlines()
    names, figures_ = paths + ["ensemble of 2"], ("top1", "top5", "loss", "ece")
    assert lines[0] == "40 test images of noise"
    for place, name, row in zip(range(3), names, found["evaluations"]):
        assert lines[3 + place].split() == name.split() + [f"{row[key]:.4f}" for key in figures_]
        assert lines[9 + place].split() == name.split() + [f"{row['mirrored'][key]:.4f}" for key in figures_]
    assert lines[7].startswith("with mirrored images") and lines[13].startswith(f"against {paths[0]}")
    for line, name, row in zip(lines[15:17], names[1:], found["comparisons"]):
        assert line.split() == name.split() + [str(row["only_second"]), str(row["only_first"]), f"{row['p']:.3g}"]


def test_the_json_of_a_file_is_made_once(home, call, monkeypatch, tmp_path):
    made, make = [], results_json.result_to_json
    monkeypatch.setattr(results_json, "result_to_json", lambda *args: made.append(args) or make(*args))
    call("--params", home.path("a"), home.path("b"), "--output", tmp_path, "--format", "json")
    assert len(made) == 2


def test_an_ensemble_of_a_network_with_itself_equals_it(home):
    alone, again, both = evaluate_files([home.path("a")] * 2, Testing(num_gpus=0, ensemble=True))
    assert compare_with_first([alone, again, both]) == [(0, 0, 1.0)] * 2
    alone, both = alone.evaluation, both.evaluation
    assert both.top1 == alone.top1 and (both.predicted == alone.predicted).all()
    assert both.losses == pytest.approx(alone.losses)
    assert both.reliability.error == pytest.approx(alone.reliability.error)


def test_other_graphs_of_several_files(home):
    plain = evaluate_files([home.path("a"), home.path("b")], Testing(num_gpus=0))
    other = evaluate_files([home.path("a"), home.path("b")], Testing(num_gpus=0, graph="fused"))
    for one, two in zip(plain, other):
        assert two.evaluation.loss == pytest.approx(one.evaluation.loss, rel=1e-3)
        assert (one.facts["graph"], two.facts["graph"]) == ("plain", "fused")


def of_classes(count):
    """Return a result with random logits of `count` classes. The last class has no sample and no prediction."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(300, count)).astype(np.float32)
    logits[:, -1] -= 99
    test_set = ImageSet(
        np.zeros((300, 4, 4, 3), np.uint8),
        rng.integers(0, count - 1, 300).astype(np.int32),
        tuple(f"class{number}" for number in range(count)),
    )
    return ModelResult("x.params", {"dataset": "x"}, Evaluation(logits, test_set.labels), test_set)


def test_class_without_images():
    """Figures that are not defined are None, "-" in the table, and left out of the means, which say so."""
    result = of_classes(5)
    *rows, row = result.class_scores
    assert row == {"name": "class4", "images": 0, "precision": None, "recall": None, "f1": None, "taken_for": None}
    for name in ("precision", "recall", "f1"):
        assert result.macro[name] == pytest.approx(np.mean([row[name] for row in rows]))
    assert result.macro["without_images"] == result.macro["never_predicted"] == ["class4"]
    *_, last, means, no_images, no_predictions = tables.class_table(result).splitlines()
    assert last.split() == ["class4", "0"] + ["-"] * 4
    assert means.split() == ["mean", "300"] + [f"{result.macro[name]:.4f}" for name in ("precision", "recall", "f1")]
    assert no_images == "left out of the mean recall and F1: classes without test images (class4)"
    assert no_predictions == "left out of the mean precision: classes never predicted (class4)"
    document = result_to_json(result)
    assert document["classes"][-1]["recall"] is None and document["macro"] == result.macro
    (axes,) = evaluation_figures.confusion_matrix(result.evaluation.confusion, result.classes).axes
    assert [text.get_text() for text in axes.get_yticklabels()][-2:] == ["class3", "class4 (no images)"]


def test_a_class_that_is_predicted_but_has_no_images_has_a_precision():
    """The precision is 0: each prediction of the class is wrong. A class that is never predicted has a recall of 0."""
    labels = np.array([0, 0, 1])
    test_set = ImageSet(np.zeros((3, 4, 4, 3), np.uint8), labels.astype(np.int32), ("a", "b", "c"))
    result = ModelResult("x", {"dataset": "x"}, Evaluation(np.eye(3)[[0, 2, 0]], labels), test_set)
    figures = [tuple(row[name] for name in ("precision", "recall", "f1")) for row in result.class_scores]
    assert figures == [(0.5, 0.5, 0.5), (None, 0.0, 0.0), (0.0, None, None)]
    assert [result.macro[name] for name in ("precision", "recall", "f1")] == [0.25, 0.25, 0.25]


def test_many_classes_without_images_are_counted():
    text = tables.class_table(of_classes(3))
    assert "(class2)" in text
    assert tables._some([f"c{number}" for number in range(9)]) == "c0, c1, c2, c3, c4 and 4 more"


def test_the_matrix_of_many_classes_is_in_the_files_only():
    lines = tables.results_text([of_classes(100)]).splitlines()
    assert (
        lines[-1].startswith("confusion matrix of 100 classes: only in the files") and len(lines) == 2 + 1 + 101 + 3 + 2
    )
    assert max(map(len, tables.results_text([of_classes(10)]).splitlines())) <= 100


def test_a_network_of_nan_gives_json_without_it():
    test_set = of_classes(3).test_set
    evaluation = Evaluation(np.full((300, 3), np.nan, np.float32), test_set.labels)
    value = result_to_json(ModelResult("x", {"dataset": "x"}, evaluation, test_set))
    json.dumps(value, allow_nan=False)
    assert value["loss"] is value["ece"] is value["hardest"][0]["probability"] is None


def test_several_cpu_devices_measure_as_one(home, call, monkeypatch):
    monkeypatch.setenv("MXNET_CPU_TEMP_COPY", "8")  # the script sets this variable if unset
    args = "--params", home.path("a"), "--format", "json", "--batch-size", 7  # 40 images: the last batch is smaller
    one, three = (json.loads(call(*args, "--num-cpus", devices)) for devices in (1, 3))
    devices = open_model(home.path("a"), Testing(num_gpus=0, num_cpus=3)).devices
    assert devices == [mx.cpu(index) for index in range(3)]
    assert three["confusion"] == one["confusion"] and three["loss"] == pytest.approx(one["loss"], rel=1e-5)


@pytest.mark.parametrize(
    "names, args, message",
    [
        ("a", "--ensemble 1", "--ensemble 1: an ensemble needs several files; give --params more than one"),
        (
            "a",
            "--hardest 3",
            "--hardest 3 has no effect without --output or --format json: the images go to files or JSON",
        ),
        ("a", "--hardest-of all", "--hardest-of all has no effect without --output or --format json: the images go to"),
        ("a", "--hardest-of right --format json", "--hardest-of right: choose from mistakes, all"),
        ("a", "--hardest 0 --format json", "--hardest 0: give a number at least 1"),
        (
            "a",
            "--graph fused --num-cpus 2",
            "--graph fused --num-cpus 2: this graph runs on one device; give one of them",
        ),
        ("a", "--num-cpus 0", "--num-cpus 0: give a number at least 1"),
        ("a", "--format csv", "--format csv: choose from text, json"),
        ("a", "--output {home}/a/run/best.params", "best.params: that is a file; give a folder"),
        ("a", "--output {home}/a/run/best.params/x", "best.params/x cannot be made (Not a directory)"),
        ("a none", "", "none/run/best.params: no such parameter file"),
        ("a three", "", "a/run/best.params is of noise with 4 classes, {home}/three/run/best.params of noise with 3;"),
        (
            "a digits",
            "",
            "a/run/best.params is of noise with 4 classes, {home}/digits/run/best.params of digits with 10;",
        ),
        (
            "a others",
            "",
            "others/run/best.params have different test images under the same data set name; give one --data-dir",
        ),
        ("digits digits", "--flip 1", "--flip 1: a mirrored image of digits does not show its class"),
    ],
)
def test_refused_images(names, args, message, home, call):
    args = [arg.format(home=home.folder) for arg in args.split()]
    line = call("--params", *map(home.path, names.split()), *args, code=2)
    assert message.format(home=home.folder) in line
