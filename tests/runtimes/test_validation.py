"""Test that the validation of a run by an engine has the figures of MXNet, and leaves the training as it is."""

import dataclasses

import pytest

from helpers.runs import CLOCK, elsewhere, figures, values
from resattnet.commands.training_run import train
from resattnet.run_options.options import TrainingOptions
from resattnet.runtimes import choice
from resattnet.system.errors import InputError

pytest.importorskip("onnx", reason="python -m pip install -e '.[onnx]'")


def test_the_figures_of_a_run_are_those_of_mxnet(options, recwarn):
    engine = next((name for name, row in choice.ENGINES.items() if row.is_installed), None)
    if engine is None:
        pytest.skip("python -m pip install -e '.[onnx]'")
    options = dataclasses.replace(options, epochs=2, ema=0.9)
    by_mxnet = train(options)
    by_engine = train(elsewhere(options, "engine", validation_runtime=engine))
    for mine, theirs in zip(figures(by_engine), figures(by_mxnet)):
        assert mine.keys() == theirs.keys() and not set(CLOCK) & mine.keys()
        for name, value in mine.items():
            is_computed = name.startswith("validation")
            assert value == (pytest.approx(theirs[name], rel=1e-4) if is_computed else theirs[name]), name
    own = values(by_mxnet)
    assert all((value == own[name]).all() for name, value in values(by_engine).items())
    assert not [each for each in recwarn if "logits" in str(each.message)]


@pytest.mark.parametrize("other", [dict(num_gpus=1), dict(gpus=(0,)), dict(num_cpus=2), dict(kvstore="dist_sync")])
def test_engines_validate_on_the_cpu_in_one_process(other):
    with pytest.raises(InputError, match="validation_runtime=openvino .*: engines compute on the CPU, in one process"):
        TrainingOptions(validation_runtime="openvino", **other)


def test_a_missing_engine_is_named_before_the_run_begins(options, monkeypatch):
    monkeypatch.setitem(choice.ENGINES, "openvino", choice.ENGINES["openvino"]._replace(package="no_such_engine"))
    with pytest.raises(
        InputError, match=r"validation_runtime=openvino: no_such_engine cannot .* pip install -e '\.\[openvino\]'"
    ):
        train(dataclasses.replace(options, validation_runtime="openvino"))
