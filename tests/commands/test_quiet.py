"""Test `--quiet`: the terminal shows warnings, errors and the result only; logs and files are as without it."""

import re
import sys

import pytest
from PIL import Image

from resattnet import commands
from resattnet.commands.training_run import train
from resattnet.data import image_set
from resattnet.experiments import recipes, reproduce
from resattnet.experiments.options import ReproductionOptions
from resattnet.runs.logs import RunLog
from resattnet.system import console


@pytest.fixture
def quiet():
    console.set_quiet(True)
    yield
    console.set_quiet(False)


def call(monkeypatch, *words):
    """Run the command of a command line, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["resattnet", *words])
    with pytest.raises(SystemExit) as end:
        commands.run()
    console.set_quiet(False)
    return end.value.code


def test_a_quiet_training_prints_its_best_epoch_and_logs_everything(options, quiet, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run = train(options)
    output = capsys.readouterr()
    assert re.fullmatch(r"done: best top-1 \d\.\d{4}, at epoch \d of 3\n", output.out) and output.err == ""
    with open(f"{options.log_dir}/text/{run.name}.log") as handle:
        text = handle.read()
    assert text.count("epoch ") >= 3 and "  step 2  lr " in text and "  test   " in text


def test_warnings_are_shown(tmp_path, quiet, capsys):
    with RunLog(str(tmp_path), "run", {}) as log:
        log.line("a line")
        log.interim("figures", 1.0, 2.0)
        log.warn("a disk is full")
    assert capsys.readouterr().out == "warning: a disk is full\n"


def test_no_bar_is_shown_by_a_quiet_command(quiet):
    assert console.progress_bar([1]).disable and image_set.image_progress([1], "reading").disable
    console.set_quiet(False)
    assert not console.progress_bar([1], disable=False).disable


def test_a_quiet_sheet_prints_its_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (32, 32), "red").save("red.png")
    words = ["show-masks", "--pretrained", "--grad-cam", "red.png"]
    assert not call(monkeypatch, *words) and capsys.readouterr().out.count("\n") == 5
    assert not call(monkeypatch, *words, "--quiet") and capsys.readouterr().out == "sheet: sheet.png\n"


def test_errors_are_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "predict", "-q", "--pretrained", "none.jpg") == 1
    assert capsys.readouterr().err == "none.jpg: cannot be read (No such file or directory)\n"
    assert call(monkeypatch, "train", "-q", "--lr", "0") == 2
    assert capsys.readouterr().err == "resattnet train: --lr 0.0: give a number above 0\n"


def test_quiet_is_passed_on_to_the_training_of_a_recipe(tmp_path, quiet):
    recipe = recipes.find_recipe("digits", recipes.read_recipes())
    words = reproduce.next_command(recipe, ReproductionOptions(model_dir=str(tmp_path)))
    assert words[-1] == "--quiet"
    console.set_quiet(False)
    assert "--quiet" not in reproduce.next_command(recipe, ReproductionOptions(model_dir=str(tmp_path)))
