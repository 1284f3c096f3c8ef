"""Test that a run interrupted anywhere and resumed has the same result as an uninterrupted run.

The runs use all optional features.
"""

import os
import random
import shutil
import signal
import time

import pytest

from helpers import live_runs
from helpers.live_runs import said
from helpers.runs import CLOCK, assert_equal_runs, elsewhere, resume, stop_at, stop_run
from resattnet.commands.training_run import train
from resattnet.machine.mxnet import mx
from resattnet.options.fields import flag_name, flag_value
from resattnet.runs import states
from resattnet.system.signals import Interrupted
from resattnet.zoo import parameters
from resattnet.zoo.builders import get_attention_cifar

ALL = dict(
    ema=0.9,
    cutmix=True,
    mix_up=True,
    epsilon=0.1,
    mixup_off_epochs=1,
    clip_gradient=0.5,
    no_wd=True,
    label_noise=0.2,
    cutout=4,
    zero_gamma=True,
    lr_per_256=1.6,
)
KILLS = int(os.environ.get("RESATTNET_KILLS", 3))
EPOCHS = KILLS + 2  # of four steps each


def make_teacher(path, dataset, classes):
    """Save the initial parameters of a teacher network, and return the path."""
    network = dict(
        num_layers=56, widths="thin", attention_learning="arl", attention="mixed", mask="hourglass", classes=classes
    )
    net = get_attention_cifar(**network)
    net.initialize(mx.init.MSRAPrelu())
    parameters.save_parameters(net, path, dict(network=network, dataset=dataset))
    return path


