"""Whether MXNet computes with oneDNN, and letting oneDNN compute with AMX: `turn_amx_on`.

The oneDNN of MXNet 1.9.1 multiplies bfloat16 matrices with AMX only if a variable asks for it, which it reads once,
when the process first computes with it.
"""

from __future__ import annotations

import functools
import os

import numpy as np

from .amx import AMX, ISA_VARIABLE, ask_for_amx, user_wants_amx
from .cores import environment
from .facts import usable_instructions
from .mxnet import mx

# With a multiple of this number of channels, all convolutions in bfloat16 use AMX, whatever their size.
AMX_CHANNELS = 32
# The sizes of images for which convolutions with AMX were found right at every stage of a network: no memory written
# beside the output, the values of float32. For a 1x1 convolution of 6x6 pixels, this oneDNN writes beside its output.
AMX_SIZES = ((32, 32), (64, 64), (224, 224))
BFLOAT16 = np.dtype([("bfloat16", np.uint16)])  # as MXNet knows it


def onednn_is_on() -> bool:
    """Return whether MXNet computes by oneDNN on the CPU: a variable turns it off."""
    on = os.environ.get("MXNET_MKLDNN_ENABLED", "1").lower() not in ("0", "false")
    return on and mx.runtime.Features().is_enabled("MKLDNN")


def amx_may_be_on() -> bool:
    """Return whether this process has turned AMX on, or the user has asked for it."""
    return bool(turn_amx_on.cache_info().currsize) or user_wants_amx()


@functools.lru_cache(maxsize=None)
def turn_amx_on() -> bool:
    """Let oneDNN use AMX in this process, and return whether it does.

    It cannot where MXNet has computed with oneDNN in this process before, where the CPU, a virtual machine or Linux
    does not offer AMX, or where the variable `DNNL_MAX_CPU_ISA` excludes it. float32 is not computed with AMX: its bits
    stay the same.
    """
    if "amx_bf16" not in usable_instructions() or not ask_for_amx():
        return False
    with environment({ISA_VARIABLE: AMX}):  # a process that is started later must ask Linux itself
        return _is_used()


def _is_used() -> bool:
    """Return whether oneDNN computes a small convolution in bfloat16 with AMX.

    MXNet does not tell a memory layout. But with AMX, a convolution returns a gradient whose channels are last, and
    oneDNN has no `BatchNormWithReLU` for that where the input is in the blocked layout of `first`.
    """
    with mx.name.NameManager():  # the names of other symbols do not depend on this one
        size = dict(kernel=(1, 1), num_filter=AMX_CHANNELS, no_bias=True)
        data, weights, ones = (mx.sym.amp_cast(mx.sym.var(name), dtype=BFLOAT16) for name in ("x", "weights", "ones"))
        first = mx.sym.contrib.BatchNormWithReLU(mx.sym.Convolution(data, ones, num_group=AMX_CHANNELS, **size))
        symbol = mx.sym.amp_cast(mx.sym.Convolution(first, weights, **size), dtype="float32")
    arguments, _, states = symbol.infer_shape(x=(1, AMX_CHANNELS, 4, 4))
    shapes = dict(zip(symbol.list_arguments() + symbol.list_auxiliary_states(), arguments + states))
    arrays = [mx.nd.ones(shapes[name]) for name in symbol.list_inputs()]
    arrays[0].attach_grad()
    with mx.autograd.record():
        output = mx.nd.CachedOp(symbol, [("static_alloc", True), ("static_shape", True)])(*arrays)
    output.backward()
    try:
        mx.nd.waitall()
    except mx.base.MXNetError as error:
        if "primitive descriptor" not in str(error):
            raise
        return True
    return False
