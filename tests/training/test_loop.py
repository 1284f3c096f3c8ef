"""Test the training loop.

Runs with the same seed are equal. Resumed runs equal uninterrupted runs. Devices agree. No progress is lost.
"""

import csv
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import active_children

import numpy as np
import pytest

from helpers.boards import read_board
from helpers.runs import (
    TRICKS,
    assert_equal_runs,
    elsewhere,
    figures,
    fix_statistics,
    resume,
    stop_at,
    stop_run,
    values,
)
from resattnet.commands import training_run
from resattnet.commands.training_run import train
from resattnet.machine.devices import average_running_statistics, choose_devices, split_batch
from resattnet.machine.mxnet import mx
from resattnet.runs import pace, states
from resattnet.system.errors import InputError
from resattnet.system.signals import Interrupted
from resattnet.training import loop, preparation
from resattnet.training.preparation import prepare_run
from resattnet.training.reporter import Reporter
from resattnet.training.step import make_net
from resattnet.zoo import parameters
from resattnet.zoo.builders import get_attention_cifar


def test_a_run_leaves_its_logs_and_models(options, capsys):
    run = train(elsewhere(options, "run", save_period=2))
    assert sorted(os.listdir(run.folder)) == [
        "best.json",
        "best.params",
        "epoch-0002.json",
        "epoch-0002.params",
        "last.json",
        "last.params",
        "last.state",
        "previous.state",
    ]
    for log in ("board/run", "text/run.log", "csv/run.csv"):
        assert os.path.exists(os.path.join(options.log_dir, log))
    out = capsys.readouterr().out
    assert "epoch 3/3" in out and "tensorboard --logdir" in out and run.folder + "/best.params" in out
    assert [row["epoch"] for row in run.progress.history] == [1, 2, 3]
    assert run.progress.step == 12 and 0 < run.progress.history[-1]["learning_rate"] < 0.01
    best = max(row["validation_top1"] for row in run.progress.history)
    assert parameters.read_description(run.folder + "/best.params")["validation_top1"] == best


@pytest.mark.isa
def test_training_learns(options, three_modules):
    history = train(elsewhere(options, "learns", epochs=10, lr=0.2)).progress.history
    assert history[-1]["train_loss"] < 0.9 * history[0]["train_loss"]


@pytest.mark.parametrize("tricks", [{}, TRICKS])
def test_same_seed_same_run(options, tricks):
    runs = [train(elsewhere(options, name, workers=workers, **tricks)) for name, workers in (("a", 0), ("b", 2))]
    assert_equal_runs(*runs)
    assert figures(train(elsewhere(options, "c", seed=1))) != figures(runs[0])


@pytest.mark.parametrize("signum, step, optimizer", [(signal.SIGINT, 12, "nag"), (signal.SIGTERM, 15, "sgd")])
def test_three_and_three_epochs_equal_six(options, monkeypatch, signum, step, optimizer):
    """A run of six epochs that is stopped and resumed equals an uninterrupted run.

    One case stops at the end of an epoch, before its validation. The other case stops in the middle of an epoch.
    """
    options = dataclasses.replace(options, epochs=6, optimizer=optimizer, **TRICKS)
    whole = train(elsewhere(options, "whole"))
    again = stop_at(monkeypatch, step, lambda: os.kill(os.getpid(), signum))
    with pytest.raises(Interrupted) as stop:
        train(options)
    again()
    assert stop.value.exit_code == 128 + signum and "--resume" in str(stop.value)
    assert_equal_runs(resume(options), whole)
    with open(os.path.join(options.log_dir, "csv", "run.csv")) as handle:
        assert len(handle.readlines()) == 7