def test_cuts_at_random_steps_change_nothing(options, monkeypatch, tmp_path):
    """A run interrupted at three random steps and resumed equals an uninterrupted run.

    The run dies twice and is asked to stop once. A state is written at every step.
    """
    teacher = make_teacher(str(tmp_path / "teacher.params"), "digits", 10)
    options = elsewhere(options, "run", save_minutes=1e-9, teacher=teacher, **ALL)
    whole = train(elsewhere(options, "whole"))
    cuts = sorted(random.Random(0).sample(range(1, 13), 3))

    def die():
        raise RuntimeError("power cut")

    for number, cut in enumerate(cuts):
        again = stop_at(monkeypatch, cut, die if number % 2 == 0 else lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises((RuntimeError, Interrupted)):
            train(options) if number == 0 else resume(options)
        again()
    run = resume(options)
    assert_equal_runs(run, whole)
    assert run.progress.best_ema == whole.progress.best_ema is not None
    for name, array in whole.step.average.state_arrays().items():
        assert (run.step.average.state_arrays()[name] == array).all(), name


@pytest.mark.parametrize("devices, accumulate", [(2, 1), (1, 2)])
def test_several_devices_and_accumulation_too(options, monkeypatch, devices, accumulate):
    options = elsewhere(
        options, "run", num_cpus=devices, batch_size=8, accumulate=accumulate, epochs=2, **dict(ALL, mixup_off_epochs=0)
    )
    whole = train(elsewhere(options, "whole"))
    stop_run(options, monkeypatch, 3)
    run = resume(options)
    assert_equal_runs(run, whole)
    for name, array in whole.step.average.state_arrays().items():
        assert (run.step.average.state_arrays()[name] == array).all(), name


@pytest.fixture
def noise_records(tmp_path):
    """Write noise records and a teacher for them, and return their folder."""
    live_runs.write_noise_records(tmp_path)
    make_teacher(str(tmp_path / "teacher.params"), "noise", 5)
    return str(tmp_path)


def begin(folder, name, threads=1, epochs=EPOCHS, mask="none"):
    """Start the script on the records, with all optional features.

    Without masks, the network has half of the parameters, whose number is what takes time.
    """
    flags = (
        f"--dataset noise --data-format rec --data-dir . --widths thin --mask {mask} -b 16 --epochs {epochs} "
        "--warmup-epochs 1 --num-gpus 0 --save-minutes 1e-9 --teacher teacher.params --name"
    ).split() + [name]
    for option, value in dict(ALL, lr_per_256=0.16).items():
        flags += [flag_name(option), flag_value(value)]
    return live_runs.start(folder, *flags, threads=threads)


def kill_after(process, path, saves, seconds):
    """Kill a process `seconds` seconds after its `saves`-th replacement of `path`, and return the exit code."""
    last, deadline = identity(path), time.monotonic() + 250
    while saves and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
        now = identity(path)
        if now not in (last, None):  # None: between the two renames of a save
            saves, last = saves - 1, now
    time.sleep(seconds)
    process.kill()
    return process.wait(250)


def identity(path):
    """Return a value that changes when another file replaces `path`, or None if there is no file.

    The modification time alone may be too coarse.
    """
    found = os.stat(path) if os.path.exists(path) else None
    return found and (found.st_ino, found.st_mtime_ns)


def outcome(folder):
    """Return the arrays that a run left, by file and name, and its progress without what depends on speed."""
    arrays = {}
    for name in ("last", "best", "ema", "best-ema"):
        loaded = mx.nd.load(os.path.join(folder, name + ".params"))
        arrays.update((f"{name}/{key}", value.asnumpy()) for key, value in loaded.items())
    state = states.load_state(folder)
    arrays.update(state.arrays)
    progress = dict(state.progress, totals=None)
    progress["history"] = [
        {key: value for key, value in row.items() if key not in CLOCK} for row in progress["history"]
    ]
    return arrays, progress


def assert_equal_outcomes(home, one, other):
    """Check that two runs, given by name, left the same bits in all arrays and the same progress."""
    (arrays, progress), (others, other_progress) = (
        outcome(os.path.join(home, "models", name)) for name in (one, other)
    )
    assert progress == other_progress and set(arrays) == set(others)
    assert all((array == others[name]).all() for name, array in arrays.items())


def go_on(folder, run, **settings):
    """Start the script again, from the last state of the run if there is one, with the settings of `begin`."""
    if os.path.isdir(run) and not any(name.endswith(".state") for name in os.listdir(run)):
        shutil.rmtree(run)  # killed before its first state: there is nothing to resume
    if os.path.isdir(run):
        return live_runs.start(folder, "--resume", "models/run", threads=settings.get("threads", 1))
    return begin(folder, "run", **settings)


def test_killed_at_random_moments(noise_records):
    """A run killed at N random moments and resumed equals an uninterrupted run.

    `RESATTNET_KILLS=20 pytest -s` kills the run 20 times and prints the step of the last state after each kill.
    """
    whole = begin(noise_records, "whole")
    assert whole.wait(250) == 0, said(noise_records)
    history = states.load_state(os.path.join(noise_records, "models", "whole")).progress["history"]
    draws, step_seconds = random.Random(KILLS), min(row["seconds"] for row in history) / 4
    folder, steps = os.path.join(noise_records, "models", "run"), []
    for _ in range(KILLS):
        # The moment is counted in saves, at least one per step, so that each kill is within the run on any machine.
        process = go_on(noise_records, folder)
        saves, seconds = draws.randint(0, 4), draws.random() * step_seconds
        code = kill_after(process, os.path.join(folder, "last.state"), saves, seconds)
        assert code == -signal.SIGKILL, said(noise_records)
        if os.path.exists(os.path.join(folder, "last.state")):
            steps.append(states.load_state(folder).progress["step"])
    assert go_on(noise_records, folder).wait(250) == 0, said(noise_records)
    print(f"steps after each kill: {steps} of {4 * EPOCHS}")
    assert steps == sorted(steps) and 0 < steps[-1] < 4 * EPOCHS
    assert_equal_outcomes(noise_records, "run", "whole")


def test_two_threads_change_nothing(noise_records):
    """With two threads, a run that is killed and resumed equals an uninterrupted run.

    This is the case of a machine with several cores for each device. The other tests use one core for each device.
    """
    folder = os.path.join(noise_records, "models", "run")
    settings = dict(threads=2, epochs=2, mask="hourglass")
    whole = begin(noise_records, "whole", **settings)
    assert whole.wait(250) == 0, said(noise_records)
    process = begin(noise_records, "run", **settings)
    assert kill_after(process, os.path.join(folder, "last.state"), 3, 0) == -signal.SIGKILL, said(noise_records)
    assert 0 < states.load_state(folder).progress["step"] < 8
    assert go_on(noise_records, folder, **settings).wait(250) == 0, said(noise_records)
    assert_equal_outcomes(noise_records, "run", "whole")
