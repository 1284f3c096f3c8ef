"""Test mixed precision: supported devices, operators in bfloat16, and agreement with the float32 results."""

import json
import os

import numpy as np
import pytest

import resattnet
from helpers import small_digits
from helpers.networks import graph_types, images, initialised, needs_avx512
from resattnet.commands.training_run import train
from resattnet.machine.devices import check_type
from resattnet.machine.facts import cpu_facts, usable_instructions
from resattnet.machine.mxnet import mx
from resattnet.models.precision import to_bfloat16
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError


def test_cpu_facts_are_read_from_the_system(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("model name\t: Some CPU: fast\nflags\t\t: fpu avx2 avx512_bf16\n\nflags: fpu avx2 avx512_bf16\n")
    assert cpu_facts(str(path)) == ("Some CPU: fast", ["avx2", "avx512_bf16"])


@pytest.mark.parametrize(
    "limit, usable",
    [
        ("AVX2", ["avx2"]),
        ("AVX512_CORE", ["avx2", "avx512f"]),
        ("avx512_core_bf16", ["avx2", "avx512f", "avx512_bf16"]),
        ("DEFAULT", ["avx2", "avx512f", "avx512_bf16", "amx_bf16"]),
        (None, ["avx2", "avx512f", "avx512_bf16", "amx_bf16"]),
    ],
)
def test_instructions_excluded_by_the_environment(monkeypatch, limit, usable):
    every = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"]
    monkeypatch.setattr("resattnet.machine.facts.cpu_facts", lambda: ("fast", every))
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    if limit is not None:
        monkeypatch.setenv("DNNL_MAX_CPU_ISA", limit)
    assert usable_instructions() == usable
    if limit == "AVX2":
        with pytest.raises(InputError, match="AVX-512 only, and this one has avx2; give"):
            check_type("bfloat16", [mx.cpu()])


@pytest.mark.parametrize(
    "dtype, devices, instructions, message",
    [
        ("float16", [mx.cpu()], ["avx512f"], "float16=True: .* on the CPU"),
        ("bfloat16", [mx.gpu(0)], ["avx512f"], "dtype=bfloat16: .* on the CPU only; give float16=True"),
        ("bfloat16", [mx.cpu()], ["avx2"], "AVX-512 only, and this one has avx2; give dtype=float32"),
    ],
)
def test_types_that_a_device_does_not_support(dtype, devices, instructions, message):
    with pytest.raises(InputError, match=message):
        check_type(dtype, devices, instructions)


def test_types_that_a_device_supports():
    for dtype, device in (("float32", mx.cpu()), ("float16", mx.gpu(0))):
        assert check_type(dtype, [device], ["avx2"]) == []
    assert check_type("bfloat16", [mx.cpu()], ["avx2", "avx512f", "avx512_bf16"]) == []
    (remark,) = check_type("bfloat16", [mx.cpu()], ["avx2", "avx512f"])
    assert "emulated, and slower" in remark


@pytest.mark.isa
@pytest.mark.parametrize("learning", ["arl", "nal"])
@pytest.mark.parametrize("depth", [56, 92])
def test_what_is_bfloat16_in_the_graph(depth, learning):
    net = initialised(resattnet.get_attention_cifar(10, depth, widths="thin", attention_learning=learning))
    plain = net(mx.sym.var("data")).tojson()
    found = graph_types(to_bfloat16(net)(mx.sym.var("data")))
    convolutions = sum(node["op"] == "Convolution" for node in json.loads(plain)["nodes"])
    convolutions += found["_ones"][4]  # the anchors that are convolutions
    assert found["Convolution"] == {2: convolutions - 1, 4: 1}  # the first convolution has three channels
    assert found["FullyConnected"] == {2: 1} and set(found["dot"]) == {4} and set(found["elemwise_add"]) == {2}
    assert "amp_multicast" not in found or set(found["amp_multicast"]) == {4}
    # The network itself is unchanged: it is float32 and has no anchors.
    assert "amp_cast" not in plain and net(mx.sym.var("data")).tojson().count('"Pooling"') == plain.count('"Pooling"')


@pytest.mark.isa
@needs_avx512
@pytest.mark.parametrize("learning", ["arl", "nal"])
def test_the_bfloat16_graph_computes_the_same(learning):
    """bfloat16 and float32 results correlate.

    The rounding error of bfloat16, 2^-8, grows over 100 layers. The error grows more with NAL than with ARL.
    """
    net = initialised(resattnet.get_attention_cifar(10, 56, widths="thin", attention_learning=learning))
    graph, x, y = to_bfloat16(net), images(8, 3, 32, 32), mx.nd.arange(8)
    loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    results = []
    for block in (net, graph):
        with mx.autograd.record():
            logits = block(x)
            loss(logits, y).backward()
        assert logits.dtype == np.float32
        results.append([logits.asnumpy(), net.output.weight.grad().asnumpy()])
    for ours, other in zip(*results):
        assert 0 < np.abs(ours - other).max() and np.corrcoef(ours.ravel(), other.ravel())[0, 1] > 0.9


@needs_avx512
@pytest.mark.timeout(900)  # a CPU with AVX-512 but without bfloat16 emulates bfloat16
def test_a_run_in_bfloat16_learns_keeps_float32_and_resumes_bit_for_bit(tmp_path, monkeypatch):
    from resattnet.runs import states

    small_digits.use(monkeypatch, 512, 100)
    options = dict(
        dataset="digits",
        widths="thin",
        epochs=2,
        batch_size=64,
        warmup_epochs=1,
        dtype="bfloat16",
        num_gpus=0,
        log_dir=str(tmp_path / "log"),
        model_dir=str(tmp_path / "models"),
    )
    whole = train(TrainingOptions(name="whole", **options))
    assert whole.progress.history[1]["train_loss"] < whole.progress.history[0]["train_loss"]
    arrays = mx.nd.load(os.path.join(whole.folder, "last.params"))
    assert {array.dtype for array in arrays.values()} == {np.float32}

    half = train(TrainingOptions(name="half", **dict(options, epochs=1, lr_schedule="step", lr_steps=(50,))))
    state = states.load_state(half.folder)
    again = train(TrainingOptions(**dict(state.options, epochs=2)), state)
    once = train(TrainingOptions(name="once", **dict(options, lr_schedule="step", lr_steps=(50,))))
    for name, array in mx.nd.load(os.path.join(again.folder, "last.params")).items():
        other = mx.nd.load(os.path.join(once.folder, "last.params"))[name]
        assert (array == other).asnumpy().all(), name


def test_both_types_at_once_are_refused():
    with pytest.raises(InputError, match="^float16=True dtype=bfloat16: give one of them"):
        TrainingOptions(float16=True, dtype="bfloat16")
    with pytest.raises(InputError, match="^dtype=float8: choose from float32, bfloat16"):
        TrainingOptions(dtype="float8")
    assert TrainingOptions(dtype="bfloat16").title == "cifar10_attention56_bfloat16"
