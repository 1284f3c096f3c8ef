"""Test the benchmark: its statistics, the equality of the PyTorch rival with our network, and the script."""

import dataclasses
import json
import os
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest

import resattnet
from helpers.scripts import ROOT
from resattnet.benchmark import builders, cases, contender, measure, profile, results, torch_builders
from resattnet.benchmark.contender import Contender, Unavailable
from resattnet.benchmark.options import BENCHMARK_PARTS, BenchmarkOptions
from resattnet.datasets import catalog
from resattnet.machine.mxnet import mx
from resattnet.models.spec import NetworkSpec
from resattnet.system.errors import InputError

SCRIPT = os.path.join(ROOT, "scripts", "benchmark.py")
TINY = BenchmarkOptions(widths="thin", batch_size=2, steps=1, repeats=1)


@pytest.fixture(scope="module")
def torch_network():
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[bench]'")
    from resattnet.benchmark import torch_network

    return torch_network


def script(*args, cwd=None, threads=1):
    return subprocess.run(
        [sys.executable, SCRIPT] + [str(arg) for arg in args],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=280,
        env=dict(os.environ, OMP_NUM_THREADS=str(threads)),
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


# ---- processes, which call the builders below ----


def build_counter(options, shared):
    return lambda: options.steps


def build_missing(options):
    raise Unavailable("a part is not here")


def build_wrong(options):
    raise InputError(f"--steps {options.steps}: too many")


def build_told(options, devices=1):
    raise InputError("{} {}".format(*tuple(map(os.environ.get, ("OMP_NUM_THREADS", "MXNET_CPU_TEMP_COPY")))))


def build_killed(options):
    os.kill(os.getpid(), signal.SIGKILL)


def test_contenders_run_in_processes_and_those_that_cannot_are_left_out():
    chosen = [
        Contender("x", "gone", build_missing),
        Contender("x", "one", build_counter, dict(shared=1), process="both"),
        Contender("x", "two", build_counter, dict(shared=2), process="both"),
    ]
    found, notes = measure.measure_speed(chosen, dataclasses.replace(TINY, repeats=2))
    assert [result.name for result in found] == ["one", "two"] and notes == ["a part is not here"]
    assert all(len(result.speeds) == 2 and min(result.speeds) > 0 for result in found)


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


# ---- PyTorch rival ----


def trainable(net):
    return sum(int(np.prod(p.shape)) for p in net.collect_params().values() if p.grad_req != "null")


@pytest.mark.parametrize("depth", [56, 92])
@pytest.mark.parametrize(
    "ours, classes, widths",
    [("get_attention_cifar", 10, "full"), ("get_attention_cifar", 10, "thin"), ("get_attention_net", 1000, "full")],
)
def test_rivals_have_as_many_parameters(torch_network, ours, classes, widths, depth):
    net = getattr(resattnet, ours)(classes, depth, widths=widths)
    with torch_network.torch.device("meta"):
        rival = torch_network.build(net.spec)
    assert sum(p.numel() for p in rival.parameters()) == trainable(net)


@pytest.mark.parametrize("field, value", [("attention", "channel"), ("mask", "local"), ("unit", "basic")])
def test_networks_that_the_rival_does_not_have(torch_network, field, value):
    with pytest.raises(InputError, match=f"{field}={value}: the PyTorch network has"):
        torch_network.build(NetworkSpec(10, **{field: value}))


def test_rows_of_the_rival_are_left_out_for_other_units():
    options = BenchmarkOptions(widths="tiny", unit="resnext", batch_size=2, steps=1, repeats=1)
    for build in (torch_builders.torch_training, torch_builders.torch_inference):
        with pytest.raises(
            Unavailable, match="^unit=resnext: PyTorch's rows are left out, since its network has bottle"
        ):
            build(options, "float32")
    assert builders.initialised_net(options).spec == NetworkSpec(10, 56, widths="tiny", unit="resnext")
    assert builders.training_options(options).unit == "resnext"


def pair(torch_network, depth=56, learning="arl", imagenet=False):
    """Return our network and the rival with the same random weights and non-trivial running statistics."""
    mx.random.seed(1)
    ours = resattnet.get_attention_net if imagenet else resattnet.get_attention_cifar
    widths = "full" if imagenet else "thin"
    net = ours(10, depth, widths=widths, attention_learning=learning)
    net.initialize()
    rng = np.random.default_rng(1)
    for name, parameter in net.collect_params().items():
        kind = name.rsplit("_", 1)[-1]
        if kind in ("mean", "beta"):
            parameter.set_data(mx.nd.array(rng.uniform(-0.2, 0.2, parameter.shape)))
        elif kind in ("var", "gamma"):
            parameter.set_data(mx.nd.array(rng.uniform(0.8, 1.2, parameter.shape)))
    return net, torch_network.load_gluon(torch_network.build(net.spec), net)


def noise(*shape):
    return np.random.default_rng(2).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    "kwargs, sizes",
    [
        (dict(), ((32, 32), (33, 47), (64, 40))),
        (dict(learning="nal"), ((32, 32),)),
        (dict(depth=92), ((32, 32),)),
        (dict(imagenet=True), ((96, 64),)),
    ],
    ids=str,
)
def test_same_weights_give_the_same_logits(torch_network, kwargs, sizes):
    net, rival = pair(torch_network, **kwargs)
    for height, width in sizes:
        images = noise(2, 3, height, width)
        ours, theirs = net(mx.nd.array(images)).asnumpy(), torch_network.inference_step(rival, images)().numpy()
        # Untrained weights give logits in the thousands, so the tolerance is relative to the largest logit.
        assert np.abs(ours).max() > 1 and np.abs(ours - theirs).max() < 1e-5 * max(10, np.abs(ours).max())


