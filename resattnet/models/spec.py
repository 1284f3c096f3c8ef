"""Specify a network as data: `NetworkSpec`, and the tables of depths, widths, stems, units and attention types.

Nothing here imports MXNet. To add a depth, a width, a stem or a unit, add a row here, and for a stem or a unit the
function or class that the row names. Attention types are in `attention_types.ATTENTION`.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections import namedtuple
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple

from ..system.errors import InputError
from .attention_types import ATTENTION
from .stems import cifar_stem, imagenet_stem

Spec = namedtuple("Spec", "p t r modules")
Spec.__doc__ = (
    "Depth: `p` units before and after each trunk, `t` in it, `r` between two poolings of its mask; attention modules "
    "of the three stages."
)

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
    # With basic units, Attention-56 has 0.42M parameters.
    "tiny": Widths(16, (16, 24, 32), 48),
}
IMAGENET_WIDTHS = {
    "full": Widths(64, (256, 512, 1024), 2048),
    "thin": Widths(32, (128, 256, 512), 1024),
    "tiny": Widths(16, (64, 128, 256), 512),
}


class Stem(NamedTuple):
    """The first layers of a network, and the images that they are designed for.

    Attributes
    ----------
    make : callable
        `make(nn, norm, channels)` returns the layers, the last of which has `channels` channels.
    widths : dict of str to Widths
        The widths that a network with this stem can have.
    image_size : int
        Height and width of the images.
    classes : int
        Number of classes of the data set: CIFAR-10 or ImageNet.
    """

    make: Callable[[Any, Any, int], List[Any]]
    widths: Dict[str, Widths]
    image_size: int
    classes: int


STEMS = {
    "cifar": Stem(cifar_stem, CIFAR_WIDTHS, 32, 10),
    "imagenet": Stem(imagenet_stem, IMAGENET_WIDTHS, 224, 1000),
}
# The name of a class in `models.units`, which imports MXNet.
UNITS = {
    "bottleneck": "Bottleneck",
    "resnext": "ResNeXtUnit",
    "inception": "InceptionUnit",
    "basic": "BasicUnit",
}
ATTENTION_LEARNING = ("arl", "nal")
MASKS = ("hourglass", "local", "none")

MASK_LEVELS = (3, 2, 1)
STAGE_STRIDES = (1, 2, 2)
TAIL_UNITS = 3


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """The definition of a network: `network.build` makes the network, and parameter files hold the definition.

    Parameters
    ----------
    classes : int
        Number of classes, at least 1.
    num_layers : int
        Depth, a key of `attention_net_spec`.
    stem : str
        Key of `STEMS`.
    widths : str
        Key of the stem's widths. 'full' is the size of the reference Gluon network; 'thin' is about the paper's size
        for CIFAR, and half of the channels for ImageNet; 'tiny' is for small devices.
    unit : str
        Key of `UNITS`: the residual unit of trunks, masks and tail.
    attention_learning : {'arl', 'nal'}
        Attention residual learning, (1 + M) T (equation 3), or naive attention learning, M T.
    attention : str
        Key of `ATTENTION`: the last step of each mask (section 3.3).
    mask : {'hourglass', 'local', 'none'}
        'local' is the hourglass without its poolings and interpolations; 'none' has no masks.
    stage_strides : tuple of int
        Stride of the unit that enters each stage.

    Raises
    ------
    InputError
        If a value is unknown, or an option of the masks is given for a network without masks.
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
            As `to_dict` returns it. Fields that are missing, as in files of earlier versions, have their defaults.

        Raises
        ------
        InputError
            If a field or a value is unknown, or `classes` is missing.
        """
        unknown = sorted(set(network) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise InputError(f"the network has {', '.join(unknown)}, which this version of resattnet does not know")
        if "classes" not in network:
            raise InputError("the network has no number of classes")
        for name, value in network.items():
            if name == "stage_strides":
                is_right = isinstance(value, (list, tuple)) and all(type(stride) is int for stride in value)
                is_right = is_right and len(value) == len(STAGE_STRIDES) and all(1 <= stride <= 16 for stride in value)
            else:
                is_right = type(value) is (int if name in ("classes", "num_layers") else str)
            if not is_right:
                raise InputError(f"the network has the wrong value {reprlib.repr(value)} of `{name}`")
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


# The fields that commands have as options; the number of classes comes from the data set.
NETWORK_OPTIONS = ("num_layers", "widths", "unit", "attention_learning", "attention", "mask")


def choose(what: str, name: Any, table: Mapping[Any, Any]) -> Any:
    """Return the row of a table.

    Parameters
    ----------
    what : str
        The parameter that has the value `name`, for the message.
    name : key
        The row.
    table : mapping

    Raises
    ------
    InputError
        If there is no such row; the message lists the rows.
    """
    if name not in table:
        raise InputError(f"`{what}={name}`: choose from {', '.join(map(str, table))}")
    return table[name]


def check_variant(attention_learning: str, attention: str, mask: str) -> None:
    """Raise InputError if a value is unknown, or describes the masks of a network without masks."""
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
        20, plus 3 (2 p + t) for each attention module, with units of three layers, as bottlenecks are. For all six
        keys, the result equals the key.

    Raises
    ------
    InputError
        If `num_layers` is not a key.
    """
    spec = choose("num_layers", num_layers, attention_net_spec)
    return 20 + 3 * (2 * spec.p + spec.t) * sum(spec.modules)