def test_a_finished_run_is_extended_with_another_cosine(options):
    """A finished run resumed with a restart equals a run that had the restart from its first epoch.

    For this reason, the command of the resumed run reproduces the run.
    """
    train(elsewhere(options, "run", epochs=2))
    restarts = dict(epochs=4, lr_restarts=(2,), lr_restart_factor=0.5)
    run = resume(options, **restarts)
    assert_equal_runs(run, train(elsewhere(options, "whole", **restarts)))
    ends = [row["learning_rate"] for row in run.progress.history][1::2]
    assert 0 < ends[1] < ends[0] < 0.02
    assert run.schedule(8) == pytest.approx(0.5 * run.schedule(4))  # the first steps of the two cosines


def test_a_restart_dropped_by_fewer_epochs_is_reported(options, monkeypatch, capsys):
    again = stop_at(monkeypatch, 1, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        train(elsewhere(options, "run", epochs=4, lr_restarts=(2, 3)))
    again()
    resume(options, epochs=3)
    assert "note: the planned restarts of the cosine after 3 are left out\n" in capsys.readouterr().out


@pytest.mark.parametrize("save_minutes, last", [(1e-9, 6), (10, 4)])
def test_a_killed_run_resumes_from_its_last_state(options, monkeypatch, save_minutes, last):
    """A run that died resumes from its last state.

    As after SIGKILL, nothing is saved when the run ends. Earlier states were saved within an epoch or at its end.
    """
    options = dataclasses.replace(options, save_minutes=save_minutes)
    whole = train(elsewhere(options, "whole"))

    def die():
        raise RuntimeError("power cut")

    again = stop_at(monkeypatch, 7, die)
    with pytest.raises(RuntimeError):
        train(options)
    again()
    assert states.load_state(os.path.join(options.model_dir, "run")).progress["step"] == last
    assert_equal_runs(resume(options), whole)


def test_a_worker_that_dies_loses_nothing(options, monkeypatch):
    options = dataclasses.replace(options, workers=1)
    whole = train(elsewhere(options, "whole", workers=0))
    again = stop_at(monkeypatch, 6, lambda: [os.kill(child.pid, signal.SIGKILL) for child in active_children()])
    with pytest.raises(InputError, match="killed.*good state is of step [678]; resume it with: --resume .*run$"):
        train(options)
    again()
    assert states.load_state(os.path.join(options.model_dir, "run")).progress["step"] >= 6
    assert_equal_runs(resume(options), whole)


def test_two_devices_resume_too(options, monkeypatch):
    options = dataclasses.replace(options, batch_size=8, num_cpus=2)
    whole = train(elsewhere(options, "whole"))
    stop_run(options, monkeypatch, 6, signal.SIGINT)
    assert_equal_runs(resume(options), whole)


def test_a_stop_while_three_devices_validate_changes_nothing(options, monkeypatch):
    """A run that is stopped during validation on three devices and resumed equals an uninterrupted run.

    The running statistics are already averaged at the stop. The resumed run would average them again.
    """
    options = dataclasses.replace(options, batch_size=8, num_cpus=3, epochs=2)
    whole = train(elsewhere(options, "whole"))
    measure = loop.TrainingLoop._measure

    def stopped(run, *args):
        os.kill(os.getpid(), signal.SIGTERM)
        return measure(run, *args)

    with monkeypatch.context() as patch:
        patch.setattr(loop.TrainingLoop, "_measure", stopped)
        with pytest.raises(Interrupted):
            train(options)
    assert states.load_state(os.path.join(options.model_dir, "run")).progress["epoch"] == 0
    assert_equal_runs(resume(options), whole)


def test_zero_gamma_is_asked_for_by_its_option(options, three_modules):
    for zero_gamma in (False, True):
        run = prepare_run(elsewhere(options, f"zero{zero_gamma}", zero_gamma=zero_gamma), [mx.cpu(0), mx.cpu(1)])
        zeros = {
            name
            for name, parameter in run.step.net._collect_params_with_prefix().items()
            if name.endswith("weight") and not any(data.asnumpy().any() for data in parameter.list_data())
        }
        lasts = {name for name in run.step.net._collect_params_with_prefix() if name.endswith("conv3.weight")}
        assert len(lasts) > 20 and zeros == (lasts if zero_gamma else set())


def test_changed_options_of_a_run_are_known(options, monkeypatch):
    stop_at(monkeypatch, 6, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        train(options)
    assert resume(options).progress.changes == []  # the warm-up is now stored as a number
    run = resume(options, epochs=4, cutout=2)
    assert run.progress.changes == [{"step": 12, "options": {"epochs": 3, "cutout": 0}}]
    assert states.load_state(run.folder).progress["changes"] == run.progress.changes


def test_what_is_validated_has_the_running_statistics_of_the_last_step():
    """Validation uses the running statistics of the last step.

    MXNet allows a read of the running statistics before the backward pass has written them.
    """
    net, copy = (get_attention_cifar(10, 56, "thin") for _ in range(2))
    for each in (net, copy):
        each.initialize()
        each.hybridize(static_alloc=True, static_shape=True)
    trainer = mx.gluon.Trainer(
        [p for p in net.collect_params().values() if p.grad_req != "null"], "nag", dict(learning_rate=0.1, momentum=0.9)
    )
    images = mx.nd.random.normal(shape=(32, 3, 32, 32))
    for _ in range(3):
        with mx.autograd.record():
            loss = net(images).sum()
        loss.backward()
        trainer.step(32)
    average_running_statistics(net)
    parameters.copy_parameters(net, copy)
    mx.nd.waitall()
    copied = copy._collect_params_with_prefix()
    for name, parameter in net._collect_params_with_prefix().items():
        assert (parameter.data().asnumpy() == copied[name].data().asnumpy()).all(), name


@pytest.mark.isa
def test_the_network_of_all_validations_has_the_present_parameters_and_the_bits_of_a_new_one(options):
    devices = [mx.cpu(0), mx.cpu(1)]
    step = prepare_run(dataclasses.replace(options, ema=0.5, lr=0.5, warmup_epochs=0), devices).step
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(16, 3, 16, 16)).astype(np.float32), rng.integers(0, 10, 16).astype(np.int32)
    seen = []
    for _ in range(3):
        step(images, labels)
        average_running_statistics(step.net)
        for averaged in (False, True):
            found = step.copy_for_inference(averaged)
            new = make_net(step.net.spec, devices)
            parameters.copy_parameters(step.net, new)
            if averaged:
                step.average.copy_to(new)
            for device in devices:
                x = mx.nd.array(images, ctx=device)
                logits = found(x).asnumpy()
                np.testing.assert_array_equal(logits, new(x).asnumpy())
            seen.append(logits)
    assert len(np.unique(np.stack(seen), axis=0)) == 6
    assert all(parameter.grad_req == "null" for parameter in found.collect_params().values())


def test_two_devices_give_the_gradients_of_one():
    """Two devices give the gradients of one device.

    The statistics of batch normalisation are fixed, because each device computes these from its own part of the batch.
    """
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(7, 3, 16, 16)).astype(np.float32), rng.integers(0, 10, 7).astype(np.int32)
    gradients = []
    for devices in ([mx.cpu(0)], [mx.cpu(0), mx.cpu(1)]):
        mx.random.seed(5)
        net = get_attention_cifar(10, 56, "thin")
        fix_statistics(net)
        net.initialize(ctx=devices)
        trainer = mx.gluon.Trainer(net.collect_params(), "sgd", kvstore="device", update_on_kvstore=False)
        with mx.autograd.record():
            losses = [
                mx.gluon.loss.SoftmaxCrossEntropyLoss()(net(x), y) for x, y in split_batch(images, labels, devices)
            ]
        mx.autograd.backward(losses)
        trainer.allreduce_grads()
        gradients.append([p.list_grad()[-1].asnumpy() for p in net.collect_params().values() if p.grad_req != "null"])
    for one, two in zip(*gradients):
        assert np.abs(one - two).max() <= 1e-3 * np.abs(one).max()


