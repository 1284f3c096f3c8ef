"""Compute what a trained network looks at: its soft masks as arrays, and Grad-CAM."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import numpy as np

from ..machine.devices import device_of
from ..machine.mxnet import mx
from ..models import units
from ..models.attention import AttentionModule
from ..models.attention_maps import ARRAYS, NO_MASKS, AttentionMaps, ModulePlace, gather_maps, noting, place_modules
from ..models.network import AttentionNet
from ..models.spec import UNITS
from ..system.errors import InputError

BATCH_SIZE = 64


def attention_modules(net: AttentionNet) -> List[ModulePlace]:
    """Return the attention modules of a network in their order."""
    return place_modules(net.features, AttentionModule, getattr(units, UNITS[net.spec.unit]))


def soft_masks(net: AttentionNet, images: np.ndarray) -> List[AttentionMaps]:
    """Return the soft masks of all attention modules, and the features before and after them.

    The arrays come from the network's own graph, which is composed again for inference. The network may be hybridised
    or not, and its masks may be of any kind.

    Parameters
    ----------
    net : AttentionNet
        Initialised, float32. Not modified.
    images : float32 array (N, 3, H, W)
        Input of the network.

    Returns
    -------
    list of AttentionMaps

    Raises
    ------
    InputError
        If the network has no masks.
    """
    return MaskGraph(net)(images)


class MaskGraph:
    """The graph of `soft_masks`, composed once for several calls.

    Parameters
    ----------
    net : AttentionNet

    Raises
    ------
    InputError
        If the network has no masks.
    """

    def __init__(self, net: AttentionNet) -> None:
        self._device = device_of(net)
        self._modules, self._graph = _compose_masks(net)

    def __call__(self, images: np.ndarray) -> List[AttentionMaps]:
        """Return what `soft_masks` does, for images float32 (N, 3, H, W)."""
        keys = [(entry.index, what) for entry in self._modules for what in ARRAYS]
        arrays = dict(zip(keys, _in_batches(self._graph, images, self._device)))
        return gather_maps(self._modules, arrays)


def _compose_masks(net: AttentionNet) -> Tuple[List[ModulePlace], Any]:
    """Return the modules that have a mask, and the graph of the arrays `ARRAYS` of each, in this order."""
    modules = [entry for entry in attention_modules(net) if entry.block.mask]
    if not modules:
        raise InputError(NO_MASKS)
    data = mx.sym.var("data", dtype="float32")
    with noting(modules) as noted:
        net(data)
    outputs = [noted[entry.index, what][0] for entry in modules for what in ARRAYS]
    return modules, mx.gluon.SymbolBlock(outputs, data, params=net.collect_params())


def _in_batches(graph: Any, images: np.ndarray, device: Any) -> List[np.ndarray]:
    """Return the outputs of a graph for all images, computed in batches."""
    parts = []
    with mx.autograd.pause(train_mode=False):
        for begin in range(0, len(images), BATCH_SIZE):
            outputs = graph(mx.nd.array(images[begin : begin + BATCH_SIZE], ctx=device))
            parts.append([output.asnumpy() for output in outputs])
    return [np.concatenate(arrays) for arrays in zip(*parts)]


def grad_cam(net: AttentionNet, images: np.ndarray, labels: Optional[np.ndarray] = None) -> np.ndarray:
    """Return Grad-CAM of the last stage's features (arXiv 1610.02391, equations 1 and 2).

    The features A are the output of the last attention module. The weight of each channel is the mean over its points
    of the gradient of the class's logit. Evidence against the class is cut off: ReLU(sum of weight x A).

    Parameters
    ----------
    net : AttentionNet
        Initialised. Not modified.
    images : float32 array (N, 3, H, W)
        Input of the network.
    labels : int array (N,), optional
        Class of each image. Default: its most probable class.

    Returns
    -------
    float32 array (N, h, w)
    """
    features, gradients = cam_gradients(net, images, labels)
    weights = gradients.mean(axis=(2, 3), keepdims=True)
    return np.maximum((weights * features).sum(axis=1), 0)


def cam_gradients(
    net: AttentionNet, images: np.ndarray, labels: Optional[np.ndarray] = None
) -> Tuple[np.ndarray, np.ndarray]:
    """Return the last stage's features and the gradients of each image's class logit with respect to them.

    Parameters
    ----------
    net, images, labels
        See `grad_cam`.

    Returns
    -------
    features, gradients : float32 arrays (N, C, h, w)
    """
    last, device = attention_modules(net)[-1].index, device_of(net)
    front, back = _compose(net, slice(None, last + 1)), _compose(net, slice(last + 1, None), net.output)
    found = []
    for begin in range(0, len(images), BATCH_SIZE):
        rows = slice(begin, begin + BATCH_SIZE)
        with mx.autograd.pause(train_mode=False):
            features = front(mx.nd.array(images[rows], ctx=device))
        features.attach_grad()
        with mx.autograd.record(train_mode=False):
            logits = back(features)
            chosen = logits.argmax(axis=1) if labels is None else mx.nd.array(labels[rows], ctx=device)
            score = logits.pick(chosen, axis=1).sum()
        # Not `backward`, which would also write into the gradients of the network's parameters.
        (gradients,) = mx.autograd.grad([score], [features], train_mode=False)
        found.append((features.asnumpy(), gradients.asnumpy()))
    features, gradients = (np.concatenate(arrays) for arrays in zip(*found))
    return features, gradients


def _compose(net: AttentionNet, part: slice, *more: Any) -> Any:
    """Return the graph of a slice of a network's features, followed by more blocks."""
    x = data = mx.sym.var("data", dtype="float32")
    for block in [*list(net.features)[part], *more]:
        x = block(x)
    return mx.gluon.SymbolBlock(x, data, params=net.collect_params())
