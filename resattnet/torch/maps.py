"""Compute the soft masks of a network in PyTorch, as `evaluation.masks` does by MXNet: `attention_maps`."""

from __future__ import annotations

from typing import List

import numpy as np
import torch

from ..models.attention_maps import AttentionMaps, gather_maps, noting, place_modules
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
    places = place_modules(net.features, AttentionModule, getattr(units, UNITS[net.spec.unit]))
    masked = [place for place in places if place.block.mask is not None]
    with noting(masked) as noted:
        for begin in range(0, len(images), BATCH_SIZE):
            compute_logits(net, images[begin : begin + BATCH_SIZE])
    return gather_maps(masked, {key: torch.cat(parts).float().cpu().numpy() for key, parts in noted.items()})
