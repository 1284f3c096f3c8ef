"""Mixed precision on the CPU: the step's graph in bfloat16, the parameters and their updates in float32."""

import importlib
import json

from ..system.mxnet import mx
from .units import LayoutAnchor

# What the last step of channel and spatial attention first takes from a convolution: MXNet has neither in bfloat16.
ATTENTION_OPS = ["square", "mean"]


def to_bfloat16(net):
    """A graph of a network that computes in bfloat16, for training; the network itself stays float32.

    MXNet's automatic mixed precision puts the casts. Convolutions, normalisations, ReLUs, poolings, the sums of the
    units and the dense layer take bfloat16; the last step of the masks, whatever the attention's type, the product
    with them, the interpolation and the first convolution, whose three channels oneDNN has no bfloat16 kernel for,
    stay float32. `units.LayoutAnchor` leads back to bfloat16 after these.

    Parameters
    ----------
    net : HybridBlock
        float32, on the CPU. Its parameters are shared, and get the gradients.

    Returns
    -------
    SymbolBlock
        Gives float32 logits.
    """
    data = mx.sym.var("data", dtype="float32")
    net.apply(_set_anchor(True))
    try:
        symbol = net(data)
    finally:
        net.apply(_set_anchor(False))
    amp = importlib.import_module("mxnet.contrib.amp")  # which `import mxnet` leaves out
    first = next(node["name"] for node in json.loads(symbol.tojson())["nodes"] if node["op"] == "Convolution")
    symbol = amp.convert_symbol(
        symbol,
        "bfloat16",
        target_dtype_ops=["Convolution", "FullyConnected", "Pooling"],
        fp32_ops=["transpose", "Flatten"] + ATTENTION_OPS,
        conditional_fp32_ops=[("Activation", "act_type", ["sigmoid"])],
        excluded_sym_names=[first],
        data_names=["data"],
    )
    block = mx.gluon.SymbolBlock(mx.sym.amp_cast(symbol, dtype="float32"), data, params=net.collect_params())
    block.hybridize(static_alloc=True, static_shape=True)
    return block


def _set_anchor(active):
    def apply(block):
        if isinstance(block, LayoutAnchor):
            block.active = active

    return apply
