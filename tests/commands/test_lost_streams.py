"""Tests for commands whose standard streams are closed or cannot be written to."""

import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from helpers.live_runs import FLAGS, write_noise_records
from helpers.networks import save_net
from helpers.scripts import ROOT
from helpers.tries import FULL

LOST = {">&-": "Bad file descriptor", ">/dev/full": "No space left on device"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a network, an image and noise records."""
    folder = tmp_path_factory.mktemp("streams")
    save_net(folder)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(str(folder / "image.png"))
    write_noise_records(folder)
    return folder


def run(folder, words, redirection, unbuffered=""):
    """Run a command with redirections of a shell, and return its exit code and what it wrote to stdout and stderr."""
    line = f"exec {shlex.quote(sys.executable)} -m resattnet {words} {redirection}"
    environment = dict(os.environ, PYTHONPATH=ROOT, PYTHONUNBUFFERED=unbuffered)
    done = subprocess.run(
        ["sh", "-c", line], cwd=str(folder), capture_output=True, text=True, timeout=280, env=environment
    )
    return done.returncode, done.stdout, done.stderr


PREDICT = "predict --params net.params --num-gpus 0"
PRINTING = {
    "--version": "",
    "train --help": " train",
    "reproduce": " reproduce",
    "summary --widths thin": " summary",
    f"{PREDICT} image.png": " predict",
}


# All commands print and end through the same function: one stands for all where Python does not buffer.
@pytest.mark.parametrize(
    "words, unbuffered",
    [
        (words, unbuffered)
        for words in PRINTING
        for unbuffered in ("", "1")
        if FULL or not unbuffered or words[0] == "-"
    ],
)
@pytest.mark.parametrize("redirection", LOST)
def test_a_command_that_cannot_print_its_result_says_so(folder, words, redirection, unbuffered):
    code, _, err = run(folder, words, redirection, unbuffered)
    line = f"python -m resattnet{PRINTING[words]}: the output cannot be written ({LOST[redirection]})\n"
    assert (code, err) == (2, line)


@pytest.mark.parametrize("words", ["train --help", "reproduce", f"{PREDICT} image.png"])
def test_a_result_needs_no_other_stream(folder, words):
    with_all = run(folder, words, "")
    assert with_all[0] == 0 and with_all[1]
    for redirection in ("2>&-", "2>/dev/full", "2>&- <&-"):
        assert run(folder, words, redirection) == with_all, redirection
    assert run(folder, words, "2>/dev/full", unbuffered="1") == with_all


@pytest.mark.parametrize("redirection", ["2>&-", ">&- 2>&- <&-", ">/dev/full 2>/dev/full"])
def test_where_nobody_can_be_told_the_exit_code_tells(folder, redirection):
    for words in ("nosuch", "train --nosuch", "summary --num-layers 5"):
        assert run(folder, words, redirection) == (2, "", "")
    words = f"{PREDICT} image.png missing.png"
    code, out, err = run(folder, words, redirection)
    assert err == "" and (code, out[:9]) == ((1, "image.png") if redirection[0] == "2" else (2, ""))


def test_names_from_a_stdin_that_is_closed(folder):
    code, out, err = run(folder, f"{PREDICT} -", "<&-")
    assert (code, out) == (2, "")
    assert err == "python -m resattnet predict: -: stdin cannot be read (Bad file descriptor)\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "redirection, unbuffered",
    [(">&-", ""), ("2>&-", ""), (">&- 2>&- <&-", ""), (">/dev/full", ""), (">/dev/full", "1"), ("2>/dev/full", "1")],
)
def test_a_run_goes_on_without_streams(folder, redirection, unbuffered):
    """The log has what the streams do not show."""
    name = "run" + re.sub(r"\W", "_", redirection + unbuffered)
    words = " ".join([*FLAGS, "--epochs", "2", "--workers", "1", "--name", name])
    code, out, err = run(folder, "train " + words, redirection, unbuffered)
    assert (code, err) == (0, "") and ("done: best" in out) == (redirection[0] == "2")
    log = (folder / "log" / "text" / f"{name}.log").read_text()
    assert "epoch 2/2" in log and "done: best" in log
    assert log.count("warning: the output cannot be written") == (redirection[0] == ">")
    assert (folder / "models" / name / "last.state").exists()


@pytest.mark.parametrize("redirection", [">&- 2>&- <&-", ">/dev/full"])
def test_files_are_written_whole_without_streams(folder, redirection):
    """No file of a command gets the number of a stream, to which others print."""
    code, _, _ = run(folder, "make-records --dataset digits --output-dir records --overwrite 1", redirection)
    assert code == 2  # the lines about the files are lost, as on a full disk
    words = "train --dataset digits --data-format rec --data-dir records --epochs 0"
    assert run(folder, words, "")[2].startswith("python -m resattnet train: --epochs 0")
    code, _, _ = run(folder, f"{PREDICT} image.png --output out.csv", redirection)
    assert code == 0 and (folder / "out.csv").read_text().startswith("image,class_1")
