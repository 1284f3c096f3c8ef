"""Test what computes a parameter file or an ONNX file in a test or a prediction: the choice, and the figures."""

import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

from helpers import small_digits
from helpers.networks import save_net
from helpers.scripts import ROOT
from resattnet.evaluation.evaluate import evaluate_file, evaluate_files
from resattnet.evaluation.options import TestOptions as Testing
from resattnet.export.export_file import export_file
from resattnet.export.options import ExportOptions
from resattnet.models import spec
from resattnet.prediction.classifier import Classifier
from resattnet.prediction.options import PredictionOptions
from resattnet.prediction.prediction_files import predict_files
from resattnet.runtimes import choice, converted, engines
from resattnet.runtimes.choice import LARGE, choose_for_network
from resattnet.runtimes.exported_model import load_exported
from resattnet.system.errors import InputError, Remark

onnx = pytest.importorskip("onnx", reason="python -m pip install -e '.[onnx]'")
pytest.importorskip("onnxruntime", reason="python -m pip install -e '.[onnx]'")


@pytest.fixture(scope="module")
def digits():
    """Use networks with few channels, and 30 test digits of 16x16 pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(spec.CIFAR_WIDTHS, "thin", spec.Widths(8, (16, 16, 16), 16))
        small_digits.use(patch, 64, 30)
        yield


@pytest.fixture(scope="module")
def params(tmp_path_factory, digits):
    return save_net(tmp_path_factory.mktemp("net"))


@pytest.fixture(scope="module")
def small(params):
    """Return the network as an ONNX file beside the parameters."""
    path = params.replace(".params", ".onnx")
    export_file(params, ExportOptions(output=path))
    return path


@pytest.fixture(scope="module")
def by_mxnet(params):
    return evaluate_file(params, Testing(num_gpus=0, runtime="mxnet", corruptions="contrast", corruption_images=10))


@pytest.fixture
def small_sets_pay(monkeypatch):
    monkeypatch.setattr(choice, "LARGE", 1)


def measured(path, **options):
    return evaluate_file(path, Testing(corruptions="contrast", corruption_images=10, **options))


def assert_same(mine, theirs):
    np.testing.assert_allclose(mine.evaluation.logits, theirs.evaluation.logits, atol=1e-4)
    assert mine.evaluation.top1 == theirs.evaluation.top1 and mine.classes == theirs.classes
    assert mine.robustness == theirs.robustness


def test_a_test_by_an_engine_gives_the_figures_of_mxnet(engine, params, small, by_mxnet):
    for path in (params, small):
        result = measured(path, runtime=engine)
        assert_same(result, by_mxnet)
        assert (result.facts["runtime"], result.facts["precision"]) == (engine, "float32")
        assert result.facts["network"] == by_mxnet.facts["network"]
    assert (by_mxnet.facts["runtime"], by_mxnet.facts["dataset"]) == ("mxnet", "digits")
    assert result.facts["dataset"] == "digits" and result.facts["sha256"] != by_mxnet.facts["sha256"]


def test_an_ensemble_of_parameters_and_an_onnx_file(params, small, by_mxnet):
    *alone, both = evaluate_files([params, small], Testing(num_gpus=0, ensemble=True))
    np.testing.assert_allclose(alone[0].evaluation.logits, alone[1].evaluation.logits, atol=1e-4)
    np.testing.assert_allclose(both.evaluation.losses, by_mxnet.evaluation.losses, atol=1e-4)


def test_an_onnx_file_is_tested_without_mxnet(small, tmp_path):
    program = f"""
import sys
sys.modules.update(dict.fromkeys(["mxnet", "gluoncv", "onnx"]))
sys.path.insert(0, {os.path.join(ROOT, "tests")!r})
from helpers import small_digits
from resattnet import commands
from resattnet.datasets import catalog
small_digits.use(type("Patch", (), dict(setattr=staticmethod(setattr))), 64, 30)
commands.load_command("test").main(dict(params=[{small!r}], batch_size=7, output={str(tmp_path)!r}))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0 and "top-1" in done.stdout and not done.stderr, done
    written = json.loads((tmp_path / "evaluation.json").read_text())
    assert written["samples"] == 30 and written["runtime"] in engines.ENGINES


def test_few_images_are_computed_by_mxnet_and_many_by_the_first_engine(params, by_mxnet, monkeypatch):
    first = next(name for name, engine in engines.ENGINES.items() if engine.is_installed)
    assert choose_for_network(params, pixels=LARGE - 1) is None and choose_for_network(params, pixels=LARGE) == first
    assert choose_for_network(params, "mxnet", pixels=LARGE) is None
    assert measured(params).facts["runtime"] == "mxnet"
    monkeypatch.setattr(choice, "LARGE", 16 * 16 * (30 + 5 * 10))  # as many as there are
    result = measured(params)
    assert result.facts["runtime"] == first
    assert_same(result, by_mxnet)
    for others in (dict(num_cpus=2), dict(graph="fused"), dict(runtime="mxnet")):
        assert measured(params, **others).facts["runtime"] == "mxnet"
    monkeypatch.setattr(choice, "LARGE", 16 * 16 * (30 + 5 * 10) + 1)
    assert measured(params).facts["runtime"] == "mxnet"


