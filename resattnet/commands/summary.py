"""Options of the summary of a network."""

from dataclasses import dataclass
from typing import Optional

from ..models.spec import (
    ATTENTION,
    ATTENTION_LEARNING,
    CIFAR_WIDTHS,
    MASKS,
    NETWORK_OPTIONS,
    STEMS,
    NetworkSpec,
    attention_net_spec,
)
from ..system.options import Options, option


@dataclass(frozen=True)
class SummaryOptions(Options):
    """Arguments of `python -m resattnet summary`."""

    num_layers: int = option(56, "depth of the network", choices=tuple(attention_net_spec))
    stem: str = option("cifar", "cifar: for small images; imagenet: for large ones", choices=tuple(STEMS))
    widths: str = option("full", "widths of the network", choices=tuple(CIFAR_WIDTHS))
    attention_learning: str = option("arl", "attention learning of the network", choices=ATTENTION_LEARNING)
    attention: str = option("mixed", "attention type of the network", choices=tuple(ATTENTION))
    mask: str = option("hourglass", "masks of the network", choices=MASKS)
    classes: Optional[int] = option(None, "number of classes", low=1, unset="10, or 1000 with --stem imagenet")
    image_size: Optional[int] = option(
        None, "height and width of the images", low=1, unset="32, or 224 with --stem imagenet"
    )

    @property
    def network(self):
        """The specification of the network."""
        named = {name: getattr(self, name) for name in NETWORK_OPTIONS}
        return NetworkSpec(self.classes or STEMS[self.stem].classes, stem=self.stem, **named)

    @property
    def side(self):
        """Height and width of the images."""
        return self.image_size or STEMS[self.stem].image_size
