"""List the layers of a network with the shape of their outputs, their parameters and multiply-accumulates (MACs).

    {command} --num-layers 92 --widths thin
    {command} --num-layers 56 --stem imagenet

The figures are for one image. The last line is the total.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional

from ..models.options import NetworkOptions
from ..models.spec import NETWORK_OPTIONS, STEMS, NetworkSpec
from ..options import command_line
from ..options.fields import option


@dataclass(frozen=True)
class SummaryOptions(NetworkOptions):
    """Options of a summary; each is set by the flag of the same name of the command `summary`."""

    stem: str = option("cifar", "first layers; cifar: for small images; imagenet: for large ones", choices=tuple(STEMS))
    classes: Optional[int] = option(
        None,
        "number of classes",
        low=1,
        high=1_000_000,
        why_high="no data set has more classes",
        unset="10, or 1000 with --stem imagenet",
    )
    image_size: Optional[int] = option(
        None,
        "height and width of the images",
        low=1,
        high=8192,
        why_high="no network here is for larger images",
        unset="32, or 224 with --stem imagenet",
    )

    @property
    def network(self) -> NetworkSpec:
        """The specification of the network."""
        named = {name: getattr(self, name) for name in NETWORK_OPTIONS}
        return NetworkSpec(self.classes or STEMS[self.stem].classes, stem=self.stem, **named)

    @property
    def side(self) -> int:
        """Height and width of the images in pixels."""
        return self.image_size or STEMS[self.stem].image_size


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the options."""
    command_line.add_options(parser, SummaryOptions)


def main(given: Dict[str, Any]) -> None:
    """Print the table of the layers."""
    options = SummaryOptions(**given)

    from ..models.network import build
    from ..models.summary import layers, table

    print("\n".join(table(layers(build(options.network), options.side, options.side))))
