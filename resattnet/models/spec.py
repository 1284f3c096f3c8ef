"""Specify a network as data: `NetworkSpec`, and the tables of depths, widths, stems, units and kinds of attention.

Nothing here imports MXNet. A new depth, width, stem, unit or kind of attention is one row here and one class or
function in the module that the row names.
"""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple

from ..system.errors import InputError
from .attention_types import ATTENTION
from .stems import cifar_stem, imagenet_stem

Spec = namedtuple("Spec", "p t r modules")
Spec.__doc__ = "Units before and after, in the trunk, in the mask; attention modules of the three stages."

attention_net_spec = {
    56: Spec(1, 2, 1, (1, 1, 1)),
    92: Spec(1, 2, 1, (1, 2, 3)),
    128: Spec(1, 2, 1, (3, 3, 3)),
    164: Spec(1, 2, 1, (4, 4, 4)),
    236: Spec(1, 2, 1, (6, 6, 6)),
    452: Spec(2, 4, 3, (6, 6, 6)),
}

Widths = namedtuple("Widths", "stem stages tail")
Widths.__doc__ = "Channels of the stem, of the three stages and of the three tail units."

CIFAR_WIDTHS = {
    "full": Widths(32, (128, 256, 512), 1024),
    # The paper's own CIFAR size: the only widths that come near its 1.9M (92) and 5.1M (236) parameters.
    "thin": Widths(16, (64, 128, 256), 256),
}
IMAGENET_WIDTHS = {"full": Widths(64, (256, 512, 1024), 2048)}


class Stem(NamedTuple):
    """A kind of first layers.

    Attributes
    ----------
    make : callable
        `make(nn, channels)` returns the layers, the last of which has `channels` channels.
    widths : dict of str to Widths
        The widths that a network with this stem can have.
    image_size : int
        Height and width of the images that it is designed for.
    classes : int
        Number of classes of the data set that it is designed for.
    """

    make: Callable[[Any, int], List[Any]]
    widths: Dict[str, Widths]
    image_size: int
    classes: int


STEMS = {
    "cifar": Stem(cifar_stem, CIFAR_WIDTHS, 32, 10),
    "imagenet": Stem(imagenet_stem, IMAGENET_WIDTHS, 224, 1000),
}
UNITS = {"bottleneck": "Bottleneck"}  # the class of `models.units`
ATTENTION_LEARNING = ("arl", "nal")
MASKS = ("hourglass", "local", "none")

MASK_LEVELS = (3, 2, 1)
STAGE_STRIDES = (1, 2, 2)
TAIL_UNITS = 3


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """All that defines a network's layers: `models.build` makes the network from it, and parameter files hold it.

    Parameters
    ----------
    classes : int
        Number of classes, at least 1.
    num_layers : int
        Depth, a key of `attention_net_spec`.
    stem : str
        Key of `STEMS`.
    widths : str
        Key of the stem's widths: 'full' is the reference Gluon size, 'thin' about the paper's own CIFAR size.
    unit : str
        Key of `UNITS`.
    attention_learning : {'arl', 'nal'}
        Attention residual learning, (1 + M) T (equation 3), or naive attention learning, M T.
    attention : str
        Key of `ATTENTION`: the last step of each mask (section 3.3).
    mask : {'hourglass', 'local', 'none'}
        'local' is the hourglass without its poolings and interpolations; 'none' leaves the trunk alone.
    stage_strides : tuple of int
        Stride of the unit that enters each stage.

    Raises
    ------
    InputError
        If a value is unknown, or an option of masks is given for a network without masks.
    """

    classes: int
    num_layers: int = 56
    stem: str = "cifar"
    widths: str = "full"
    unit: str = "bottleneck"
    attention_learning: str = "arl"
    attention: str = "mixed"
    mask: str = "hourglass"
    stage_strides: Tuple[int, ...] = STAGE_STRIDES

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise InputError(f"`classes={self.classes}`: give a number of at least 1")
        choose("num_layers", self.num_layers, attention_net_spec)
        choose("widths", self.widths, choose("stem", self.stem, STEMS).widths)
        choose("unit", self.unit, UNITS)
        check_variant(self.attention_learning, self.attention, self.mask)
        object.__setattr__(self, "stage_strides", tuple(self.stage_strides))

    @classmethod
    def from_dict(cls, network: Mapping[str, Any]) -> NetworkSpec:
        """Return the specification that a file holds.

        Parameters
        ----------
        network : mapping of str to value
            As `to_dict` gives it. What earlier versions did not write has its default.

        Raises
        ------
        InputError
            If a name or a value is unknown.
        """
        unknown = sorted(set(network) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise InputError(f"the network has {', '.join(unknown)}, which this version of resattnet does not know")
        return cls(**network)

    def to_dict(self) -> Dict[str, Any]:
        """Return the specification as JSON types, for a file."""
        return dict(dataclasses.asdict(self), stage_strides=list(self.stage_strides))

    @property
    def depth(self) -> Spec:
        """The row of `attention_net_spec`."""
        return attention_net_spec[self.num_layers]

    @property
    def channels(self) -> Widths:
        """The row of the stem's widths."""
        return STEMS[self.stem].widths[self.widths]


# The fields that the options of a command give; the classes are the data set's.
NETWORK_OPTIONS = ("num_layers", "widths", "attention_learning", "attention", "mask")


def choose(what: str, name: Any, table: Mapping[Any, Any]) -> Any:
    """Return the row `name` of a table.

    Raises
    ------
    InputError
        If there is no such row; the message names the parameter `what` and the choices.
    """
    if name not in table:
        raise InputError(f"`{what}={name}`: choose from {', '.join(map(str, table))}")
    return table[name]


def check_variant(attention_learning: str, attention: str, mask: str) -> None:
    """Raise InputError if one of the three is unknown, or says how masks work where there are none."""
    choose("attention_learning", attention_learning, dict.fromkeys(ATTENTION_LEARNING))
    choose("attention", attention, ATTENTION)
    choose("mask", mask, dict.fromkeys(MASKS))
    if mask == "none" and (attention_learning, attention) != (NetworkSpec.attention_learning, NetworkSpec.attention):
        raise InputError(
            f"`mask=none`: there is no mask for `attention_learning={attention_learning}` `attention={attention}` to "
            "act on; leave them out"
        )


def trunk_depth(num_layers: int) -> int:
    """Return the number of weighted layers through the trunks, from the first convolution to the dense layer.

    Parameters
    ----------
    num_layers : int
        A key of `attention_net_spec`.

    Returns
    -------
    int
        20 + 3 (2 p + t) per attention module, which is the key itself for all six.

    Raises
    ------
    InputError
        If it is no key.
    """
    spec = choose("num_layers", num_layers, attention_net_spec)
    return 20 + 3 * (2 * spec.p + spec.t) * sum(spec.modules)
