"""Test the benchmark: its statistics, the equality of the PyTorch rival with our network, and the script."""

import dataclasses
import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest

from helpers.contenders import build_counter, build_killed, build_missing, build_one_by_one, build_told, build_wrong
from helpers.scripts import ROOT
from helpers.torch_nets import import_torch
from resattnet.benchmark import builders, cases, contender, engine_builders, measure, profile, results, torch_builders
from resattnet.benchmark.contender import Contender, Unavailable
from resattnet.benchmark.options import BENCHMARK_PARTS, BenchmarkOptions
from resattnet.commands import benchmark
from resattnet.datasets import catalog
from resattnet.machine.cores import core_count
from resattnet.machine.mxnet import mx
from resattnet.models import spec
from resattnet.models.spec import NetworkSpec
from resattnet.runtimes.engines import ENGINES
from resattnet.system.errors import InputError

SCRIPT = os.path.join(ROOT, "scripts", "benchmark.py")
TINY = BenchmarkOptions(widths="thin", batch_size=2, steps=1, repeats=1)


@pytest.fixture
def torch():
    return import_torch()


def script(*args, cwd=None, threads=1):
    return subprocess.run(
        [sys.executable, SCRIPT] + [str(arg) for arg in args],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=280,
        env=dict(os.environ, OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="passive"),
    )


# ---- statistics ----


def test_contenders_take_turns_and_warm_up_is_not_counted():
    order = []

    def contender(name, speeds):
        speeds = iter(speeds)
        return lambda: order.append(name) or next(speeds)

    speeds = results.interleave([contender("a", [9, 10, 20]), contender("b", [9, 5, 40])], 2, warm_up=1)
    assert order == list("ababab")
    assert speeds.tolist() == [[10, 5], [20, 40]]


def test_ratios_are_taken_within_a_round():
    chosen = [Contender("train", name, None, rival=rival) for name, rival in (("a", "p"), ("b", None), ("p", "p"))]
    a, b, p = results.compare_speeds(chosen, np.array([[10.0, 5, 20], [20, 40, 10], [30, 30, 30]]))
    assert a.speeds == [10, 20, 30] and a.ratios_to_first == [1, 1, 1] and a.ratios_to_pytorch == [0.5, 2, 1]
    assert b.ratios_to_first == [0.5, 2, 1] and b.ratios_to_pytorch is None
    assert p.ratios_to_first == [2, 0.5, 1] and p.ratios_to_pytorch == [1, 1, 1]
    assert b.summary()["images_per_second"] == {"median": 30, "min": 5, "max": 40}
    assert b.summary()["ratio_to_first"] == {"median": 1, "min": 0.5, "max": 2}
    assert b.summary()["ratio_to_pytorch"] is None


def test_a_missing_rival_has_no_ratio():
    (result,) = results.compare_speeds([Contender("train", "a", None, rival="PyTorch")], np.ones((2, 1)))
    assert result.ratios_to_pytorch is None


def test_median_of_an_even_number_is_between():
    assert results.median_and_range([4, 1, 2, 9]) == {"median": 3, "min": 1, "max": 9}


def test_operator_times_are_shares_and_per_step():
    rows = profile.operator_times({"a": {"Total": 2, "Count": 4}, "b": {"Total": 6, "Count": 2}}, 2)
    assert rows == [("b", 0.75, 3, 1), ("a", 0.25, 1, 2)]


def test_threads_are_those_of_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert contender.threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "all")
    with pytest.raises(InputError, match="OMP_NUM_THREADS all: give a whole number"):
        contender.threads()


# ---- processes, which call the builders of helpers/contenders.py ----


def test_contenders_run_in_processes_and_those_that_cannot_are_left_out():
    chosen = [
        Contender("x", "gone", build_missing),
        Contender("x", "one", build_counter, dict(shared=1), process="both"),
        Contender("x", "two", build_counter, dict(shared=2), process="both"),
    ]
    found, notes = measure.measure_speed(chosen, dataclasses.replace(TINY, repeats=2))
    assert [result.name for result in found] == ["one", "two"] and notes == ["a part is not here"]
    assert all(len(result.speeds) == 2 and min(result.speeds) > 0 for result in found)


def test_the_latencies_of_a_contender_are_percentiles_of_its_counted_calls():
    (found,), _ = measure.measure_speed([Contender("x", "one", build_one_by_one)], dataclasses.replace(TINY, repeats=3))
    assert found.latencies == (0.002, 0.004) * 3
    assert found.summary()["milliseconds"] == {"p50": pytest.approx(3), "p95": pytest.approx(4)}
    assert list(benchmark.part_table("latency", [found]))[1:] == ["one      3.00      4.00"]


