"""Tests for fine-tuning: a run starts from a file's parameters, bit for bit, or a one-line error says why it cannot."""

import dataclasses
import os

import numpy as np
import pytest

from helpers.networks import change_description
from helpers.runs import assert_equal_runs, elsewhere, resume, stop_run, values
from resattnet.commands.training_run import train
from resattnet.datasets import catalog
from resattnet.export.export_file import export_file
from resattnet.export.options import ExportOptions
from resattnet.machine.devices import choose_devices
from resattnet.machine.mxnet import mx
from resattnet.models import spec
from resattnet.system.errors import InputError
from resattnet.training.preparation import prepare_run
from resattnet.zoo import parameters

CPU = [mx.cpu(0)]


@pytest.fixture
def first(options):
    """Return a finished run."""
    return train(elsewhere(options, "first", epochs=1))


@pytest.fixture
def path(first):
    """Return the path of the parameters of the finished run."""
    return os.path.join(first.folder, "last.params")


def refusal(options, path, **changes):
    """Return the one-line error for a run that cannot start from `path`. Check that the run leaves no folder."""
    with pytest.raises(InputError) as error:
        prepare_run(elsewhere(options, "tuned", params=path, **changes), CPU)
    assert not os.path.exists(os.path.join(options.model_dir, "tuned"))
    line = str(error.value)
    assert line.startswith("params: ") and "\n" not in line
    return line


@pytest.mark.parametrize("num_cpus", [1, 2])
def test_a_run_has_the_parameters_that_it_starts_from(options, first, path, num_cpus):
    options = dataclasses.replace(options, name="tuned", params=path, num_cpus=num_cpus, ema=0.9)
    run, theirs = prepare_run(options, choose_devices(0, num_cpus)[0]), values(first)
    for name, parameter in run.step.net._collect_params_with_prefix().items():
        assert len(parameter.list_data()) == num_cpus
        assert all((copy.asnumpy() == theirs[name]).all() for copy in parameter.list_data())
    average = run.step.average.state_arrays()
    assert average and all((value == theirs[name[len("average/") :]]).all() for name, value in average.items())


def test_a_run_logs_and_keeps_its_initial_weights(options, path, capsys):
    run = train(elsewhere(options, "tuned", params=path))
    assert f"note: starts from {path}\n" in capsys.readouterr().out
    told = parameters.read_description(os.path.join(run.folder, "best.params"))
    assert told["started_from"] == parameters.read_description(path)["sha256"]
    assert dataclasses.replace(options, params=path).title == "digits_attention56_thin_tuned"


def test_a_resume_needs_no_initial_weights_file(options, path, monkeypatch):
    options = dataclasses.replace(options, params=path)
    whole = train(elsewhere(options, "whole"))
    stop_run(options, monkeypatch, 6)
    os.remove(path)
    assert_equal_runs(resume(options), whole)


def test_parameters_stored_in_float16_are_trained_in_float32(options, path):
    target = path[: -len(".params")] + "-half"
    (half, _), _, _ = export_file(path, ExportOptions(to="float16", output=target))
    run = prepare_run(elsewhere(options, "tuned", params=half), CPU)
    stored, found = mx.nd.load(half), values(run)
    assert stored["output.weight"].dtype == np.float16 and found["output.weight"].dtype == np.float32
    assert all((value.asnumpy() == found[name]).all() for name, value in stored.items())


def test_the_last_layer_of_another_data_set_is_initialised_anew(options, first, path):
    change_description(path, dataset="cifar10")
    drawn, theirs = values(prepare_run(elsewhere(options, "drawn"), CPU)), values(first)
    run = prepare_run(elsewhere(options, "tuned", params=path), CPU)
    assert run.remarks == [
        f"starts from {path}, trained on cifar10 with 10 classes: the last layer is newly initialised"
    ]
    for name, value in values(run).items():
        assert (value == (drawn if name.startswith("output") else theirs)[name]).all(), name


