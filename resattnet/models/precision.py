"""Train in mixed precision on the CPU: a bfloat16 graph of a network whose parameters stay float32."""

from __future__ import annotations

import importlib
import json
from typing import Any, List, Optional

from ..machine.amx import AMX, ISA_VARIABLE
from ..machine.mxnet import mx
from ..machine.onednn import AMX_CHANNELS, AMX_SIZES, amx_may_be_on, turn_amx_on
from ..system.errors import InputError
from .fusion import fuse_relu
from .training_graph import Size, as_block, compose

# The operators that channel and spatial attention apply to the last convolution; MXNet has neither in bfloat16.
ATTENTION_OPS = ["square", "mean"]


def to_bfloat16(net: Any, size: Optional[Size] = None) -> Any:
    """Return a graph of a network that computes in bfloat16, for training. The network itself stays float32.

    MXNet's automatic mixed precision inserts the casts. Convolutions, normalisations, ReLUs, poolings, the sums of
    the units and the dense layer compute in bfloat16. Four things stay float32: the last step of the masks, whatever
    the attention type; the product with the masks; the interpolation; the first convolution, since oneDNN has no
    bfloat16 kernel for its three input channels. After these, `layers.LayoutAnchor` returns to bfloat16. Where the
    first stage has as many channels as the stem (tiny widths for CIFAR), the shortcut of the first unit is the stem's
    float32 output, and the sums up to the first mask are float32 too.

    Parameters
    ----------
    net : HybridBlock
        float32, on the CPU. The graph shares its parameters, which receive the gradients.
    size : tuple of int, optional
        (height, width) of the images. None: not known, and AMX is not turned on; for looking at the graph.

    Returns
    -------
    SymbolBlock
        Gives float32 logits.

    Raises
    ------
    InputError
        If AMX is on in this process, and not safe for images of this size.
    """
    suits = size in AMX_SIZES and suits_amx(net)
    with_amx = (suits or amx_may_be_on()) and turn_amx_on()
    if with_amx and size is not None and size not in AMX_SIZES:
        raise InputError(
            "`dtype=bfloat16`: this process uses AMX, with which oneDNN is not safe for images of "
            f"{size[0]}x{size[1]} pixels; start a new one, without {ISA_VARIABLE}={AMX}"
        )
    symbol = compose(net, "amx" if suits and with_amx else "bfloat16")
    amp = importlib.import_module("mxnet.contrib.amp")  # `import mxnet` does not import it
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
    symbol = mx.sym.amp_cast(symbol, dtype="float32")
    if with_amx and not suits:  # the layouts of narrow convolutions with AMX are mixed; no operator for two is fused
        return as_block(symbol, net)
    return as_block(fuse_relu(symbol), net)


def suits_amx(net: Any) -> bool:
    """Return whether all convolutions of a network but the first, which is float32, compute in one layout with AMX.

    They do where the input and the output of each, or of each of its groups, have multiples of `AMX_CHANNELS`
    channels. With fewer, oneDNN takes AMX for some only, and a layout that depends on the batch. Normalisation between
    two layouts takes ten times as long.
    """
    sizes: List[int] = []

    def add_sizes(block: Any) -> None:
        if isinstance(block, mx.gluon.nn.Conv2D) and block.weight.shape[1] != 3:
            channels, group_channels, *_ = block.weight.shape
            sizes.extend((channels // block._kwargs["num_group"], group_channels))

    net.apply(add_sizes)
    return all(size > 0 and size % AMX_CHANNELS == 0 for size in sizes)