def test_contenders_of_a_package_that_is_missing_start_no_process(monkeypatch):
    monkeypatch.setattr(measure, "ContenderProcess", None)
    chosen = [Contender("x", "gone", build_missing, package="no_such_package")]
    assert measure.measure_speed(chosen, TINY) == ([], ["a part is not here"])
    packages = {contender.package for contender in cases.CONTENDERS}
    assert packages == {None, "torch", "openvino", "onnxruntime"}


def test_a_latency_is_that_of_each_image():
    seconds = builders.latency(dataclasses.replace(TINY, batch_size=64), builders.inference)()
    assert len(seconds) == builders.LATENCY_FACTOR * TINY.steps and min(seconds) > 0


def test_a_contender_finds_its_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("MXNET_CPU_TEMP_COPY", raising=False)
    before = dict(os.environ)
    for arguments, environment, found in (
        ({}, {}, "2 None"),
        (dict(devices=2), {}, "1 64"),
        (dict(devices=2), {"MXNET_CPU_TEMP_COPY": "4"}, "1 4"),
    ):
        with pytest.raises(InputError, match=f"^{found}$"):
            measure.measure_speed([Contender("x", "one", build_told, arguments, environment=environment)], TINY)
    assert os.environ == before


def test_a_contender_keeps_the_scratch_memories_that_the_user_chose(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    monkeypatch.setenv("MXNET_CPU_TEMP_COPY", "8")
    assert Contender("x", "one", None, dict(devices=2)).child_environment["MXNET_CPU_TEMP_COPY"] == "8"


@pytest.mark.parametrize("count, words", [(1, "1 thread"), (3, "3 threads")])
def test_a_contender_whose_devices_have_not_all_threads_is_left_out(monkeypatch, count, words):
    monkeypatch.setenv("OMP_NUM_THREADS", str(count))
    chosen = [Contender("x", "one", build_counter, dict(shared=1)), Contender("x", "two", build_told, dict(devices=2))]
    found, notes = measure.measure_speed(chosen, TINY)
    assert [result.name for result in found] == ["one"]
    assert notes == [f"two: left out, since its 2 devices have one thread each, and the others {words}"]


@pytest.mark.parametrize("build", [builders.training, builders.inference])
def test_devices_share_the_batch(build):
    assert build(TINY, devices=2)() == build(TINY)() == TINY.batch_size
    with pytest.raises(Unavailable, match="2 CPU devices are left out: a batch of 3"):
        build(dataclasses.replace(TINY, batch_size=3), devices=2)


@pytest.mark.parametrize(
    "build, message", [(build_wrong, "--steps 1: too many"), (build_killed, "some contender: killed")]
)
def test_a_contender_that_fails_ends_the_measurement(build, message):
    with pytest.raises(InputError, match=message):
        measure.measure_speed([Contender("x", "some contender", build)], TINY)


# ---- PyTorch rival: tests/pytorch compares its network with ours ----


@pytest.mark.parametrize("unit", ["bottleneck", "resnext"])
def test_the_rival_has_our_weights(torch, unit):
    options = BenchmarkOptions(widths="tiny", unit=unit, batch_size=2, steps=1, repeats=1)
    steps, rival = torch_builders.torch_twin(options, "float32")
    images, _ = builders.random_batch(options)
    ours = builders.initialised_net(options)(mx.nd.array(images)).asnumpy()
    theirs = steps.inference_step(rival, images)().numpy()
    # Untrained weights give logits in the thousands, so the tolerance is relative to the largest logit.
    assert np.abs(ours).max() > 1 and np.abs(ours - theirs).max() < 1e-5 * max(10, np.abs(ours).max())
    assert builders.training_options(options).unit == unit


def test_a_rival_step_learns(torch):
    from resattnet.benchmark import torch_steps
    from resattnet.torch import build

    images, labels = np.zeros((4, 3, 32, 32), np.float32), np.arange(4, dtype=np.int32)
    rival = build(NetworkSpec(10, 56, widths="thin"))
    before = rival.output.bias.detach().clone()
    torch_steps.training_step(rival, images, labels, "bfloat16")()
    after = rival.output.bias.detach()
    assert after.dtype == torch.float32 and (before != after).any() and after.isfinite().all()


def test_without_pytorch_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Unavailable, match="^PyTorch's rows are left out: torch cannot be imported .*pip install"):
        torch_builders.torch_inference(TINY, "float32")


