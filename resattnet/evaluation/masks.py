"""What a trained network looks at: its soft masks as arrays, and Grad-CAM beside them."""

from typing import NamedTuple

import numpy as np

from ..models.attention import AttentionModule
from ..system.devices import device_of
from ..system.errors import InputError
from ..system.mxnet import mx

BATCH_SIZE = 64


class AttentionMaps(NamedTuple):
    """What an attention module did to a batch of images.

    Attributes
    ----------
    name : str
        Of the module, as in parameter files.
    stage, module : int
        Its stage and its number there, both from 1.
    mask : float32 array (N, C, h, w)
        The soft mask M, by which the module multiplied.
    before, after : float32 arrays (N, C, h, w)
        The trunk's output T, and what was made of it: (1 + M) T, or M T.
    """

    name: str
    stage: int
    module: int
    mask: np.ndarray
    before: np.ndarray
    after: np.ndarray


def attention_modules(net):
    """The attention modules of a network in order, each as (index in `net.features`, stage, number there, block)."""
    found, stage, number = [], 0, 0
    for index, block in enumerate(net.features):
        if isinstance(block, AttentionModule):
            number += 1
            found.append((index, stage, number, block))
        elif block._children:  # a residual unit, which enters a stage: the stem's layers have no parts
            stage, number = stage + 1, 0
    return found


def soft_masks(net, images):
    """The soft masks of all attention modules of a network, and the features before and after them.

    They are taken from the network's own graph, composed anew for inference: it may be hybridised or not, and of any
    kind of mask.

    Parameters
    ----------
    net : AttentionNet
        Initialised, float32. It is left as it is.
    images : float32 array (N, 3, H, W)
        As the network is given them.

    Returns
    -------
    list of Attention

    Raises
    ------
    InputError
        If the network has no masks.
    """
    modules = [entry for entry in attention_modules(net) if entry[3].mask]
    if not modules:
        raise InputError("the network has no soft masks: it is of trunks only")
    noted, handles = {}, []

    def note(index, what):
        def hook(_, inputs, output=None):
            noted[index, what] = inputs[0] if output is None else output

        return hook

    data = mx.sym.var("data", dtype="float32")
    try:
        for index, _, _, block in modules:
            handles += [
                block.mask.register_forward_hook(note(index, "mask")),
                block.trunk.register_forward_hook(note(index, "before")),
                block.last.register_forward_pre_hook(note(index, "after")),
            ]
        net(data)
    finally:
        for handle in handles:
            handle.detach()
    keys = [(index, what) for index, _, _, _ in modules for what in AttentionMaps._fields[3:]]
    graph = mx.gluon.SymbolBlock([noted[key] for key in keys], data, params=net.collect_params())
    arrays = dict(zip(keys, _in_batches(graph, images, device_of(net))))
    return [
        AttentionMaps(f"features.{index}", stage, number, *(arrays[index, what] for what in AttentionMaps._fields[3:]))
        for index, stage, number, _ in modules
    ]


def _in_batches(graph, images, device):
    """The outputs of a graph as NumPy arrays, each of all images."""
    parts = []
    with mx.autograd.pause(train_mode=False):
        for begin in range(0, len(images), BATCH_SIZE):
            outputs = graph(mx.nd.array(images[begin : begin + BATCH_SIZE], ctx=device))
            parts.append([output.asnumpy() for output in outputs])
    return [np.concatenate(arrays) for arrays in zip(*parts)]


def grad_cam(net, images, labels=None):
    """Grad-CAM of the last stage's features (arXiv 1610.02391, equations 1 and 2).

    The features A are the last attention module's output; each of their channels counts by the mean over its points
    of the gradient of the class's logit, and what speaks against the class is cut off: ReLU(sum of weight x A).

    Parameters
    ----------
    net : AttentionNet
        Initialised. It is left as it is.
    images : float32 array (N, 3, H, W)
        As the network is given them.
    labels : int array (N,), optional
        Of which class; default: the most probable of each image.

    Returns
    -------
    float32 array (N, h, w)
    """
    features, gradients = cam_gradients(net, images, labels)
    weights = gradients.mean(axis=(2, 3), keepdims=True)
    return np.maximum((weights * features).sum(axis=1), 0)


def cam_gradients(net, images, labels=None):
    """The last stage's features, and the gradient in them of each image's logit of its class: arrays (N, C, h, w).

    Parameters are as of `grad_cam`.
    """
    last, device = attention_modules(net)[-1][0], device_of(net)
    front, back = (_compose(net, slice(None, last + 1)), _compose(net, slice(last + 1, None), net.output))
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
        # Not `backward`, which would write into the gradients of the network's parameters as well.
        (gradients,) = mx.autograd.grad([score], [features], train_mode=False)
        found.append((features.asnumpy(), gradients.asnumpy()))
    return tuple(np.concatenate(arrays) for arrays in zip(*found))


def _compose(net, part, *more):
    """The graph of a part of a network's features, and of what follows."""
    x = data = mx.sym.var("data", dtype="float32")
    for block in list(net.features)[part] + list(more):
        x = block(x)
    return mx.gluon.SymbolBlock(x, data, params=net.collect_params())
