"""Compute what a network looks at in PyTorch, as `prediction.masks` does by MXNet: soft masks, Grad-CAM."""

from __future__ import annotations

from typing import List

import numpy as np
import torch

from ..models.attention_maps import AttentionMaps, gather_maps, noting, place_modules
from ..models.spec import UNITS
from . import units
from .attention import AttentionModule
from .network import AttentionNet, compute_logits, evaluating

BATCH_SIZE = 64


def attention_maps(net: AttentionNet, images: np.ndarray) -> List[AttentionMaps]:
    """Return the soft masks of all attention modules, and the features before and after them.

    Parameters
    ----------
    net : AttentionNet
        Computed in evaluation mode. Not modified.
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


def grad_cam(net: AttentionNet, images: np.ndarray) -> np.ndarray:
    """Return Grad-CAM of the last stage's features for the most probable classes: see `prediction.masks.grad_cam`.

    Parameters
    ----------
    net, images
        See `attention_maps`.

    Returns
    -------
    float32 array (N, h, w)
    """
    end = place_modules(net.features, AttentionModule, getattr(units, UNITS[net.spec.unit]))[-1].index + 1
    device, found = net.output.weight.device, []
    for begin in range(0, len(images), BATCH_SIZE):
        batch = torch.from_numpy(np.ascontiguousarray(images[begin : begin + BATCH_SIZE], np.float32)).to(device)
        with evaluating(net):
            with torch.no_grad():
                features = net.features[:end](batch)
            logits = net.output(net.features[end:](features.requires_grad_()))
            (gradients,) = torch.autograd.grad(logits.amax(dim=1).sum(), [features])
        cam = (gradients.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1).relu()
        found.append(cam.detach().float().cpu().numpy())
    return np.concatenate(found)