def test_same_weights_give_the_same_gradients(torch_network):
    """The gradients agree in float64.

    In float32 the sums of batch normalisation differ by 1e-6, which turns some ReLUs on or off.
    """
    torch, (net, rival) = torch_network.torch, pair(torch_network)
    net.cast("float64")
    images, labels = noise(4, 3, 32, 32).astype(np.float64), np.arange(4)
    with mx.autograd.record():
        outputs = net(mx.nd.array(images, dtype="float64"))
        loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()(outputs, mx.nd.array(labels, dtype="float64")).mean()
    loss.backward()
    their_loss = torch.nn.functional.cross_entropy(
        rival.double().train()(torch.from_numpy(images)), torch.from_numpy(labels)
    )
    their_loss.backward()
    assert float(loss.asscalar()) == pytest.approx(their_loss.item(), rel=1e-5)
    theirs = {name: parameter.grad.numpy() for name, parameter in rival.named_parameters()}
    for name, parameter in net._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            ours, other = parameter.grad().asnumpy(), theirs.pop(torch_network.torch_name(name))
            assert np.abs(ours - other).max() < 1e-4 * np.abs(other).max(), name
    assert not theirs


def test_a_rival_step_learns(torch_network):
    images, labels = noise(4, 3, 32, 32), np.arange(4, dtype=np.int32)
    rival = torch_network.build(NetworkSpec(10, 56, widths="thin"))
    before = rival.output.weight.detach().clone()
    torch_network.training_step(rival, images, labels, "bfloat16")()
    after = rival.output.weight.detach()
    assert after.dtype == torch_network.torch.float32 and (before != after).any() and after.isfinite().all()


def test_weights_of_another_net_are_refused(torch_network):
    net, _ = pair(torch_network)
    with pytest.raises(RuntimeError):
        torch_network.load_gluon(torch_network.build(NetworkSpec(10, 92, widths="thin")), net)


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
        "thin",
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
    assert facts["batch_size"] == 2 and facts["widths"] == "thin" and facts["threads"] == 2 and facts["cpu"]
    names = [result["name"] for result in report["results"]]
    several = [name for name in names if "2 CPU devices" in name]
    assert len(several) == 2 and "devices: left out" not in done.stdout
    names = [name for name in names if name not in several]
    assert names[:3] == ["ours float32", "ours float32, fused", "ours INT8"]
    if facts["versions"]["torch"]:
        assert names[3:] == ["PyTorch float32"] + ["PyTorch bfloat16"] * ("avx512f" in facts["instructions"])
    else:
        assert len(names) == 3 and done.stdout.count("PyTorch is not installed") == 1
    for result in report["results"]:
        assert len(result["speeds"]) == 2
        assert any(line.startswith(result["name"]) for line in done.stdout.splitlines())


@pytest.mark.slow
def test_the_script_measures_epochs_and_profiles_the_step(tmp_path):
    done = script("epoch", "-b", 2, "--repeats", 1, "--steps", 1, "--widths", "thin", "--profile", 1, cwd=str(tmp_path))
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "loader, 2 workers" in done.stdout and "_backward_Convolution" in done.stdout
    assert os.listdir(str(tmp_path)) == []
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)  # the profiler replaces its output file, never /dev/null


@pytest.mark.parametrize(
    "args, message",
    [
        ("speed", "speed: choose the parts from train, inference, input, epoch"),
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