def test_an_engine_with_other_logits_is_not_used_unasked(params, by_mxnet, small_sets_pay, monkeypatch):
    compiled = converted.compile_model

    def compile_wrong(*args):
        program = compiled(*args)
        return program._replace(run=lambda images: program.run(images) + np.float32(0.01))

    monkeypatch.setattr(converted, "compile_model", compile_wrong)
    with pytest.warns(Remark, match=r"MXNet computes, and not \w+: its logits differ from MXNet's by 0.01 \("):
        result = measured(params)
    assert result.facts["runtime"] == "mxnet"
    assert (result.evaluation.logits == by_mxnet.evaluation.logits).all()
    with pytest.warns(Remark, match="onnxruntime: its logits differ from MXNet's by 0.01"):
        result = measured(params, runtime="onnxruntime")
    np.testing.assert_allclose(result.evaluation.logits, by_mxnet.evaluation.logits + 0.01, atol=1e-4)


def test_a_network_that_cannot_be_converted_is_computed_by_mxnet(params, by_mxnet, small_sets_pay, monkeypatch):
    def fail(*_):
        raise AttributeError("module 'onnx' has no attribute 'mapping'")

    monkeypatch.setattr(converted, "make_model", fail)
    with pytest.warns(Remark, match="MXNet computes, and not .*: module 'onnx' has no attribute 'mapping'; runtime=mx"):
        result = measured(params)
    assert (result.evaluation.logits == by_mxnet.evaluation.logits).all()
    with pytest.raises(AttributeError):
        measured(params, runtime="onnxruntime")


def test_a_classifier_of_parameters_by_an_engine(engine, params, digits):
    images = np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3)).astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Remark)
        found = Classifier.load(params, runtime=engine).predict(images, top=10)
    for mine, theirs in zip(found, Classifier.load(params, num_gpus=0).predict(images, top=10)):
        assert mine.probabilities == pytest.approx(theirs.probabilities, abs=1e-4)


def test_many_photographs_are_predicted_by_an_engine(params, small_sets_pay, tmp_path, monkeypatch):
    asked = []
    compiled = converted.compile_model
    monkeypatch.setattr(converted, "compile_model", lambda *args: asked.append(args[1]) or compiled(*args))
    from PIL import Image

    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "a.png")
    options = dict(output=str(tmp_path / "out.csv"), num_gpus=0)
    predict_files(params, [str(tmp_path / "a.png")], PredictionOptions(**options))
    predict_files(params, [str(tmp_path / "a.png")], PredictionOptions(runtime="mxnet", **options))
    assert len(asked) == 1


def test_an_int8_file_has_its_own_precision(engine, small, tmp_path):
    model, path = onnx.load(small), str(tmp_path / "int8.onnx")
    model.metadata_props.add(key="precision", value="int8")
    onnx.save(model, path)
    assert load_exported(path, engine).program.precision == "int8"
    assert load_exported(path, engine, "int8").computed_by == {"runtime": engine, "precision": "int8"}
    with pytest.raises(InputError, match="precision=float32: .*int8.onnx is an INT8 file; leave it out, or give a"):
        load_exported(path, engine, "float32")
    for float_file in (lambda: load_exported(small, engine, "int8"), lambda: Classifier.load("x", precision="int8")):
        with pytest.raises(
            InputError, match="precision=int8: .* is in float32: write an INT8 .* export .* --to int8-o"
        ):
            float_file()


@pytest.mark.parametrize(
    "options, line",
    [
        (dict(runtime="openvino", graph="fused"), "graph=fused runtime=openvino: graphs are MXNet's; give one of"),
        (dict(precision="bfloat16", graph="int8"), "graph=int8 precision=bfloat16: graphs are MXNet's; give one of"),
        (dict(runtime="openvino", num_gpus=1), "runtime=openvino num_gpus=1: engines compute on the CPU; give one"),
        (dict(runtime="onnxruntime", gpus=(0,)), "runtime=onnxruntime gpus=0: engines compute on the CPU; give one"),
        (dict(runtime="onnxruntime", num_cpus=2), "runtime=onnxruntime num_cpus=2: engines compute on one device"),
        (dict(runtime="tvm"), "runtime=tvm: choose from auto, mxnet, openvino, onnxruntime"),
    ],
)
def test_options_that_engines_do_not_have(options, line):
    with pytest.raises(InputError, match=line):
        Testing(**options)


@pytest.mark.parametrize(
    "runtime, precision, line",
    [
        ("mxnet", "bfloat16", "runtime=mxnet precision=bfloat16: give runtime=openvino"),
        ("onnxruntime", "bfloat16", "runtime=onnxruntime precision=bfloat16: give runtime=openvino"),
    ],
)
def test_precisions_that_a_runtime_does_not_have(runtime, precision, line):
    with pytest.raises(InputError, match=line):
        choose_for_network("net.params", runtime, precision)


def test_what_is_missing_is_named_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="for onnxruntime, a parameter file is converted by onnx.*pip install"):
        choose_for_network("net.params", "onnxruntime")
    assert choose_for_network("net.params", pixels=LARGE) is None


def test_what_needs_image_files_is_refused_for_stored_images(small):
    with pytest.raises(InputError, match="crops=5: the test images of digits are stored at one size; leave it out"):
        evaluate_file(small, Testing(crops=5))


def test_an_onnx_file_that_does_not_name_its_data_set(small, tmp_path):
    model, path = onnx.load(small), str(tmp_path / "nameless.onnx")
    kept = [part for part in model.metadata_props if part.key != "dataset"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, path)
    with pytest.raises(InputError, match="nameless.onnx: its metadata does not name the data set: give dataset"):
        evaluate_file(path, Testing())
    assert evaluate_file(path, Testing(dataset="digits")).evaluation.samples == 30
    with pytest.raises(InputError, match="num_cpus=2: .* describes itself, and runs on the CPU; leave it out"):
        evaluate_file(path, Testing(num_cpus=2))
