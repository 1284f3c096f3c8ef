"""Fast inference on the CPU: other graphs of a trained network, by oneDNN.

They are for inference only: batch normalisation is by its running statistics.
"""

import contextlib
import os
import sys
import warnings

from ..system.mxnet import mx

CALIBRATION_IMAGES = 256
BATCH_SIZE = 64  # of calibration


def fuse(net):
    """A graph of the network for inference in which oneDNN computes neighbouring layers in one.

    Parameters
    ----------
    net : HybridBlock
        Initialised, float32, on the CPU. It is left as it is, and its parameters are shared.

    Returns
    -------
    SymbolBlock
        Gives the same logits, up to rounding. It can be exported once it has been called.
    """
    block = _block(net)
    block.hybridize(backend="MKLDNN", static_alloc=True, static_shape=True)
    return block


def quantize(net, images):
    """The network in INT8: convolutions, normalisations, ReLUs, poolings and the dense layer on whole numbers.

    What stays in float32 is the mask's sigmoid, its interpolations and its product with the trunk: in INT8 the
    product takes the normalisation after it to oneDNN's slowest kernel, and costs accuracy.

    Parameters
    ----------
    net : HybridBlock
        Initialised, float32, on the CPU. It is left as it is.
    images : float32 array (N, 3, H, W)
        Training images as the network is given them when it is tested. Each layer's range is what they make of it.

    Returns
    -------
    SymbolBlock
        Its parameters are its own. It can be exported once it has been called.
    """
    with warnings.catch_warnings(), _without_notes():
        warnings.simplefilter("ignore")  # it loads a symbol without the type of its data, and wonders
        block = mx.contrib.quantization.quantize_net_v2(
            _block(net),
            quantized_dtype="int8",
            calib_mode="naive",
            calib_data=mx.io.NDArrayIter(images, batch_size=min(BATCH_SIZE, len(images))),
            num_calib_examples=len(images),
            exclude_operators=["elemwise_mul"],
        )
    block.hybridize(static_alloc=True, static_shape=True)
    return block


def _block(net):
    data = mx.sym.var("data", dtype="float32")
    return mx.gluon.SymbolBlock(net(data), data, params=net.collect_params())


@contextlib.contextmanager
def _without_notes():
    """Keep off stderr what MXNet's library writes there while it quantises: its errors come as exceptions."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
