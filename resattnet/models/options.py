"""Group the options that specify a network, which several commands share."""

from __future__ import annotations

from dataclasses import dataclass

from ..options.fields import Options, option
from .spec import ATTENTION, ATTENTION_LEARNING, CIFAR_WIDTHS, MASKS, UNITS, NetworkSpec, attention_net_spec


@dataclass(frozen=True)
class NetworkSizeOptions(Options):
    """Depth, widths and residual units."""

    heading = "network"

    num_layers: int = option(NetworkSpec.num_layers, "depth of the network", choices=tuple(attention_net_spec))
    widths: str = option(
        NetworkSpec.widths,
        "widths of the network; full: the reference Gluon size; thin: about the paper's own CIFAR size, five to six "
        "times smaller; tiny: smaller still, for basic units",
        choices=tuple(CIFAR_WIDTHS),
    )
    unit: str = option(
        NetworkSpec.unit,
        "residual unit of trunks, masks and tail; bottleneck: pre-activation, of Attention-56 to -452; resnext: of "
        "AttentionNeXt; inception: Inception-ResNet's, of AttentionInception; basic: two 3x3 convolutions, for tiny "
        "widths",
        choices=tuple(UNITS),
    )


@dataclass(frozen=True)
class NetworkOptions(NetworkSizeOptions):
    """All fields of a network that the command line specifies; the number of classes is that of the data set."""

    attention_learning: str = option(
        NetworkSpec.attention_learning,
        "how a mask M acts on its trunk T; arl: (1 + M) T; nal: M T",
        choices=ATTENTION_LEARNING,
    )
    attention: str = option(
        NetworkSpec.attention,
        "last step of a mask; mixed: the sigmoid; channel: divide by the L2 norm over the channels at each position; "
        "spatial: normalise each channel's map, then the sigmoid",
        choices=tuple(ATTENTION),
    )
    mask: str = option(
        NetworkSpec.mask,
        "kind of masks; hourglass: down in size and up again; local: the same units, all at full size; none: no "
        "masks, only the trunk",
        choices=MASKS,
    )
