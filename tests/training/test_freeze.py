"""Tests for `--freeze` and `--head-lr-factor`: what a step changes, and what it leaves as it is, bit for bit."""

import dataclasses
import os

import numpy as np
import pytest

from helpers.networks import needs_avx512
from helpers.runs import assert_equal_runs, elsewhere, resume, stop_run, values
from resattnet.commands.training_run import train
from resattnet.machine.devices import choose_devices
from resattnet.machine.mxnet import mx
from resattnet.models.parts import PARTS, part_layers
from resattnet.run_options.options import TrainingOptions
from resattnet.run_options.resume import options_for_resume
from resattnet.runs import states
from resattnet.system.errors import InputError
from resattnet.training.preparation import prepare_run
from resattnet.training.state_arrays import restore_arrays, state_arrays

CPU = [mx.cpu(0)]
TRICKS = dict(ema=0.9, clip_gradient=0.5, no_wd=True, mix_up=True, wd=0.1)


@pytest.fixture
def tuned(options):
    """Return the options of a run that starts from the parameters of a finished one."""
    first = train(elsewhere(options, "first", epochs=1))
    return dataclasses.replace(options, name="tuned", params=os.path.join(first.folder, "last.params"))


def frozen_names(net, parts):
    """Return the names of the arrays of some parts, as `values` gives them."""
    ids = {id(p) for part in parts for layer in part_layers(net, part) for p in layer.collect_params().values()}
    return {name for name, parameter in net._collect_params_with_prefix().items() if id(parameter) in ids}


def batch(seed=0, size=16):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(size, 3, 16, 16)).astype(np.float32), rng.integers(0, 10, size).astype(np.int32)


def assert_only_the_rest_changes(run, before, parts):
    names = frozen_names(run.step.net, parts)
    changed = {name for name, value in values(run).items() if (value != before[name]).any()}
    assert names and not names & changed
    assert changed == set(before) - names


@pytest.mark.parametrize("parts", [("stem",), ("stage2",), ("stem", "stage1", "stage3"), PARTS])
def test_a_step_changes_everything_but_the_frozen_parts(options, tuned, parts):
    run = prepare_run(dataclasses.replace(tuned, freeze=parts, wd=0.1, warmup_epochs=0), CPU)
    before = values(run)
    for seed in range(2):
        run.step(*batch(seed))
    mx.nd.waitall()
    assert_only_the_rest_changes(run, before, parts)
    learned = {id(p) for p in run.step.trainer._params}
    own = run.step.net._collect_params_with_prefix()
    assert not {name for name in frozen_names(run.step.net, parts) if id(own[name]) in learned}


@pytest.mark.parametrize("parts", [("stem", "stage1"), ("stage2",)])
def test_the_trained_parts_take_the_step_of_a_network_that_only_has_fixed_statistics_there(tuned, parts):
    """The gradient above and below frozen parts is that of the whole network with their statistics fixed."""
    frozen = prepare_run(dataclasses.replace(tuned, freeze=parts, wd=0.1, warmup_epochs=0), CPU)
    whole = prepare_run(elsewhere(tuned, "whole", wd=0.1, warmup_epochs=0), CPU)
    for part in parts:
        for layer in part_layers(whole.step.net, part):
            layer.apply(
                lambda block: isinstance(block, mx.gluon.nn.BatchNorm) and block._kwargs.update(use_global_stats=True)
            )
    before = values(whole)
    for run in (frozen, whole):
        run.step(*batch())
    mx.nd.waitall()
    names = frozen_names(frozen.step.net, parts)
    found, expected = values(frozen), values(whole)
    for name in set(found) - names:
        scale = np.abs(expected[name] - before[name]).max()
        assert np.abs(found[name] - expected[name]).max() <= 1e-3 * scale + 1e-7, name
    assert any((expected[name] != before[name]).any() for name in names)


@pytest.mark.parametrize("devices, accumulate", [(2, 1), (1, 2), (2, 2)])
def test_several_devices_accumulation_and_tricks_leave_the_frozen_parts_too(tuned, devices, accumulate):
    parts = ("stem", "stage1", "stage2")
    options = dataclasses.replace(
        tuned, freeze=parts, num_cpus=devices, accumulate=accumulate, batch_size=8, epochs=2, **TRICKS
    )
    start = values(prepare_run(elsewhere(options, "start"), choose_devices(0, devices)[0]))
    run = train(options)
    assert_only_the_rest_changes(run, start, parts)
    names = frozen_names(run.step.net, parts)
    for name, parameter in run.step.net._collect_params_with_prefix().items():
        if name in names:
            assert all((copy.asnumpy() == start[name]).all() for copy in parameter.list_data())
    average = run.step.average.state_arrays()
    assert average and not {"average/" + name for name in names} & set(average)
    best = mx.nd.load(os.path.join(run.folder, "best-ema.params"))
    assert all((best[name].asnumpy() == start[name]).all() for name in names)


