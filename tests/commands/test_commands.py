"""Test the command table, called from a script, as a console command and with `python -m resattnet`."""

import os
import re
import subprocess
import sys

import pytest

import resattnet
from helpers.scripts import ROOT, package, refused, script
from resattnet.commands import COMMANDS, parse
from resattnet.system import calls

SCRIPTS = {name: calls.script_name(name) for name in COMMANDS if calls.script_name(name)}


def console(*args, cwd=None):
    """Run the console command as its entry point does."""
    code = "import sys; from resattnet.commands import run; sys.argv[0] = '/usr/local/bin/resattnet'; run()"
    return subprocess.run(
        [sys.executable, "-c", code] + [str(arg) for arg in args],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=280,
        env=dict(os.environ, PYTHONPATH=ROOT),
    )


def test_each_script_runs_its_command():
    scripts = {file_name: name for name in SCRIPTS for file_name in calls.script_names(name)}
    assert sorted(scripts) == sorted(os.listdir(os.path.join(ROOT, "scripts")))
    for file_name, name in scripts.items():
        with open(os.path.join(ROOT, "scripts", file_name)) as handle:
            assert f'run("{name}")' in handle.read()


def test_the_scripts_for_folders_of_images_name_each_other():
    for path, test in (
        ("scripts/imagenet_train.py", "imagenet_test.py"),
        ("scripts/cifar10_train.py", "cifar10_test.py"),
    ):
        name = "train-images" if "imagenet" in path else "train"
        with calls.called_as(calls.script_call(name, path)):
            assert calls.command("test") == f"python scripts/{test}"
            assert calls.command("predict") == "python scripts/predict.py"
    with calls.called_as(calls.script_call("test", "scripts/imagenet_test.py")):
        assert calls.program() == "imagenet_test.py"


def test_each_module_of_the_room_is_a_command():
    modules = {name[:-3] for name in os.listdir(os.path.join(ROOT, "resattnet", "commands")) if name.endswith(".py")}
    shared = {"__init__", "rate_test", "training_arguments", "training_run"}
    assert modules - shared == {row.module for row in COMMANDS.values()}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_answers_without_mxnet(name, tmp_path):
    code = (
        "import sys; from resattnet.commands import run; sys.argv[0] = 'resattnet'; import atexit; "
        "atexit.register(lambda: print('MXNET', 'mxnet' in sys.modules)); run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, name, "--help"],
        capture_output=True,
        text=True,
        cwd=str(tmp_path),
        timeout=60,
        env=dict(os.environ, PYTHONPATH=ROOT),
    )
    assert done.returncode == 0 and done.stdout.endswith("MXNET False\n"), done.stderr
    assert done.stdout.startswith(f"usage: resattnet {name} ") and f"\n    resattnet {name}" in done.stdout
    assert "{command" not in done.stdout and os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("call, program", [(package, "python -m resattnet"), (console, "resattnet")])
def test_the_overview_lists_all_commands(call, program, tmp_path):
    done = call("--help", cwd=str(tmp_path))
    assert done.returncode == 0 and done.stdout.startswith(f"usage: {program} [COMMAND")
    for name, row in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(row.help)}$", done.stdout, re.MULTILINE)
    assert call("--version", cwd=str(tmp_path)).stdout.startswith(f"resattnet {resattnet.__version__}, Python ")


@pytest.mark.parametrize("call, program", [(package, "python -m resattnet"), (console, "resattnet")])
def test_an_unknown_command_is_one_line(call, program, tmp_path):
    assert refused(call("tran", cwd=str(tmp_path))) == f"{program}: tran: no such command; did you mean train?\n"
    line = refused(call("show_masks", cwd=str(tmp_path)))
    assert line == f"{program}: show_masks: no such command; did you mean show-masks?\n"
    line = refused(call("qqqq", cwd=str(tmp_path)))
    assert line == f"{program}: qqqq: no such command; choose from {', '.join(COMMANDS)}\n"
    assert refused(call("--frobnicate", cwd=str(tmp_path))).startswith(f"{program}: unrecognized arguments: --frob")


@pytest.mark.parametrize(
    "call, program, other",
    [
        (
            lambda *args, **kwargs: script("cifar10_train.py", *args, **kwargs),
            "cifar10_train.py",
            "python scripts/{}.py",
        ),
        (
            lambda *args, **kwargs: package("train", *args, **kwargs),
            "python -m resattnet train",
            "python -m resattnet {}",
        ),
        (lambda *args, **kwargs: console("train", *args, **kwargs), "resattnet train", "resattnet {}"),
    ],
)
def test_errors_usage_and_examples_name_the_command_as_it_was_called(call, program, other, tmp_path):
    assert refused(call("--lr", 0, cwd=str(tmp_path))).startswith(f"{program}: --lr 0.0: give a number above 0")
    assert refused(call("--lr", "x", cwd=str(tmp_path))) == f"{program}: --lr x: give a number\n"
    line = refused(call("--recipe", "qqqq", cwd=str(tmp_path)))
    assert line == f"{program}: recipe qqqq: no such recipe; {other.format('reproduce')} lists them\n"
    page = call("--help", cwd=str(tmp_path)).stdout
    own = "python scripts/cifar10_train.py" if program.endswith(".py") else program
    assert page.startswith(f"usage: {program} [-h]") and f"\n    {own} --num-layers 92 --mix-up 1 " in page
    assert f"{other.format('reproduce')} lists" in " ".join(page.split())


def test_another_command_is_named_as_this_one_was_called():
    assert calls.command("test") == "python -m resattnet test" and calls.command("tour") == "python -m resattnet tour"
    with calls.called_as(calls.script_call("train", "scripts/cifar10_train.py")):
        assert calls.command("test") == "python scripts/cifar10_test.py"
        assert calls.command("show-masks") == "python scripts/show_masks.py"
        assert calls.command("summary") == "python -m resattnet summary" and calls.program() == "cifar10_train.py"
    with calls.called_as(calls.package_call("/usr/bin/resattnet", "train")):
        assert calls.command("test") == "resattnet test" and calls.program() == "resattnet train"
        assert (
            calls.fill_in_commands("{command} {command test} {0,1}", "train") == "resattnet train resattnet test {0,1}"
        )
    with calls.called_as(calls.package_call("/usr/lib/resattnet/__main__.py")):
        assert calls.command("test") == "python -m resattnet test" and calls.program() == "python -m resattnet"
    assert calls.command("test") == "python -m resattnet test"


def test_arguments_are_parsed_without_a_process_of_their_own():
    assert parse("summary", ["--num-layers", "92"]) == {"num_layers": 92}
    given = parse("predict", ["--params", "x", "a", "b"])
    assert (given["params"], given["images"]) == ("x", ["a", "b"])
