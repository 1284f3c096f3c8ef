"""Test the reports of runs.

The numbers must match the logs, the states and the images. Names and arguments must appear as text, not as markup.
Missing data must be reported.
"""

import collections
import csv
import dataclasses
import html.parser
import io
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from helpers import small_digits
from helpers.in_process import script_here
from helpers.networks import change_description
from helpers.scripts import ROOT
from resattnet.commands.training_run import train
from resattnet.datasets import catalog
from resattnet.machine.mxnet import mx
from resattnet.models import spec
from resattnet.reports import curves, evaluation_figures, figure_style, image_grids, report_page, run_report
from resattnet.reports.options import ReportOptions
from resattnet.run_options.options import TrainingOptions
from resattnet.runs import history, states
from resattnet.runs.progress import Progress
from resattnet.system.errors import InputError
from resattnet.zoo.builders import get_attention_cifar

ODD = '<b> & "q" $x$'
VOID = ("meta", "br", "img")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Train two runs of different lengths and arguments on 50 digits. The second run is resumed."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        small_digits.use(patch, 50, 50)
        patch.setitem(spec.CIFAR_WIDTHS, "thin", spec.Widths(8, (16, 16, 16), 16))
        patch.setitem(spec.attention_net_spec, 56, spec.attention_net_spec[56]._replace(modules=(0, 1, 0)))
        common = dict(
            dataset="digits",
            widths="thin",
            batch_size=25,
            warmup_epochs=0,
            num_gpus=0,
            log_dir=str(folder / "log"),
            model_dir=str(folder / "models"),
        )
        train(TrainingOptions(name="plain", epochs=2, **common))
        train(TrainingOptions(name=ODD, epochs=1, lr=0.05, **common))
        state = states.load_state(str(folder / "models" / ODD))
        train(TrainingOptions(**dict(state.options, epochs=3, mix_up=True)), state)
        yield folder


@pytest.fixture
def copied(home, tmp_path):
    """Copy the runs so that a test can damage the copy. The states still name the original folders."""
    shutil.copytree(str(home), str(tmp_path / "home"))
    return tmp_path / "home"


def options_for(home, **changes):
    return ReportOptions(**dict(dict(log_dir=str(home / "log"), model_dir=str(home / "models"), num_gpus=0), **changes))


@pytest.fixture(scope="module")
def records(home):
    return run_report.collect(["plain", ODD], options_for(home))


def made_up(label="run", **changes):
    """Return a record of a run with one epoch and no files."""
    row = dict.fromkeys(history.FIGURES, 0.5)
    return run_report.ReportedRun(label, None, [dict(row, epoch=1)], None, [])._replace(**changes)