@pytest.mark.parametrize("devices", [1, 2])
def test_a_run_with_frozen_parts_resumes_with_the_same_bits(tuned, monkeypatch, devices):
    options = dataclasses.replace(
        tuned, freeze=("stage1", "stem"), num_cpus=devices, batch_size=8, epochs=2, head_lr_factor=5.0, **TRICKS
    )
    whole = train(elsewhere(options, "whole"))
    stop_run(options, monkeypatch, 5)
    again = resume(options)
    assert again.options.freeze == ("stem", "stage1")
    assert_equal_runs(again, whole)
    for name, array in whole.step.average.state_arrays().items():
        assert (again.step.average.state_arrays()[name] == array).all(), name


def test_frozen_parameters_keep_their_bits_on_another_number_of_devices(tuned):
    options = dataclasses.replace(tuned, freeze=PARTS, batch_size=4)
    three, two = (
        prepare_run(elsewhere(options, f"on{count}", num_cpus=count), choose_devices(0, count)[0]) for count in (3, 2)
    )
    three.step(*batch(size=12))
    arrays = state_arrays(three.step.net, three.step.trainer)
    restore_arrays(arrays, two.step.net, two.step.trainer, 1)
    expected = values(three)
    for name, parameter in two.step.net._collect_params_with_prefix().items():
        assert all((copy.asnumpy() == expected[name]).all() for copy in parameter.list_data()), name


def test_the_log_says_what_is_trained(tuned, capsys):
    run = train(dataclasses.replace(tuned, freeze=("features",), epochs=1))
    count = sum(p.data().size for p in run.step.trainer._params)
    assert {p.name for p in run.step.trainer._params} == {p.name for p in run.step.net.output.collect_params().values()}
    line = f"note: frozen: stem, stage1, stage2, stage3, tail; {count:,} of "
    assert line in capsys.readouterr().out
    assert states.load_state(run.folder).options["freeze"] == list(PARTS)
    assert run.options.title.endswith("_tuned_frozen")


@needs_avx512
def test_frozen_parts_stay_in_bfloat16(tuned):
    parts = ("stem", "stage1")
    run = prepare_run(dataclasses.replace(tuned, freeze=parts, dtype="bfloat16", warmup_epochs=0), CPU)
    before = values(run)
    run.step(*batch())
    mx.nd.waitall()
    assert_only_the_rest_changes(run, before, parts)


@pytest.mark.parametrize(
    "given, message",
    [
        (dict(freeze=("stem",)), "^freeze=stem needs params: frozen random weights learn nothing$"),
        (
            dict(freeze=("stem", "block1"), params="a.params"),
            "^freeze=stem,block1: choose from stem, stage1, stage2, stage3, tail, features$",
        ),
        (dict(head_lr_factor=0.0), "^head_lr_factor=0.0: give a number at least 0.001"),
        (dict(head_lr_factor=1e9), "^head_lr_factor=1000000000.0: give a number at most 1000"),
    ],
)
def test_wrong_options_are_refused_in_one_line(given, message):
    with pytest.raises(InputError, match=message):
        TrainingOptions(**given)


def test_a_resumed_run_keeps_its_frozen_parts():
    own = dataclasses.asdict(TrainingOptions(params="a.params", freeze=("stage1", "stem")))
    assert options_for_resume(own, dict(freeze=("stem", "stage1"), epochs=60), 0).freeze == ("stem", "stage1")
    with pytest.raises(InputError, match="^freeze=tail: the run to resume has freeze=stem,stage1, which cannot change"):
        options_for_resume(own, dict(freeze=("tail",)), 0)
    del own["freeze"], own["head_lr_factor"], own["sampler"], own["class_weights"]
    assert options_for_resume(own, {}, 0).freeze is None  # a state of an earlier version


@pytest.mark.parametrize("devices, accumulate", [(1, 1), (2, 2)])
def test_the_last_layer_takes_steps_that_are_a_factor_longer(options, devices, accumulate):
    changes = dict(optimizer="sgd", momentum=0.0, wd=0.3, warmup_epochs=0, accumulate=accumulate, num_cpus=devices)
    moves = []
    for factor in (1.0, 8.0):
        run = prepare_run(
            elsewhere(options, f"times{factor:g}", lr=0.01, head_lr_factor=factor, **changes),
            choose_devices(0, devices)[0],
        )
        before = values(run)
        run.step(*batch())
        moves.append({name: value - before[name] for name, value in values(run).items()})
    for name, move in moves[0].items():
        factor = 8 if name.startswith("output.") else 1
        assert np.allclose(moves[1][name], factor * move, rtol=1e-3, atol=1e-6), name
    assert np.abs(moves[0]["output.weight"]).max() > 1e-4