@pytest.mark.parametrize("devices", [[mx.cpu(0)], [mx.cpu(0), mx.cpu(1)]])
def test_accumulated_batches_give_the_update_of_one_large_batch(options, devices):
    rng = np.random.default_rng(0)
    batches = [
        (rng.normal(size=(16, 3, 16, 16)).astype(np.float32), rng.integers(0, 10, 16).astype(np.int32))
        for _ in range(3)
    ]
    learned = []
    for name, accumulate in (("large", 1), ("small", 4)):
        size = 16 // len(devices) // accumulate
        run = prepare_run(elsewhere(options, name, accumulate=accumulate, batch_size=size), devices)
        fix_statistics(run.step.net)
        assert len(run.inputs.train_loader) == 4  # 64 images, 16 per step
        for batch in batches:
            run.step(*batch)
        run.step.meter.collect()
        assert run.step.meter.samples == 48
        learned.append(dict(values(run), loss=np.float32(run.step.meter.mean_loss)))
    start = values(prepare_run(elsewhere(options, "start"), devices))
    for name, large in learned[0].items():
        moved = np.abs(large - start.get(name, 0)).max()
        assert np.abs(large - learned[1][name]).max() <= 1e-3 * moved, name


def test_an_accumulated_batch_larger_than_the_data_set_is_an_error(options):
    with pytest.raises(InputError, match="a batch of 80 is larger than the data set of 64 images"):
        train(dataclasses.replace(options, accumulate=5))


