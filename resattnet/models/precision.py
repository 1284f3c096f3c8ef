"""Train in mixed precision on the CPU: a bfloat16 graph of a network whose parameters stay float32."""

from __future__ import annotations

import importlib
import json
from typing import Any

from ..machine.mxnet import mx
from .fusion import fuse_relu
from .training_graph import as_block, compose

# The operators that channel and spatial attention apply to the last convolution; MXNet has neither in bfloat16.
ATTENTION_OPS = ["square", "mean"]


def to_bfloat16(net: Any) -> Any:
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

    Returns
    -------
    SymbolBlock
        Gives float32 logits.
    """
    symbol = compose(net, "bfloat16")
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
    return as_block(fuse_relu(mx.sym.amp_cast(symbol, dtype="float32")), net)