def test_the_last_layer_may_have_other_classes(options, first, path, monkeypatch):
    describe = catalog.describe_data
    monkeypatch.setattr(
        catalog, "describe_data", lambda *args: dataclasses.replace(describe(*args), classes=tuple("abcdefghijkl"))
    )
    run, theirs = prepare_run(elsewhere(options, "tuned", params=path), CPU), values(first)
    found = values(run)
    assert found.pop("output.weight").shape[0] == found.pop("output.bias").shape[0] == 12
    assert all((value == theirs[name]).all() for name, value in found.items())
    assert run.remarks == [
        f"starts from {path}, trained on digits with 10 classes: the last layer is newly initialised; since then the "
        "data set has 12 classes in place of 10"
    ]


@pytest.mark.parametrize("size", [[24, 20], None])
def test_the_images_may_have_another_size(options, first, path, size):
    """The network takes images of any size; the log names both sizes, for a description without data facts too."""
    data = dict(parameters.read_description(path)["data"], image_size=size) if size else None
    change_description(path, dataset="cifar10", data=data)
    run = prepare_run(elsewhere(options, "tuned", params=path), CPU)
    before = "24x20" if size else "32x32"
    assert run.remarks == [
        f"starts from {path}, trained on cifar10 with 10 classes: the last layer is newly initialised; its images had "
        f"{before} pixels (height, width), those of this run have 16x16"
    ]
    batches = run.inputs.train_loader.epoch(0)
    run.step(*next(batches))
    run.step.meter.collect()
    assert np.isfinite(run.step.meter.loss)


def test_missing_parameters_are_reported_before_missing_data(options, path, monkeypatch):
    monkeypatch.setattr(catalog, "load_images", None)
    assert "lost.params: no such parameter file; did you mean" in refusal(options, path.replace("last", "lost"))
    with open(path, "r+b") as handle:
        handle.write(b"damage")
    assert "last.params is damaged" in refusal(options, path)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(attention_learning="nal"), "belongs to a network with attention_learning=arl, this run's has nal"),
        (dict(num_layers=92), "belongs to a network with num_layers=56, this run's has 92"),
        (dict(unit="resnext"), "belongs to a network with unit=bottleneck, this run's has resnext"),
        (dict(widths="full"), "belongs to a network with widths=thin, this run's has full"),
    ],
)
def test_a_network_of_another_kind_is_refused(options, path, change, message):
    assert message in refusal(options, path, **change)


@pytest.mark.parametrize("name", ["stem", "unit"])
def test_a_network_of_another_stem_or_unit_is_refused(options, path, name, monkeypatch):
    table, value = {"stem": (spec.STEMS, "cifar"), "unit": (spec.UNITS, "bottleneck")}[name]
    monkeypatch.setitem(table, "other", table[value])
    network = dict(parameters.read_description(path)["network"], **{name: "other"})
    change_description(path, network=network)
    assert f"belongs to a network with {name}=other, this run's has {value}" in refusal(options, path)
    monkeypatch.delitem(table, "other")
    assert f"{name}=other: choose from " in refusal(options, path)


def test_an_incomplete_description_is_refused(options, path):
    change_description(path, network=dict(num_layers=56, widths="thin", classes=10, stage_strides=[1, 1, 1]))
    assert "belongs to a network with stage_strides=(1, 1, 1), this run's has (1, 2, 2)" in refusal(options, path)
    change_description(path, dataset=None)
    assert "does not name the network and the data set" in refusal(options, path)
    os.remove(path[: -len("params")] + "json")
    assert "has no description beside it: give a parameter file that a run saved" in refusal(options, path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_refused(options, first, path, value):
    first.step.net.output.bias.set_data(mx.nd.full((10,), value))
    parameters.save_parameters(first.step.net, path, parameters.read_description(path))
    assert refusal(options, path).endswith("last.params: not all parameters are finite numbers")