def test_running_statistics_are_averaged_over_devices():
    devices = [mx.cpu(0), mx.cpu(1)]
    norm = mx.gluon.nn.BatchNorm(in_channels=2)
    norm.initialize(ctx=devices)
    for device, value in zip(devices, (1.0, 3.0)):
        norm.running_mean.data(device)[:] = value
    average_running_statistics(norm)
    assert [data.asnumpy().tolist() for data in norm.running_mean.list_data()] == [[2, 2], [2, 2]]


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_state(options):
    options = dataclasses.replace(options, warmup_epochs=0, log_interval=1)
    object.__setattr__(options, "lr", 1e30)  # above the bound of the option: the loss is infinite after the first step
    with pytest.raises(InputError, match="the loss is not finite at .*lower lr.*last good state is of step 0") as error:
        train(options)
    assert "\n" not in str(error.value)
    state = states.load_state(os.path.join(options.model_dir, "run"))
    assert all(np.isfinite(array).all() for array in state.arrays.values())


def test_a_temporarily_full_disk_does_not_end_the_run(options, monkeypatch, capsys):
    save_state, calls = states.save_state, []

    def full_once(*args):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        save_state(*args)

    monkeypatch.setattr(states, "save_state", full_once)
    train(options)
    assert "warning: step 4 could not be saved" in capsys.readouterr().out


