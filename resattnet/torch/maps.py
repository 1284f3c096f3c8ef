"""Compute the soft masks of a network in PyTorch, as `evaluation.masks` does by MXNet: `attention_maps`."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import torch

from ..models.attention_maps import ARRAYS, AttentionMaps
from ..models.spec import UNITS
from . import units
from .attention import AttentionModule
from .network import AttentionNet, compute_logits

BATCH_SIZE = 64


def attention_maps(net: AttentionNet, images: np.ndarray) -> List[AttentionMaps]:
    """Return the soft masks of all attention modules, and the features before and after them.

    Parameters
    ----------
    net : AttentionNet
        In evaluation mode. Not modified.
    images : float32 array (N, 3, H, W)
        Normalised; at least one.

    Returns
    -------
    list of AttentionMaps
        Of the modules that have a mask, in their order.
    """
    noted: Dict[Tuple[str, str], List[np.ndarray]] = {}
    modules = [place for place in _modules(net) if place[3].mask is not None]
    handles: List[Any] = []
    try:
        for name, _, _, module in modules:
            handles += [
                module.mask.register_forward_hook(_note(noted.setdefault((name, "mask"), []))),
                module.trunk.register_forward_hook(_note(noted.setdefault((name, "before"), []))),
                module.last.register_forward_pre_hook(_note(noted.setdefault((name, "after"), []))),
            ]
        for begin in range(0, len(images), BATCH_SIZE):
            compute_logits(net, images[begin : begin + BATCH_SIZE])
    finally:
        for handle in handles:
            handle.remove()
    return [
        AttentionMaps(name, stage, number, *(np.concatenate(noted[name, what]) for what in ARRAYS))
        for name, stage, number, _ in modules
    ]


def _modules(net: AttentionNet) -> List[Tuple[str, int, int, AttentionModule]]:
    """Return the name, the stage and the number within it of each attention module, and the module."""
    unit = getattr(units, UNITS[net.spec.unit])  # one enters each stage, before the stage's modules
    places, stage, number = [], 0, 0
    for index, layer in enumerate(net.features):
        if isinstance(layer, AttentionModule):
            number += 1
            places.append((f"features.{index}", stage, number, layer))
        elif isinstance(layer, unit):
            stage, number = stage + 1, 0
    return places


def _note(parts: List[np.ndarray]) -> Callable[..., None]:
    """Return a hook that adds the output of a layer, or the input that it is about to get, to a list."""

    def hook(_: Any, inputs: Any, output: Any = None) -> None:
        tensor: torch.Tensor = inputs[0] if output is None else output
        parts.append(tensor.float().cpu().numpy())

    return hook