def test_a_cpu_without_bfloat16_leaves_those_rows_out(monkeypatch):
    monkeypatch.setattr(torch_builders, "cpu_facts", lambda: ("some CPU", ["avx2"]))
    for compiled in (False, True):
        with pytest.raises(Unavailable, match="^PyTorch bfloat16 is left out: some CPU has no instructions for it"):
            torch_builders.torch_training(TINY, "bfloat16", compiled)


def test_without_a_compiler_the_rows_of_torch_compile_are_left_out(torch, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(Unavailable, match="^torch.compile is left out: .* there is no no-such-compiler$"):
        torch_builders.torch_inference(TINY, "float32", compiled=True)


def test_a_network_that_cannot_be_compiled_is_left_out(torch, monkeypatch):
    from resattnet.benchmark import torch_steps

    def fail(*_, **__):
        raise RuntimeError("Python.h: No such file\n\nand more")

    monkeypatch.setenv("CXX", sys.executable)
    monkeypatch.setattr(torch_steps.torch, "compile", fail)
    with pytest.raises(Unavailable, match="cannot compile the network \\(Python.h: No such file and more\\)$"):
        torch_builders.torch_inference(TINY, "float32", compiled=True)


@pytest.mark.slow
@pytest.mark.timeout(900)  # compiling takes long while other work runs
@pytest.mark.parametrize("build", [torch_builders.torch_training, torch_builders.torch_inference])
def test_compiled_rivals_run(torch, build, monkeypatch):
    """Without attention modules, since compiling takes a minute and more otherwise."""
    monkeypatch.setitem(spec.attention_net_spec, 56, spec.Spec(1, 1, 1, (0, 0, 0)))
    options = dataclasses.replace(TINY, widths="tiny", unit="basic")
    assert build(options, "float32", compiled=True)() == TINY.batch_size


# ---- engines ----


@pytest.fixture
def all_cores(monkeypatch):
    pytest.importorskip("onnx", reason="python -m pip install -e '.[onnx]'")
    monkeypatch.setenv("OMP_NUM_THREADS", str(core_count()))
    return dataclasses.replace(TINY, widths="tiny")


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_an_engine_computes_the_batch_of_the_others_by_both_paths(engine, all_cores):
    package = pytest.importorskip(engine, reason=f"python -m pip install {engine}")
    for bare in (False, True):
        assert engine_builders.engine_inference(all_cores, engine, "float32", bare)() == TINY.batch_size
    images, _ = builders.random_batch(all_cores)
    expected = builders.initialised_net(all_cores)(mx.nd.array(images)).asnumpy()
    model = engine_builders._model(56, "tiny", "bottleneck", False)
    found = engine_builders._BARE_CALLS[engine](package, model, "float32", images)()
    assert np.abs(found - expected).max() < 1e-4 * max(1, np.abs(expected).max())


def test_engines_that_cannot_run_are_left_out(all_cores, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(Unavailable, match="^onnxruntime float32 is left out: onnxruntime cannot be imported"):
        engine_builders.engine_inference(all_cores, "onnxruntime", "float32")
    monkeypatch.setenv("OMP_NUM_THREADS", str(core_count() + 1))
    with pytest.raises(Unavailable, match="^OpenVINO float32 is left out: engines take all"):
        engine_builders.engine_inference(all_cores, "openvino", "float32")


def test_our_path_is_compared_with_the_engine_s_own_calls():
    speeds = np.array([[10.0, 20], [30, 30], [8, 10]])
    names = ("OpenVINO float32", "OpenVINO float32, bare")
    chosen = results.compare_speeds([Contender("inference", name, None) for name in names], speeds)
    (line,) = engine_builders.compare_with_bare(chosen)
    assert line == "OpenVINO float32: our path has 0.800 of the speed of the engine's own calls"


# ---- contenders ----


def test_each_part_of_the_script_has_contenders():
    assert tuple(dict.fromkeys(contender.part for contender in cases.CONTENDERS)) == BENCHMARK_PARTS


def test_the_reference_chain_normalises_as_our_transform():
    images = catalog.load_images("digits", "", "test").images[:3]
    transform = builders.plain_transform(BenchmarkOptions(dataset="cifar10"))
    chain = builders.reference_chain(transform.mean, transform.std, pad=0, flip=False)
    ours, _ = transform(images, np.zeros(3, np.int32))
    theirs = [chain(mx.nd.array(image, dtype="uint8")).asnumpy() for image in images]
    assert np.abs(ours - np.stack(theirs)).max() < 1e-5


def test_the_reference_chain_crops_and_flips():
    chain = builders.reference_chain((0.5,) * 3, (0.25,) * 3)
    image = mx.nd.array(catalog.load_images("digits", "", "test").images[0], dtype="uint8")
    made = [chain(image).asnumpy() for _ in range(4)]
    assert {one.shape for one in made} == {(3, 32, 32)} and any((one != made[0]).any() for one in made)


@pytest.mark.parametrize(
    "contender",
    [contender for contender in cases.CONTENDERS if contender.part == "input"],
    ids=lambda contender: contender.name,
)
def test_input_contenders_say_how_many_images_they_made(contender):
    try:
        run = contender.build(TINY, **contender.arguments)
    except Unavailable as error:
        pytest.skip(str(error))
    assert run() in (2, 2 * builders.INPUT_FACTOR)


def test_an_epoch_of_more_batches_than_there_are_is_refused():
    with pytest.raises(InputError, match="steps=800: 800 batches of 2 need more than the 1437 images of digits"):
        builders._step_on_data(dataclasses.replace(TINY, steps=800))


# ---- script ----


@pytest.mark.slow
def test_the_script_prints_a_table_and_writes_json(tmp_path):
    done = script(
        "--batch-size",
        2,
        "--repeats",
        2,
        "--steps",
        1,
        "--widths",
        "tiny",
        "--unit",
        "basic",
        "inference",
        "--json",
        "speed.json",
        cwd=str(tmp_path),
        threads=2,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert os.listdir(str(tmp_path)) == ["speed.json"]
    report = json.loads((tmp_path / "speed.json").read_text())
    facts = report["conditions"]
    assert facts["batch_size"] == 2 and facts["widths"] == "tiny" and facts["threads"] == 2 and facts["cpu"]
    names = [result["name"] for result in report["results"]]
    several = [name for name in names if "2 CPU devices" in name]
    assert len(several) == 2 and "devices: left out" not in done.stdout
    engines = [name for name in names if name.startswith(tuple(engine_builders.TITLES.values()))]
    assert [name for name in engines if name + engine_builders.BARE in engines] == engines[::2]
    names = [name for name in names if name not in several + engines]
    assert names[:3] == ["ours float32", "ours float32, fused", "ours INT8"]
    if facts["versions"]["torch"]:
        kinds = ["float32"] + ["bfloat16"] * ("avx512f" in facts["instructions"])
        assert names[3:] == [f"{name} {kind}" for name in ("PyTorch", "torch.compile") for kind in kinds]
    else:
        assert len(names) == 3 and done.stdout.count("PyTorch's rows are left out") == 1
    for result in report["results"]:
        assert len(result["speeds"]) == 2
        assert any(line.startswith(result["name"]) for line in done.stdout.splitlines())


@pytest.mark.slow
def test_the_script_measures_epochs_and_profiles_the_step(tmp_path):
    done = script("epoch", "-b", 2, "--repeats", 1, "--steps", 1, "--widths", "tiny", "--profile", 1, cwd=str(tmp_path))
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "loader, 2 workers" in done.stdout and "_backward_Convolution" in done.stdout
    assert os.listdir(str(tmp_path)) == []
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)  # the profiler replaces its output file, never /dev/null


@pytest.mark.parametrize(
    "args, message",
    [
        ("speed", "speed: choose the parts from train, inference, latency, input, epoch"),
        ("--num-layers 50", "--num-layers 50: choose from 56, 92, 128, 164, 236, 452"),
        ("--repeats 0", "--repeats 0: give a number at least 1"),
        ("--steps x", "--steps x: give a whole number"),
        ("--json nowhere/speed.json", "--json nowhere/speed.json: there is no folder"),
        (
            "--cost speed --json speed.json",
            "--cost speed --json speed.json: it measures instead of the parts, which --json and --profile report on",
        ),
        ("--cost speed --unit basic", "--cost speed --unit basic: it measures networks of bottleneck units"),
        ("train --cost speed", "--cost speed: this replaces the parts; leave train out"),
        ("--profile int8", "int8: choose the parts from"),
        ("epoch --batch-size 5000 --widths thin", "a batch of 5000 is larger than the data set"),
    ],
)
def test_bad_input_is_one_line(args, message, tmp_path):
    done = script(*args.split(), cwd=str(tmp_path))
    assert done.returncode == 2 and message in done.stderr
    assert done.stderr.count("\n") == 1
