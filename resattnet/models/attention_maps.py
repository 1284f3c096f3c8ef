"""The masks and features of an attention module for a batch of images: `AttentionMaps`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class AttentionMaps(NamedTuple):
    """The effect of an attention module on a batch of images.

    Attributes
    ----------
    name : str
        Name of the module in parameter files.
    stage, module : int
        Stage of the module, and its number within the stage; both from 1.
    mask : float32 array (N, C, h, w)
        The soft mask M (section 3).
    before : float32 array (N, C, h, w)
        The output T of the trunk.
    after : float32 array (N, C, h, w)
        The weighted trunk: (1 + M) T (equation 3), or M T for naive attention learning.
    """

    name: str
    stage: int
    module: int
    mask: np.ndarray
    before: np.ndarray
    after: np.ndarray


ARRAYS = AttentionMaps._fields[3:]