class Reader(html.parser.HTMLParser):
    """Parser that checks that elements are closed in order, and keeps the elements, their attributes and their text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


# ---- collecting runs ----


def test_figures_are_those_of_csv_and_state(home, records):
    changed = ["until step 2 it had --epochs 1, --mix-up 0"]
    for record, epochs, remarks in zip(records, (2, 3), ([], changed)):
        name = os.path.basename(record.folder)
        with open(str(home / "log" / "csv" / (name + ".csv")), newline="") as handle:
            head, *rows = csv.reader(handle)
        assert len(record.rows) == len(rows) == epochs
        for row, cells in zip(record.rows, rows):
            assert row == {key: float(cell) for key, cell in zip(head, cells) if cell}
        state = states.load_state(record.folder)
        assert record.rows == state.progress["history"] and record.options == state.options
        best = state.progress["best"]
        assert (record.best["epoch"], record.best["validation_top1"]) == (best["epoch"], best["top1"])
        assert record.last["epoch"] == epochs and record.remarks == remarks
        seconds = [float(cells[head.index("seconds")]) for cells in rows]
        assert record.seconds(record.last) == pytest.approx(sum(seconds))
        assert record.seconds(record.rows[0]) == seconds[0]


def test_best_is_the_first_of_equal_ones():
    rows = [
        dict(made_up().rows[0], epoch=epoch, validation_top1=top1) for epoch, top1 in ((1, 0.2), (2, 0.9), (3, 0.9))
    ]
    assert made_up(rows=rows).best["epoch"] == 2


def test_arguments_that_differ_are_exactly_those(records):
    differing, common = run_report.compare_arguments(records)
    assert differing == {"--lr": ["0.1", "0.05"], "--epochs": ["2", "3"], "--mix-up": ["0", "1"]}
    assert common["--dataset"] == "digits" and common["--lr-steps"] == "default" and common["--float16"] == "0"
    assert common["--params"] == common["--ema"] == "none"
    names = {field.name for field in dataclasses.fields(TrainingOptions)} - {"name"}
    assert {flag[2:].replace("-", "_") for flag in list(differing) + list(common)} == names


def test_help_shows_the_resolved_defaults(records):
    """An unset option equals an option that is set to its default.

    For example, the state of a resumed run holds the warm-up as a number.
    """
    options = dict(lr_schedule="step", epochs=30)
    same = [made_up(options=dict(options, **more)) for more in ({}, dict(lr=0.1, warmup_epochs=5, lr_steps=[12, 18]))]
    differing, common = run_report.compare_arguments(same)
    assert differing == {}
    assert (common["--warmup-epochs"], common["--lr-steps"], common["--lr"]) == ("5", "12,18", "0.1")


def test_a_state_older_than_an_option_has_its_default():
    step = {"lr": 0.1, "lr_schedule": "step"}
    older, newer = made_up(options=step), made_up(options=dict(step, cutout=8, lr_steps=[60, 120]))
    differing, common = run_report.compare_arguments([older, newer, made_up()])
    assert differing == {"--cutout": ["0", "8", "unknown"], "--lr-steps": ["80,120", "60,120", "unknown"]}
    assert common["--lr"] == "0.1"


def test_a_refused_state_is_really_an_earlier_one():
    """A state that is no longer valid is reported with the values that it holds.

    Such a state is from another version. It has an unknown option, or two options that can no longer be combined.
    """
    for options in ({"stochastic_depth": 0.5}, {"lr_steps": [80, 120]}):
        differing, common = run_report.compare_arguments(
            [made_up(options=dict(options, cutout=size)) for size in (0, 8)]
        )
        assert differing == {"--cutout": ["0", "8"]} and common["--epochs"] == "200"
        ((name, value),) = options.items()
        assert common["--" + name.replace("_", "-")] == (str(value) if value == 0.5 else "80,120")


def logits_of(folder):
    """Return the logits of the best parameters of a run on the test images, and the labels.

    The logits are computed without the evaluation code: the images are normalised in this function, and the network
    gets one image at a time.
    """
    net = get_attention_cifar(10, 56, "thin")
    net.load_parameters(os.path.join(folder, "best.params"))
    net.hybridize()
    images, labels, _ = catalog.load_images("digits", None, "test")
    facts = catalog.describe_data("digits")
    normalised = ((images / 255 - facts.mean) / facts.std).transpose(0, 3, 1, 2)
    return np.concatenate([net(mx.nd.array(image[None])).asnumpy() for image in normalised]).astype(float), labels


def test_figures_and_hardest_images_by_another_computation(records):
    for record in records:
        logits, labels = logits_of(record.folder)
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        losses = -np.log(shares[np.arange(50), labels])
        wrong = losses[logits.argmax(axis=1) != labels]
        mistakes = record.result.hardest_images(24)
        assert [image.loss for image in mistakes] == pytest.approx(sorted(wrong, reverse=True)[:24], rel=1e-4)
        assert not any(image.right for image in mistakes)
        hardest = record.result.hardest_images(24, "all")
        assert [image.loss for image in hardest] == pytest.approx(sorted(losses, reverse=True)[:24], rel=1e-4)
        for image in hardest:
            assert image.loss == pytest.approx(losses[image.index], rel=1e-4)
            assert image.true == str(labels[image.index]) and image.predicted == str(logits[image.index].argmax())
            assert image.probability == pytest.approx(shares[image.index].max(), rel=1e-4)
            assert (image.image == catalog.load_images("digits", None, "test").images[image.index]).all()
        confusion = record.result.evaluation.confusion
        for true in range(10):
            for predicted in range(10):
                assert confusion[true, predicted] == ((labels == true) & (logits.argmax(axis=1) == predicted)).sum()
        assert record.result.evaluation.top1 == record.best["validation_top1"]


def test_runs_by_folder_by_name_and_twice(home):
    folder = os.path.join(str(home / "models"), "plain")
    options = ReportOptions(model_dir=str(home / "models"), evaluate=False)
    found = run_report.collect([folder, "plain", folder + "/"], options)
    assert [record.label for record in found] == ["plain"] and len(found[0].rows) == 2  # the state names the log folder


def test_runs_of_one_name_are_told_apart(home, copied):
    folders = [os.path.join(str(place), "models", "plain") for place in (home, copied)]
    records = run_report.collect(folders, options_for(home, evaluate=False))
    assert [record.label for record in records] == folders


# ---- missing or damaged files ----


def collect_one(home, **changes):
    return run_report.collect(["plain"], options_for(home, **changes))[0]


def test_without_a_csv_the_figures_come_from_the_state(copied, records):
    os.remove(str(copied / "log" / "csv" / "plain.csv"))
    record = collect_one(copied, evaluate=False)
    assert record.rows == records[0].rows and "plain.csv is not there" in record.remarks[0]


def test_the_state_overrides_a_short_or_foreign_csv(copied, records):
    path = copied / "log" / "csv" / "plain.csv"
    whole = path.read_text()
    for text in (whole[: whole.rindex("\n", 0, -1) + 1], (copied / "log" / "csv" / (ODD + ".csv")).read_text()):
        path.write_text(text)
        record = collect_one(copied, evaluate=False)
        assert record.rows == records[0].rows and "other rows" in record.remarks[0]


def test_a_damaged_state_falls_back_to_the_previous_one_and_then_the_csv(copied, records):
    folder = copied / "models" / "plain"
    os.truncate(str(folder / "last.state"), 1000)
    record = collect_one(copied, evaluate=False)
    assert "last.state is damaged" in record.remarks[0]
    assert record.rows == records[0].rows and record.options == records[0].options
    os.remove(str(folder / "last.state"))
    os.remove(str(folder / "previous.state"))
    record = collect_one(copied)
    assert record.options is None and "arguments are unknown" in record.remarks[0]
    assert record.rows == records[0].rows and record.result.evaluation.samples == 50
    assert "No run has a state" in report_page.render([record], options_for(copied))


@pytest.mark.parametrize(
    "damage, why",
    [
        (lambda folder: os.remove(str(folder / "best.params")), "no such parameter file"),
        (lambda folder: os.truncate(str(folder / "best.params"), 999), "best.params is damaged"),
        (lambda folder: describe(folder, dataset="cifar100"), "cifar100 has 100 classes"),
        (lambda folder: describe(folder, dataset="cifar10", data_dir=str(folder)), "put cifar-10-binary.tar.gz"),
    ],
)
def test_a_page_without_evaluation_says_why(copied, damage, why, monkeypatch):
    monkeypatch.setattr("resattnet.datasets.cifar.fetch", None)  # a download would fail the test
    damage(copied / "models" / "plain")
    record = collect_one(copied)
    assert record.result is None and why in record.remarks[0]
    text = Reader(report_page.render([record], options_for(copied))).text
    assert why in text and "No parameters could be evaluated" in text and "Top-1 on the validation images" in text


def describe(folder, **changes):
    """Change the JSON description of the best parameters."""
    change_description(str(folder / "best.params"), **changes)


def test_other_images_than_in_training_are_noticed(copied, monkeypatch):
    load = catalog.load_images
    monkeypatch.setattr(
        catalog, "load_images", lambda *args, **kwargs: load(*args, **kwargs)._replace(labels=np.full(50, 3, np.int32))
    )
    assert "best.params has top-1" in collect_one(copied).remarks[0]


def test_evaluate_0_leaves_it_out_and_says_so(home, monkeypatch):
    monkeypatch.setattr("resattnet.evaluation.evaluate.evaluate_file", None)
    record = collect_one(home, evaluate=False)
    assert record.result is None and record.remarks == []
    assert "--evaluate 0" in Reader(report_page.render([record], options_for(home, evaluate=False))).text


def test_logs_alone(copied):
    shutil.rmtree(str(copied / "models" / "plain"))
    record = collect_one(copied)
    assert record.folder is None and len(record.rows) == 2 and "folder of parameters" in record.remarks[0]


def test_a_run_without_a_complete_epoch(tmp_path):
    options = dict(TrainingOptions(dataset="digits").__dict__)
    os.makedirs(str(tmp_path / "models" / "new"))
    states.save_state(str(tmp_path / "models" / "new"), {}, dict(Progress().__dict__, options=options))
    (record,) = run_report.collect(["new"], options_for(tmp_path))
    assert record.rows == [] and "no epoch" in record.remarks[0]
    text = Reader(report_page.render([record, made_up()], options_for(tmp_path))).text
    assert "no epoch yet" in text and "Curves" in text
    assert "Curves" not in Reader(report_page.render([record], options_for(tmp_path))).text


def test_earlier_options_of_a_run_are_reported(tmp_path):
    progress = Progress(changes=[{"step": 12, "options": {"lr_steps": [1, 2], "ema": None}}])
    os.makedirs(str(tmp_path / "models" / "new"))
    states.save_state(
        str(tmp_path / "models" / "new"),
        {},
        dict(progress.__dict__, options=dict(TrainingOptions(dataset="digits").__dict__)),
    )
    (record,) = run_report.collect(["new"], options_for(tmp_path))
    assert record.remarks[0] == "until step 12 it had --lr-steps 1,2, --ema none"
    assert record.remarks[0] in Reader(report_page.render([record, made_up()], options_for(tmp_path))).text


def test_the_csv_of_an_earlier_run_of_the_name_is_not_this_runs(copied):
    """The CSV of an earlier run with the same name is ignored.

    The new run has no whole epoch yet, so it has not overwritten the CSV.
    """
    os.makedirs(str(copied / "models" / "new"))
    states.save_state(
        str(copied / "models" / "new"),
        {},
        dict(Progress().__dict__, options=dict(TrainingOptions(dataset="digits").__dict__)),
    )
    path = str(copied / "log" / "csv" / "new.csv")
    shutil.copy(str(copied / "log" / "csv" / "plain.csv"), path)
    os.utime(path, (1, 1))
    (record,) = run_report.collect(["new"], options_for(copied))
    assert record.rows == [] and "new.csv has other rows than the run's state" in record.remarks[0]
    # A CSV that is at least as new as the state is from this run: the later states could not be saved.
    os.utime(path)
    (record,) = run_report.collect(["new"], options_for(copied))
    assert len(record.rows) == 2
    assert record.remarks[0] == f"{path}: no state confirms the figures from epoch 1 on"


@pytest.mark.parametrize("column", ["train_loss", "learning_rate", "samples_per_second", "validation_top5"])
def test_a_changed_figure_of_the_csv_is_noticed(copied, records, column):
    path = copied / "log" / "csv" / "plain.csv"
    head, first, *rest = path.read_text().splitlines()
    cells = first.split(",")
    cells[head.split(",").index(column)] = "0.0625"
    path.write_text("\n".join([head, ",".join(cells), *rest]) + "\n")
    record = collect_one(copied, evaluate=False)
    assert record.rows == records[0].rows and "other rows than the run's state" in record.remarks[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "epoch,loss\n1,2\n",
        "\0\x01",
        "{head}\n",
        "{head}\n{row}\n{row}\n",
        "{head}\n{row},7\n",
        "{head}\n1,0.5\n",
        "{head}\n1,x,0.5,0.5,0.5,0.5,0.5,0.5\n",
        '{head}\n1,"0.5\n',
        "{head}\n2,0.5,0.5,0.5,0.5,0.5,0.5,0.5\n",
    ],
)
def test_a_damaged_csv_is_one_line(copied, text):
    row = "1" + ",0.5" * 7
    (copied / "log" / "csv" / "plain.csv").write_text(text.format(head=",".join(history.FIGURES), row=row))
    with pytest.raises(InputError, match="plain.csv is damaged .*repair or delete it") as error:
        collect_one(copied, evaluate=False)
    assert "\n" not in str(error.value)


def script(*args):
    return subprocess.run(
        [sys.executable, os.path.join(ROOT, "scripts", "report.py")] + [str(arg) for arg in args],
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.parametrize(
    "run, message",
    [
        ("plan", "plan: no such run in {models}; did you mean plain?"),
        ("{models}/plian", "plian: no such run; did you mean plain?"),
        ("{models}", "models: no such run; "),
        ("{models}/none/x", "x: no such run; there are no other runs: give the folder of a run, or model_dir"),
    ],
)
def test_a_missing_run_suggests_similar_names(home, run, message):
    with pytest.raises(InputError) as error:
        run_report.collect([run.format(models=home / "models")], options_for(home))
    assert message.format(models=home / "models") in str(error.value) and "\n" not in str(error.value)


def test_the_script(home, tmp_path):
    places = ["--log-dir", home / "log", "--model-dir", home / "models", "--output", tmp_path / "r.html"]
    done = script("plain", ODD, "--evaluate", 0, *places)
    assert done.returncode == 0 and "r.html: 2 runs" in done.stdout, done.stderr
    assert os.listdir(str(tmp_path)) == ["r.html"] and "Best and last epoch" in (tmp_path / "r.html").read_text("utf-8")
    for args, message in (
        (["plan"] + places, "did you mean plain?"),
        (["plain"] + places + ["--output", tmp_path], "is a folder"),
        (["plain"] + places + ["--output", tmp_path / "no" / "r.html"], "there is no folder"),
    ):
        done = script_here("report.py", *args)
        assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


# ---- page ----


@pytest.fixture(scope="module")
def text(records, home):
    return report_page.render(records, options_for(home))


def test_the_page_is_sound_and_needs_nothing_else(text):
    read = Reader(text)
    ids = collections.Counter(attributes["id"] for _, attributes in read.elements if "id" in attributes)
    assert not [name for name, count in ids.items() if count > 1]
    for _, attributes in read.elements:
        for name in ("src", "href", "xlink:href"):
            value = attributes.get(name, "data:")
            assert value.startswith("data:") or value[1:] in ids, value
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids) and "@import" not in text
    assert not {"script", "link", "iframe"} & {tag for tag, _ in read.elements}
    assert all(image["alt"] for image in read.all("img")) and len(read.all("img")) == 48
    assert all(drawing["aria-label"] and drawing["role"] == "img" for drawing in read.all("svg"))
    assert len(read.all("svg")) == 4 + 2 and "#000000" not in text


def test_names_are_escaped_everywhere(text):
    read = Reader(text)
    assert not read.all("b") and read.text.count(ODD) > 5
    assert "Training of plain and " + ODD in read.text
    assert any(ODD in drawing["aria-label"] for drawing in read.all("svg"))


def with_classes(result, classes):
    """Return a copy of a result with other class names."""
    return dataclasses.replace(result, test_set=result.test_set._replace(classes=classes))


def test_class_names_remarks_and_arguments_are_text(records):
    odd = records[0]._replace(
        result=with_classes(records[0].result, ("<i>",) * 10),
        remarks=["<i>"],
        options=dict(records[0].options, data_dir="<i>", dataset="<i>", epochs="<i>"),
    )
    text = report_page.render([odd, records[1]], ReportOptions())
    assert not Reader(text).all("i") and text.count("&lt;i&gt;") > 10


def test_numbers_on_the_page(text, records):
    shown = Reader(text).text
    for record in records:
        for row in (record.best, record.last):
            assert f"{row['validation_top1']:.4f}" in shown and f"{row['validation_loss']:.4f}" in shown
        assert f"{record.result.hardest_images(1)[0].probability:.4f}" in shown
    assert "against mixed, smoothed or noisy labels or a teacher" in shown


def test_the_headline_has_the_figures_that_a_reader_looks_for_first(text, records):
    """They come before all else on the page."""
    top = Reader(text[: text.index("Best and last epoch")] + "</h2></section></main></body></html>").text
    for record in records:
        best = record.best
        for figure in (
            f"best top-1{best['validation_top1']:.4f}, at epoch {best['epoch']}",
            f"error{100 - 100 * best['validation_top1']:.2f} %",
            f"epochs{len(record.rows)} of {record.options['epochs']}",
            f"training time{report_page.format_duration(sum(row['seconds'] for row in record.rows))}",
            "networkAttention-56, thin",
            "datadigits, 50 test images",
        ):
            assert figure in top.replace("\n", "")
    averaged = made_up(
        rows=[dict(made_up().rows[0], validation_ema_top1=0.75, validation_ema_top5=1, validation_ema_loss=1)]
    )
    shown = Reader(report_page.render([averaged, made_up("new", rows=[])], ReportOptions(evaluate=False))).text
    assert "moving average0.7500, at epoch 1 (error 25.00 %)" in shown.replace("\n", "")


@pytest.mark.parametrize("which", ["mistakes", "all"])
def test_the_hardest_images_of_the_page_say_right_or_wrong(which, records, home):
    shown = Reader(report_page.render(records[:1], options_for(home, hardest=50, hardest_of=which)))
    right = records[0].result.evaluation.right
    marks = [image["class"] for image in shown.all("img")]
    assert (
        marks.count("wrong") == (~right).sum() > 0 and f"The {'images' if which == 'all' else which} with" in shown.text
    )
    assert marks.count("right") == (right.sum() if which == "all" else 0) and right.any()


def test_best_and_last_have_their_own_rows():
    rows = [
        dict(made_up().rows[0], epoch=epoch, validation_top1=top1) for epoch, top1 in ((1, 0.2), (2, 0.9), (3, 0.6))
    ]
    shown = Reader(report_page.render([made_up(rows=rows)], ReportOptions(evaluate=False))).text
    assert "best20.9000" in shown and "last30.6000" in shown  # the cells of a row are: label, epoch, top-1


@pytest.mark.parametrize("name", ["mix_up", "cutmix", "epsilon", "label_noise", "teacher"])
def test_the_report_notes_a_training_loss_against_soft_labels(name, records):
    odd = records[0]._replace(label="odd", options=dict(records[0].options, **{name: "x"}), result=None)
    shown = Reader(report_page.render([records[0]._replace(result=None), odd], ReportOptions())).text
    assert "The training loss of odd is against" in shown


def test_the_moving_average_has_its_row_and_its_curve():
    rows = [
        dict(
            made_up().rows[0], epoch=epoch, validation_ema_top1=top1, validation_ema_top5=0.99, validation_ema_loss=0.25
        )
        for epoch, top1 in ((1, 0.1234), (2, 0.8765), (3, 0.8))
    ]
    with_average, without = (
        report_page.render([record], ReportOptions(evaluate=False))
        for record in (made_up("averaged", rows=rows), made_up())
    )
    shown = Reader(with_average).text
    assert "best of the moving average" in shown and "0.8765" in shown and "0.1234" not in shown
    assert "Dashed: the moving average of the parameters of averaged, with the running statistics" in shown
    assert "moving average" not in Reader(without).text
    assert with_average.count("stroke-dasharray: ") > without.count("stroke-dasharray: ")


def test_one_colour_per_run_in_all_charts():
    many = [made_up(f"run {number}") for number in range(12)]
    text = report_page.render(many, ReportOptions(evaluate=False))
    for number in range(12):
        assert text.count(f"stroke: var(--run-{number})") >= 5 and text.count(f"--run-{number}: #") == 2
    assert len({figure_style.colour(number) for number in range(40)}) == 40


def test_other_data_sets_have_other_tables(records):
    result = with_classes(records[0].result, tuple("abcdefghij"))
    other = records[1]._replace(result=result, options=dict(records[1].options, dataset="letters"))
    shown = Reader(report_page.render([records[0], other], ReportOptions())).text
    assert "10 classes of plain" in shown and "10 classes of " + ODD in shown and "letters, Attention-56" in shown


# ---- figures ----


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_confusion_matrix_has_the_counts(tmp_path):
    confusion = np.array([[9, 2, 0], [0, 7, 5], [2, 0, 8]])
    figure = evaluation_figures.confusion_matrix(confusion, ("$a$", "b", "c"))
    places = {text.get_position(): text.get_text() for text in figure.axes[0].texts}  # (x, y): column, row
    assert places == {(0, 0): "9", (1, 0): "2", (1, 1): "7", (2, 1): "5", (0, 2): "2", (2, 2): "8"}
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("predicted class", "true class")
    opacity = figure.axes[0].images[0].get_array()[..., 3]
    assert opacity[1, 2] > opacity[2, 1] == 0  # b is predicted as c, c never as b
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["$a$", "b", "c"]
    figure.savefig(str(tmp_path / "x.png"))
    with Image.open(str(tmp_path / "x.png")) as picture:
        assert picture.size[0] > 200
    many = evaluation_figures.confusion_matrix(np.eye(100, dtype=int), [str(number) for number in range(100)])
    assert texts(many) == [] and len(many.axes[0].get_yticklabels()) == 100
    assert evaluation_figures.confusion_matrix(np.zeros((3, 3), int), "abc").axes


def test_image_sheet_shows_each_image_with_its_caption():
    images = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), np.uint8)
    figure = image_grids.image_sheet(images, [f"no. {number} $" for number in range(7)], columns=3)
    assert len(figure.axes) == 9
    for number, axes in enumerate(figure.axes[:7]):
        assert (axes.images[0].get_array() == images[number]).all()
        assert axes.texts[0].get_text() == f"no. {number} $"
    assert not figure.axes[8].images and not figure.axes[8].axison
    figure.savefig(io.BytesIO(), format="png")


def test_errors_of_consecutive_runs_are_drawn_from_the_first_epoch_on():
    def rows(*top1):
        return [
            {"epoch": epoch, "validation_top1": value, "train_accuracy": value / 2}
            for epoch, value in enumerate(top1, 1)
        ]

    axes = curves.draw_errors([("a", rows(0.1, 0.2)), ("b$", rows(0.3)), ("c", rows(0.4, 0.5))], "title").axes[0]
    lines = [(line.get_xdata(), line.get_ydata()) for line in axes.lines]
    drawn = [(list(epochs), list(errors)) for epochs, errors in lines[:6:2]]
    assert drawn == [([1, 2], [90, 80]), ([3], [70]), ([4, 5], [60, 50])]
    assert [list(errors) for _, errors in lines[1:6:2]] == [[95, 90], [85], [80, 75]]
    assert [list(place) for place, _ in lines[6:]] == [[2.5, 2.5], [3.5, 3.5]]  # starts of runs 2 and 3
    assert [text.get_text().strip() for text in axes.texts] == ["b$", "c"]
    low, high = axes.get_xlim()
    assert low <= 1 and high >= 5 and axes.get_xscale() == "linear"


def test_a_chart_shows_all_epochs():
    many = [dict(made_up().rows[0], epoch=epoch, validation_loss=30 / epoch) for epoch in range(1, 301)]
    (figure,) = [
        curves.draw_curves([curves.Curve(0, range(1, 301), [row["validation_loss"] for row in many])], "", True)
    ]
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    assert low <= 1 and high >= 300 and axes.get_yscale() == "log" and axes.get_ylim()[1] >= 30


def test_losses_of_many_magnitudes_are_drawn_on_a_log_scale():
    def scale(values, spread=True):
        return curves.draw_curves([curves.Curve(0, [1, 2], values)], "loss", spread).axes[0].get_yscale()

    assert scale([40, 0.5]) == "log" and scale([40, 0.5], False) == scale([4, 0.5]) == scale([40, 0]) == "linear"
    assert scale([float("nan"), 1]) == "linear"


# ---- browser ----


def test_a_browser_shows_the_report(text, browser, tmp_path):
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    address = f"file://{tmp_path / 'page.html'}"
    read = Reader(browser.prints("--dump-dom", address))
    assert len(read.all("svg")) == 6 and len(read.all("img")) == 48 and not read.all("b")
    for width in (1200, 500):
        browser.prints(f"--screenshot={tmp_path / 'page.png'}", f"--window-size={width},2000", address)
        pixels = np.asarray(Image.open(str(tmp_path / "page.png")).convert("RGB")).reshape(-1, 3)
        for run in range(2):  # only the style sheet defines the colours of the lines
            shade = [int(figure_style.colour(run)[0][place : place + 2], 16) for place in (1, 3, 5)]
            assert (pixels == shade).all(axis=1).sum() > 100
