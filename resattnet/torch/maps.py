"""Compute the soft masks of a network in PyTorch, as `evaluation.masks` does by MXNet: `attention_maps`."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import torch

from ..models.attention_maps import ARRAYS, AttentionMaps, place_modules
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
    noted: Dict[Tuple[int, str], List[np.ndarray]] = {}
    places = place_modules(net.features, AttentionModule, getattr(units, UNITS[net.spec.unit]))
    masked = [place for place in places if place.block.mask is not None]
    handles: List[Any] = []
    try:
        for place in masked:
            parts = [noted.setdefault((place.index, what), []) for what in ARRAYS]
            handles += [
                place.block.mask.register_forward_hook(_note(parts[0])),
                place.block.trunk.register_forward_hook(_note(parts[1])),
                place.block.last.register_forward_pre_hook(_note(parts[2])),
            ]
        for begin in range(0, len(images), BATCH_SIZE):
            compute_logits(net, images[begin : begin + BATCH_SIZE])
    finally:
        for handle in handles:
            handle.remove()
    return [
        AttentionMaps(
            f"features.{place.index}",
            place.stage,
            place.module,
            *(np.concatenate(noted[place.index, what]) for what in ARRAYS),
        )
        for place in masked
    ]


def _note(parts: List[np.ndarray]) -> Callable[..., None]:
    """Return a hook that adds the output of a layer, or the input that it is about to get, to a list."""

    def hook(_: Any, inputs: Any, output: Any = None) -> None:
        tensor: torch.Tensor = inputs[0] if output is None else output
        parts.append(tensor.float().cpu().numpy())

    return hook
