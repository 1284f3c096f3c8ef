"""What an attention module does to a batch of images, and where it is: for the networks of Gluon and of PyTorch."""

from __future__ import annotations

import collections
import contextlib
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

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
NO_MASKS = "the network has no soft masks: it consists of trunks only"  # why there are no maps, for messages


@dataclass(frozen=True)
class ModulePlace:
    """An attention module in its network.

    Attributes
    ----------
    index : int
        Index in the `features` of the network.
    stage, module : int
        Stage of the module, and its number within the stage; both from 1.
    block : AttentionModule
        Of Gluon or PyTorch.
    """

    index: int
    stage: int
    module: int
    block: Any


def place_modules(features: Iterable[Any], module_class: type, unit_class: type) -> List[ModulePlace]:
    """Return the attention modules among the layers of a network, in their order.

    Parameters
    ----------
    features : iterable
        The layers. A unit enters each stage, before the stage's modules.
    module_class, unit_class : type
        Class of the attention modules, and of the residual units.
    """
    places, stage, module = [], 0, 0
    for index, layer in enumerate(features):
        if isinstance(layer, module_class):
            module += 1
            places.append(ModulePlace(index, stage, module, layer))
        elif isinstance(layer, unit_class):
            stage, module = stage + 1, 0
    return places


@contextlib.contextmanager
def noting(places: Sequence[ModulePlace]) -> Iterator[Dict[Tuple[int, str], List[Any]]]:
    """Context in which modules with a mask note what they compute.

    Yields
    ------
    dict of (int, str) to list
        By index of the module and name in `ARRAYS`: what was computed, in the order of the calls.
    """
    noted: Dict[Tuple[int, str], List[Any]] = collections.defaultdict(list)

    def note(index: int, what: str) -> Callable[..., None]:
        def hook(_: Any, inputs: Any, output: Any = None) -> None:
            noted[index, what].append(inputs[0] if output is None else output)

        return hook

    with contextlib.ExitStack() as hooks:
        for place in places:
            block = place.block
            hooks.enter_context(block.mask.register_forward_hook(note(place.index, "mask")))
            hooks.enter_context(block.trunk.register_forward_hook(note(place.index, "before")))
            hooks.enter_context(block.last.register_forward_pre_hook(note(place.index, "after")))
        yield noted


def gather_maps(places: Iterable[ModulePlace], arrays: Mapping[Tuple[int, str], np.ndarray]) -> List[AttentionMaps]:
    """Return the maps of each module from its arrays, which are named as in `noting`."""
    return [
        AttentionMaps(
            f"features.{place.index}", place.stage, place.module, *(arrays[place.index, what] for what in ARRAYS)
        )
        for place in places
    ]