def test_a_stop_with_a_failed_save_does_not_claim_success(options, monkeypatch):
    save_state = states.save_state

    def full(folder, arrays, progress):
        if progress["step"] >= 6:
            raise OSError(28, "No space left on device")
        save_state(folder, arrays, progress)

    monkeypatch.setattr(states, "save_state", full)
    stop_at(monkeypatch, 6, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(
        InputError,
        match="^stopped after step 6; a later one could not be saved .*No space left.*; the "
        "last good state is of step 4; resume it with: --resume .*run$",
    ):
        train(options)


def test_the_best_is_one_whose_parameters_are_kept(options, monkeypatch, capsys):
    """The best epoch is one whose parameters were saved.

    If the disk is full when the best epoch ends, the figures of that epoch are not kept with the file of another epoch.
    """
    accuracies = iter([0.5, 0.9, 0.7])
    monkeypatch.setattr(
        loop.TrainingLoop,
        "_measure",
        lambda run, what, averaged=False: {
            "validation_loss": 1.0,
            "validation_top1": next(accuracies),
            "validation_top5": 1.0,
        },
    )
    save_parameters = parameters.save_parameters

    def full_once(net, path, description):
        if path.endswith("best.params") and description["validation_top1"] == 0.9:
            raise OSError(28, "No space left on device")
        save_parameters(net, path, description)

    monkeypatch.setattr(parameters, "save_parameters", full_once)
    run = train(options)
    path = os.path.join(run.folder, "best.params")
    assert run.progress.best == {"epoch": 3, "top1": 0.7}
    assert parameters.read_description(path)["epoch"] == 3
    said = capsys.readouterr().out
    assert f"warning: {path} of epoch 2 could not be saved (No space left on device)" in said
    assert "best top-1 0.7000, at epoch 3" in said


def test_an_error_of_one_file_of_an_epoch_does_not_lose_the_others(options, monkeypatch):
    """`last.params` comes first; `epoch-0001.params`, `best.params` and the state are written after its error."""
    save_parameters = parameters.save_parameters

    def full_for_last(net, path, description):
        if path.endswith("last.params"):
            raise OSError(28, "No space left on device")
        save_parameters(net, path, description)

    monkeypatch.setattr(parameters, "save_parameters", full_for_last)
    folder = os.path.join(options.model_dir, "run")
    with pytest.raises(InputError) as error:
        train(dataclasses.replace(options, epochs=1, save_period=1))
    path = os.path.join(folder, "last.params")
    assert str(error.value) == f"the run is done, but {path} could not be saved (No space left on device)"
    assert states.load_state(folder).progress["best"]["epoch"] == 1
    for name in ("epoch-0001.params", "best.params"):
        assert parameters.read_description(os.path.join(folder, name))["epoch"] == 1


def test_only_training_is_timed(options, monkeypatch):
    """The training time excludes everything before the first step, and excludes validation.

    A signal may cut validation short.
    """
    open_inputs = preparation.open_inputs

    def slow(*args):
        time.sleep(3)
        return open_inputs(*args)

    def measure(run, what, averaged=False):
        time.sleep(3)
        os.kill(os.getpid(), signal.SIGTERM)
        run.obey_signals()

    monkeypatch.setattr(preparation, "open_inputs", slow)
    monkeypatch.setattr(loop.TrainingLoop, "_measure", measure)
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        train(dataclasses.replace(options, epochs=1))
    state = states.load_state(os.path.join(options.model_dir, "run"))
    assert 0 < state.progress["totals"]["seconds"] < time.monotonic() - begun - 6


def test_a_failed_last_save_is_reported(options, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(states, "save_state", full)
    with pytest.raises(InputError, match="its last state could not be saved"):
        train(dataclasses.replace(options, epochs=1))


def test_training_accuracy_under_mixup_is_called_what_it_is(options):
    row = train(elsewhere(options, "mixed", epochs=1, mix_up=True)).progress.history[0]
    assert "train_accuracy_heavier_label" in row and "train_accuracy" not in row


def test_a_run_resumed_with_mixup_has_a_csv_column_for_each_accuracy(options):
    train(dataclasses.replace(options, epochs=1))
    resume(options, epochs=2, mix_up=True)
    with open(os.path.join(options.log_dir, "csv", "run.csv")) as handle:
        rows = list(csv.DictReader(handle))
    assert [bool(row["train_accuracy"]) for row in rows] == [True, False]
    assert [bool(row["train_accuracy_heavier_label"]) for row in rows] == [False, True]


def test_a_resume_with_another_batch_size_explains_itself(options, capsys):
    train(dataclasses.replace(options, epochs=1))
    resume(options, epochs=2)
    assert "in place of" not in capsys.readouterr().out
    resume(options, epochs=3, batch_size=8, num_cpus=4)
    assert "note: an epoch has 2 steps in place of 4: the place in the epoch" in capsys.readouterr().out


@pytest.mark.parametrize("step", [2, 6, 8])
def test_with_other_batches_the_schedule_goes_on_where_it_was(options, monkeypatch, step):
    """A run resumed with larger batches continues its schedule at the same point.

    Doubling the images of an update halves the number of steps. After the change, all learning rates equal those of a
    run that had the larger batches from its first step.
    """
    large = dict(batch_size=16, num_cpus=2)
    expected = train(elsewhere(options, "large", epochs=4, **large)).progress.history
    stop_run(dataclasses.replace(options, epochs=4), monkeypatch, step, signal.SIGINT)
    run = resume(options, **large)
    whole = step // 4
    for row, other in zip(run.progress.history[whole:], expected[whole:]):
        assert (row["step"], row["learning_rate"]) == (other["step"], other["learning_rate"])
    assert run.progress.step == 8 and run.step.trainer._optimizer.num_update == 8


def test_cutout_erases_from_training_images_only(options):
    run = prepare_run(elsewhere(options, "cut", cutout=8), [mx.cpu()])
    images = np.concatenate([images for images, _ in run.inputs.train_loader.epoch(0)])
    assert ((images == 0).all(axis=1).sum(axis=(1, 2)) >= 4 * 4).all()  # at least a corner of the square
    assert not any((images == 0).any() for images, _ in run.inputs.validation_loader)


def test_an_existing_run_is_not_written_over(options):
    train(dataclasses.replace(options, epochs=1))
    with pytest.raises(InputError, match="exists already: continue that run by resume="):
        train(options)


def test_states_hold_their_options(options):
    train(dataclasses.replace(options, epochs=1, mix_up=True, alpha=0.3))
    state = states.load_state(os.path.join(options.model_dir, "run"))
    assert state.options["alpha"] == 0.3
    json.dumps(state.options)


def test_missing_devices_are_refused(monkeypatch):
    from resattnet.machine import devices

    monkeypatch.setattr(devices, "find_gpus", lambda: ([0], ["GPU 1 (H100) has compute capability 9.0"]))
    assert choose_devices(1)[0] == [mx.gpu(0)] == choose_devices()[0]
    assert choose_devices(0)[0] == [mx.cpu()]
    assert choose_devices(0, num_cpus=2)[0] == [mx.cpu(0), mx.cpu(1)]
    assert choose_devices(num_cpus=2)[0] == [mx.cpu(0), mx.cpu(1)]  # num_cpus selects the CPU although there is a GPU
    with pytest.raises(InputError, match=r"num_gpus=3: MXNet can use 1 GPU here \(GPU 1 \(H100\) has compute"):
        choose_devices(3)


def test_a_run_in_training_elsewhere_keeps_its_logs(options):
    run = train(dataclasses.replace(options, epochs=1))
    log = os.path.join(options.log_dir, "text", "run.log")
    with open(log) as handle:
        before = handle.read()
    code = (
        "import sys; from resattnet.runs.run_folders import exclusive\n"
        "with exclusive(sys.argv[1]):\n    print(flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code, run.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    other.stdout.readline()
    with pytest.raises(InputError, match="another process .* trains this run"):
        resume(options, epochs=2)
    other.communicate()
    with open(log) as handle:
        assert handle.read() == before


def test_a_finished_run_says_so(options, capsys):
    train(options)
    before = capsys.readouterr().out
    resume(options)
    out = capsys.readouterr().out
    assert "all epochs of the run (3) are done; a larger --epochs continues it" in out and "resumed" not in out
    assert out.splitlines()[-5:] == before.splitlines()[-5:] and "done: best top-1" in out


def test_an_epoch_shorter_than_the_interval_is_reported_once(options, monkeypatch, capsys):
    monkeypatch.setattr(pace, "FIRST_REPORT", 1e9)
    train(dataclasses.replace(options, log_interval=50, epochs=2))
    lines = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("  step")]
    assert lines == ["4", "8"]


def test_the_first_line_of_slow_steps_comes_before_the_interval(options, monkeypatch, capsys):
    """It has the time that is left, is no point on the board, and changes no bit of the run."""
    plain = train(elsewhere(options, "plain", log_interval=3, epochs=2))
    capsys.readouterr()
    monkeypatch.setattr(pace, "FIRST_REPORT", 0)
    monkeypatch.setattr(pace, "LONG", 0)
    run = train(elsewhere(options, "run", log_interval=3, epochs=2))
    lines = capsys.readouterr().out.splitlines()
    steps = [number for number, line in enumerate(lines) if line.startswith("  step")]
    assert [lines[number].split()[1] for number in steps] == ["2", "3", "7"]
    for number in steps:
        assert re.search(r"  [\d.]+ images/s  epoch left [\d.]+ s  run left [\d.]+ s$", lines[number]), lines[number]
        speed = float(lines[number].split(" images/s")[0].split()[-1])
        assert speed > 0
    notes = [number for number, line in enumerate(lines) if line.startswith("note: at this speed the run takes ")]
    assert notes == [steps[0] + 1]
    assert_equal_runs(plain, run)
    board = read_board(os.path.join(options.log_dir, "board", "run"))
    assert [step for step, _ in board["scalars"]["loss/train"]] == [3, 7]


def test_a_report_after_each_step_has_a_speed(options, capsys):
    """The first step is collected once: its report has its speed, not that of no images in no time."""
    train(dataclasses.replace(options, log_interval=1, epochs=1))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  step")]
    assert len(lines) == 4 and all(0 < float(line.split(" images/s")[0].split()[-1]) < 1e5 for line in lines)


@pytest.mark.parametrize("place", ["log_dir", "model_dir"])
def test_a_file_instead_of_an_output_folder(options, tmp_path, place):
    """An unusable folder gives a one-line error, and no files remain that the corrected command would find."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=re.escape(f"{place}={tmp_path / 'file'}")):
        train(dataclasses.replace(options, **{place: str(tmp_path / "file")}))
    assert not os.path.exists(os.path.join(options.model_dir, "run"))
    train(dataclasses.replace(options, epochs=1))


def test_the_text_log_has_the_arguments_and_why_it_ended(options, monkeypatch):
    again = stop_at(monkeypatch, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted) as stop:
        train(options)
    again()
    with open(os.path.join(options.log_dir, "text", "run.log"), encoding="utf-8") as handle:
        lines = handle.read().splitlines()
    assert "arguments: " in lines[0] and "batch_size=16" in lines[0] and lines[-1].endswith(str(stop.value))


def test_a_run_trains_in_a_thread(options):
    """Python handles signals in the main thread only; the run is the same without them."""
    runs = []
    thread = threading.Thread(target=lambda: runs.append(train(dataclasses.replace(options, epochs=1))))
    thread.start()
    thread.join()
    assert runs[0].progress.epoch == 1
    assert_equal_runs(runs[0], train(elsewhere(options, "main", epochs=1)))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, InputError])
@pytest.mark.parametrize("place", [(Reporter, "begin"), (loop.TrainingLoop, "_save")])
def test_a_run_that_fails_before_its_first_state_leaves_its_name_free(options, monkeypatch, place, error):
    def fail(*_):
        raise error("first")

    with monkeypatch.context() as patch:
        patch.setattr(*place, fail)
        with pytest.raises(error):
            train(options)
    assert os.listdir(options.model_dir) == []
    train(dataclasses.replace(options, epochs=1))


def test_a_loader_that_fails_in_validation_loses_nothing(options, monkeypatch):
    """The state of the epoch is saved after validation only, unless validation fails."""

    def fail(*_):
        raise InputError("loader worker 1 of 2 was killed")
        yield

    def prepare(*args):
        run = prepare_run(*args)
        monkeypatch.setattr(run.inputs.validation_loader, "epoch", fail)
        return run

    monkeypatch.setattr(training_run, "prepare_run", prepare)
    with pytest.raises(InputError, match="was killed; the last good state is of step 4; resume it with: --resume"):
        train(options)
    assert states.load_state(os.path.join(options.model_dir, "run")).progress["step"] == 4
