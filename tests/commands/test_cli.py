"""Test the scripts as a user runs them: help pages, one line and exit 2 for bad input, and training to testing."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from helpers.scripts import ROOT, refused, script

SCRIPTS = sorted(name for name in os.listdir(os.path.join(ROOT, "scripts")) if name.endswith(".py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_is_a_page(name, tmp_path):
    done = script(name, "--help", cwd=str(tmp_path))
    assert done.returncode == 0 and len(done.stdout.splitlines()) > 15
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_short(name):
    """A script has three statements besides its imports: the docstring, the path and the run."""
    with open(os.path.join(ROOT, "scripts", name)) as handle:
        text = handle.read()
    body = [node for node in ast.parse(text).body if not isinstance(node, (ast.Import, ast.ImportFrom))]
    docstring, path, run = (ast.get_source_segment(text, node) for node in body)
    assert docstring.startswith('"""') and path.startswith("sys.path.insert(0, ")
    assert re.fullmatch(r'if __name__ == "__main__":\n    run\("[a-z-]+"\)', run)
    assert len(text.splitlines()) < 15


@pytest.mark.parametrize(
    "args, message",
    [
        ("--num-layers 50", "--num-layers 50: choose from 56, 92, 128, 164, 236, 452"),
        ("--num-layers x", "--num-layers x: give a whole number"),
        ("--lr-schedule step --lr-steps 80,x", "--lr-steps 80,x: give whole numbers separated by commas, as 80,120"),
        ("--lr-schedule step --lr-steps 120,80", "--lr-steps 120,80: give epochs in increasing order, 1 or later"),
        ("--lr-steps 80,120 --lr-schedule cosine", "--lr-schedule cosine: the cosine schedule has no steps; give one"),
        ("--lr-restarts 80,x", "--lr-restarts 80,x: give whole numbers separated by commas, as 80,120"),
        ("--lr-restarts 80,40", "--lr-restarts 80,40: give epochs in increasing order, 1 or later"),
        ("--lr-restarts 5,80", "5,80: give epochs after the warm-up (--warmup-epochs 5) and before the last (200)"),
        ("--lr-restarts 80,200", "80,200: give epochs after the warm-up (--warmup-epochs 5) and before the last (200)"),
        (
            "--lr-restarts 80 --lr-schedule step",
            "--lr-restarts 80 --lr-schedule step: the step schedule has no restarts",
        ),
        ("--lr-restart-factor 0", "--lr-restart-factor 0.0: give a number above 0"),
        ("--lr-restart-factor 1e200 --lr-restarts 80", "--lr-restart-factor 1e+200: give a number at most 1"),
        ("--epochs 3 --warmup-epochs 4 --lr-restarts 2", "--warmup-epochs 4: the run has 3 epochs"),
        ("--dataset digits --params x.params", "--params: x.params: no such parameter file"),
        (
            "--dataset digits --params cifar10_attention56_thin",
            "belongs to a network with --widths thin, this run's has full",
        ),
        ("--params= --dataset digits", "--params '': give a file"),
        ("--params x.params --zero-gamma 1", "--params x.params --zero-gamma 1: the one starts from trained weights"),
        ("--lr-restart-factor 0.5", "--lr-restart-factor 0.5 has no effect without --lr-restarts"),
        ("--num-gpus 3", "--num-gpus 3: MXNet can use"),
        ("--num-gpus -1", "--num-gpus -1: give a number at least 0"),
        ("--float16 1 --num-gpus 0", "--float16 1 --num-gpus 0: MXNet has no float16"),
        ("--mix-up yes", "--mix-up yes: give 0 or 1"),
        ("--mix-up 1 --alpha 0", "--alpha 0.0: give a number above 0"),
        ("--cutout 33", "--cutout 33: give a number at most 32"),
        ("--epsilon 1", "--epsilon 1.0: give a number below 1"),
        ("--ema 1", "--ema 1.0: give a number below 1"),
        ("--clip-gradient 0", "--clip-gradient 0.0: give a number above 0"),
        ("--label-noise 1.2", "--label-noise 1.2: give a number at most 1"),
        ("--lr 0.1 --lr-per-256 0.1", "--lr 0.1 --lr-per-256 0.1: give one of them"),
        ("--dataset digits --teacher x.params", "--teacher: x.params: no such parameter file"),
        ("--mask-images 4 --mask none", "--mask-images 4 --mask none: there are no masks to show"),
        ("--mask-images 33", "--mask-images 33: give a number at most 32"),
        ("--mask-period 3", "--mask-period 3 has no effect without --mask-images"),
        ("--num-gpus 1 --num-cpus 2", "--num-gpus 1 --num-cpus 2: give one of them"),
        ("--num-cpus 0", "--num-cpus 0: give a number at least 1"),
        ("--lr nan", "--lr nan: give a finite number"),
        ("--dataset mnist", "--dataset mnist: choose from digits, cifar10, cifar100"),
        ("--epochs 3 --warmup-epochs 4", "--warmup-epochs 4: the run has 3 epochs"),
        (
            "--lr-schedule step --warmup-epochs 5 --lr-steps 3",
            "--lr-steps 3: give epochs after the warm-up (--warmup-epo",
        ),
        ("--batch-size 5000 --dataset digits", "a batch of 5000 is larger than the data set of 1437 images"),
        ("--resume nowhere", "nowhere: no such run in models; there are no other runs"),
        ("--name a/b", "--name 'a/b': give a plain folder name"),
        ("--frobnicate", "unrecognized arguments: --frobnicate"),
        ("--datset digits", "unrecognized arguments: --datset digits; did you mean --dataset?"),
    ],
)
def test_bad_input_is_one_line(args, message, tmp_path):
    assert message in refused(script("cifar10_train.py", *args.split(), cwd=str(tmp_path)))
    assert not os.path.exists(str(tmp_path / "models"))


