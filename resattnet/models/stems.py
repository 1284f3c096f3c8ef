"""Make the first layers of a network. Nothing here imports MXNet: `nn` is `mx.gluon.nn`."""

from __future__ import annotations

from typing import Any, List


def imagenet_stem(nn: Any, norm: Any, channels: int) -> List[Any]:
    """Return the first layers for large images: a 7x7 convolution of stride 2 and a pooling of stride 2.

    Parameters
    ----------
    nn : module
        `mx.gluon.nn`.
    norm : class
        `batch_norm.BatchNorm`.
    channels : int
        Channels of the output.
    """
    return [
        nn.Conv2D(channels, 7, 2, 3, use_bias=False, in_channels=3),
        norm(in_channels=channels),
        nn.Activation("relu"),
        nn.MaxPool2D(3, 2, 1),
    ]


def cifar_stem(nn: Any, norm: Any, channels: int) -> List[Any]:
    """Return the first layers for small images: a 3x3 convolution of stride 1. Parameters as for `imagenet_stem`."""
    return [
        nn.Conv2D(channels, 3, 1, 1, use_bias=False, in_channels=3),
        norm(in_channels=channels),
        nn.Activation("relu"),
    ]
