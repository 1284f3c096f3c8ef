"""Test training in bfloat16 with AMX, in processes of its own: against unfused operators, and against float32."""

import json

import pytest

from helpers.networks import initialised, needs_amx
from helpers.scripts import python
from resattnet.models.network import build
from resattnet.models.precision import suits_amx
from resattnet.models.spec import NetworkSpec

CODE = """
import json, sys
import numpy as np
from helpers.runs import fix_statistics
from resattnet.machine.mxnet import mx
from resattnet.machine.onednn import amx_may_be_on, turn_amx_on
from resattnet.models import precision
from resattnet.models.network import build
from resattnet.models.spec import NetworkSpec, Spec, Widths
from resattnet.models.training_graph import to_float32

def gradients(make, batch, pixels, inner=32, fixed=False, **variant):
    mx.random.seed(1)
    widths = Widths(inner, (4 * inner,) * 3, 4 * inner)
    net = build(NetworkSpec(10, **variant), depth=Spec(1, 1, 1, (1, 1, 1)), channels=widths)
    net.initialize(mx.init.Xavier())
    if fixed:
        fix_statistics(net)
    graph, draws = make(net, (pixels, pixels)), np.random.RandomState(0)
    images = mx.nd.array(draws.normal(size=(batch, 3, pixels, pixels)))
    with mx.autograd.record():
        logits = graph(images)
    logits.backward(mx.nd.array(draws.normal(size=logits.shape)))
    mx.nd.waitall()
    learned = net._collect_params_with_prefix().items()
    return {name: each.grad().asnumpy() for name, each in learned if each.grad_req != "null"}

def separate(net, size):
    fuse, precision.fuse_relu = precision.fuse_relu, lambda symbol: symbol
    try:
        return precision.to_bfloat16(net, size)
    finally:
        precision.fuse_relu = fuse

def angle(one, other):
    one, other = (np.concatenate([array.ravel() for array in arrays.values()]) for arrays in (one, other))
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

case = json.loads(sys.argv[1])
fused, plain = (gradients(make, **case) for make in (precision.to_bfloat16, separate))
difference = max(float(np.abs(fused[name] - array).max() / np.abs(array).max()) for name, array in plain.items())
# The statistics of a few images would enlarge the rounding from layer to layer, so they are fixed here.
ours, exact = (gradients(make, fixed=True, **case) for make in (precision.to_bfloat16, to_float32))
narrow, narrow_exact = (gradients(make, 4, 32, inner=16, fixed=True) for make in (precision.to_bfloat16, to_float32))
print(json.dumps([amx_may_be_on() and turn_amx_on(), difference, angle(ours, exact), angle(narrow, narrow_exact)]))
"""


def measured(case, isa=None):
    """Return whether AMX was used, the largest difference of fusing, and how well bfloat16 agrees with float32."""
    done = python(CODE, json.dumps(case), isa=isa)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_amx
@pytest.mark.parametrize(
    "case",
    [
        dict(batch=8, pixels=32),
        dict(batch=3, pixels=32),  # the layout of the last pooling's gradient is another one
        dict(batch=1, pixels=32, attention_learning="nal"),
        dict(batch=2, pixels=64, stem="imagenet"),
        dict(batch=5, pixels=32, unit="basic", attention="channel"),
        dict(batch=4, pixels=32, mask="local"),
    ],
    ids=str,
)
def test_a_step_with_amx(case):
    used, difference, agreement, narrow = measured(case)
    # One image is normalised by a kernel that adds in another order.
    assert used and (difference == 0 or case["batch"] == 1 and difference < 1e-6)
    # A narrow network in the same process has no fused operators, but the right gradients.
    assert agreement > 0.98 and narrow > 0.98


@needs_amx
def test_amx_is_as_exact_as_bfloat16_without_it():
    case = dict(batch=6, pixels=32)
    (used, _, ours, _), (unused, _, without, _) = measured(case), measured(case, "AVX512_CORE_BF16")
    assert used and not unused and abs(ours - without) < 0.01


@needs_amx
def test_sizes_that_are_not_safe_with_amx():
    """For 24 pixels, a 1x1 convolution of 6x6 pixels would write beside its output."""
    code = (
        CODE[: CODE.index("case =")]
        + """
from resattnet.machine.onednn import turn_amx_on
gradients(precision.to_bfloat16, 2, 24)
print(turn_amx_on.cache_info().currsize)
assert turn_amx_on() is False
"""
    )
    done = python(code)
    assert done.returncode == 0 and done.stdout.split() == ["0"], done.stderr
    code = code.replace("gradients(precision", "gradients(precision.to_bfloat16, 2, 32)\ngradients(precision", 1)
    assert (
        python(code)
        .stderr.strip()
        .endswith(
            "this process uses AMX, with which oneDNN is not safe for images of 24x24 pixels; "
            "start a new one, without DNNL_MAX_CPU_ISA=AVX512_CORE_AMX"
        )
    )


@pytest.mark.parametrize(
    "spec, suits",
    [
        (dict(widths="full"), True),
        (dict(widths="full", stem="imagenet", attention="spatial"), True),
        (dict(widths="full", unit="basic", mask="local"), True),
        (dict(widths="thin"), False),
        (dict(widths="full", unit="resnext"), False),
        (dict(widths="full", unit="inception"), False),
    ],
    ids=str,
)
def test_which_networks_compute_in_one_layout_with_amx(spec, suits):
    assert suits_amx(initialised(build(NetworkSpec(10, **spec)))) is suits