def test_a_truncated_batch_file_is_named(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]:
        with open(str(folder / name), "wb") as handle:
            handle.truncate(10000 * 3073)
    os.truncate(str(folder / "data_batch_3.bin"), 12345)
    line = refused(script("cifar10_train.py", "--data-dir", tmp_path, cwd=str(tmp_path)))
    assert "data_batch_3.bin" in line and "truncated" in line


def written_to(writer, script_name, argument, **environment):
    """Run a script with stdout set to the open file `writer`, close the file, and return the finished process."""
    try:
        return subprocess.run(
            [sys.executable, os.path.join(ROOT, "scripts", script_name), argument],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=280,
            env=dict(os.environ, **environment),
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "script_name, argument, codes", [("reproduce.py", "--write=0", {141}), ("cifar10_train.py", "--help", {0, 141})]
)
def test_a_closed_pipe_causes_no_traceback(script_name, argument, codes, unbuffered):
    """A closed stdout pipe, as with `| head`, gives no traceback. Some argparse versions ignore the closed pipe."""
    reader, writer = os.pipe()
    os.close(reader)
    done = written_to(writer, script_name, argument, PYTHONUNBUFFERED=unbuffered)
    assert done.stderr == "" and done.returncode in codes


def test_output_to_a_full_disk_is_one_line():
    done = written_to(os.open("/dev/full", os.O_WRONLY), "reproduce.py", "--write=0", PYTHONUNBUFFERED="")
    assert done.stderr == "reproduce.py: the output cannot be written (No space left on device)\n"
    assert done.returncode == 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder with a run of two steps on the digits."""
    folder = tmp_path_factory.mktemp("trained")
    done = script(
        "cifar10_train.py",
        "--dataset",
        "digits",
        "--widths",
        "thin",
        "--epochs",
        1,
        "--max-steps",
        2,
        "--lr",
        0.01,
        "--warmup-epochs",
        0,
        "--num-gpus",
        0,
        "--name",
        "run",
        cwd=str(folder),
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_is_resumed_by_its_name_too(trained):
    done = script("cifar10_train.py", "--resume", "run", cwd=str(trained))
    assert done.returncode == 0 and "all steps of the run (2) are done" in done.stdout
    line = refused(script("cifar10_train.py", "--resume", "rum", cwd=str(trained)))
    assert line.endswith("rum: no such run in models; did you mean run?\n")
    line = refused(script("cifar10_train.py", "--resume", "models/run/best.params", cwd=str(trained)))
    assert "best.params is not a saved state: give the run's folder, or the last.state in it" in line


def test_a_run_is_found_where_its_models_are_said_to_be(trained, tmp_path):
    """--model-dir locates the run even if the working folder has a folder of that name, such as one with images."""
    (tmp_path / "run").mkdir()
    done = script("cifar10_train.py", "--resume", "run", "--model-dir", f"{trained}/models/", cwd=str(tmp_path))
    assert done.returncode == 0 and "all steps of the run (2) are done" in done.stdout, done.stderr
    line = refused(
        script(
            "cifar10_train.py", "--resume", trained / "models" / "run", "--model-dir", "elsewhere", cwd=str(tmp_path)
        )
    )
    assert f"--model-dir elsewhere: the run to resume is in {trained}/models and cannot move" in line


def test_files_that_are_not_parameters_are_named(trained):
    for path, what in (("models/run", "a folder"), ("models/run/last.state", "a state of a run")):
        line = refused(script("cifar10_test.py", "--params", path, cwd=str(trained)))
        assert line.endswith(f"{path} is {what}: give a parameter file, as models/run/best.params\n")
    shutil.copy(str(trained / "models" / "run" / "best.params"), str(trained / "bare.params"))
    line = refused(script("cifar10_test.py", "--params", "bare.params", cwd=str(trained)))
    assert line.endswith(
        "bare.params has no description beside it: give --dataset, --num-layers, --widths, --attention-learning\n"
    )


def test_testing_gives_the_figure_of_training(trained):
    done = script("cifar10_test.py", "--params", "models/run/best.params", "-b", 77, cwd=str(trained))
    with open(str(trained / "models" / "run" / "best.json")) as handle:
        figures = json.load(handle)
    assert "360 test images" in done.stdout
    assert (
        "top-1 {:.4f}  top-5 {:.4f}  loss {:.4f}".format(
            *tuple(figures["validation_" + name] for name in ("top1", "top5", "loss"))
        )
        in done.stdout
    )
    rows = done.stdout.splitlines()[4:14]
    assert [row.split()[0] for row in rows] == list("0123456789")
    assert sum(int(row.split()[1]) for row in rows) == 360


@pytest.mark.parametrize(
    "args, message",
    [
        ("--num-layers 92", "it fits --num-layers 56 --widths thin and 10 classes"),
        ("--dataset cifar100", "--dataset cifar100 has 100 classes"),
    ],
)
def test_parameters_of_another_network_are_refused(trained, args, message):
    done = script("cifar10_test.py", "--params", "models/run/best.params", *args.split(), cwd=str(trained))
    assert message in refused(done)


def test_mirrored_digits_are_refused(trained):
    done = script("cifar10_test.py", "--params", "models/run/best.params", "--flip", 1, cwd=str(trained))
    assert "--flip 1: a mirrored image of digits does not show its class" in refused(done)


def test_resuming_refuses_another_network(trained):
    done = script("cifar10_train.py", "--resume", "models/run", "--num-layers", 92, cwd=str(trained))
    assert "--num-layers 92: the run to resume has --num-layers 56, which cannot change" in refused(done)


def test_a_damaged_state_is_refused_and_the_newest_intact_one_named(trained, tmp_path):
    shutil.copytree(str(trained / "models" / "run"), str(tmp_path / "run"))
    path = str(tmp_path / "run" / "last.state")
    os.truncate(path, os.path.getsize(path) // 2)
    line = refused(script("cifar10_train.py", "--resume", "run", cwd=str(tmp_path)))
    assert "last.state is damaged" in line and "previous.state" in line
