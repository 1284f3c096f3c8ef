"""Build a network from a `NetworkSpec` (section 3.4 and table 2 of the paper)."""

from __future__ import annotations

from typing import Any, Optional

from ..machine.mxnet import mx
from . import units
from .attention import AttentionModule
from .batch_norm import BatchNorm
from .spec import MASK_LEVELS, STEMS, TAIL_UNITS, UNITS, NetworkSpec, Spec, Widths

nn = mx.gluon.nn


class AttentionNet(mx.gluon.HybridBlock):
    """Residual Attention Network: stem, three stages of attention modules, tail; `features` then `output`.

    Parameters
    ----------
    spec : NetworkSpec
    depth : Spec, optional
        Numbers of units and modules, in place of the row of `attention_net_spec` that the specification names.
    channels : Widths, optional
        Numbers of channels, in place of the row of the stem's widths that the specification names.
    **kwargs
        `prefix` and `params` of `gluon.Block`.

    Attributes
    ----------
    spec : NetworkSpec
    part_ends : tuple of int
        Number of layers of `features` up to the end of each of `parts.PARTS`.
    """

    def __init__(
        self, spec: NetworkSpec, depth: Optional[Spec] = None, channels: Optional[Widths] = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        depth, widths = depth or spec.depth, channels or spec.channels
        unit = getattr(units, UNITS[spec.unit])
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self.features.add(*STEMS[spec.stem].make(nn, BatchNorm, widths.stem))
            ends = [len(self.features)]
            width = widths.stem
            for stage, stride, levels, modules in zip(widths.stages, spec.stage_strides, MASK_LEVELS, depth.modules):
                self.features.add(unit(stage, width, stride))
                for _ in range(modules):
                    self.features.add(
                        AttentionModule(
                            stage,
                            levels,
                            depth.p,
                            depth.t,
                            depth.r,
                            spec.attention_learning,
                            spec.attention,
                            spec.mask,
                            unit=unit,
                        )
                    )
                ends.append(len(self.features))
                width = stage
            for stride in (2,) + (1,) * (TAIL_UNITS - 1):
                self.features.add(unit(widths.tail, width, stride))
                width = widths.tail
            if not unit.activated:
                self.features.add(BatchNorm(in_channels=width), nn.Activation("relu"))
            self.features.add(nn.GlobalAvgPool2D(), nn.Flatten())
            self.part_ends = (*ends, len(self.features))
            self.output = nn.Dense(spec.classes, in_units=width)

    def initialize(self, init: Any = None, ctx: Any = None, verbose: bool = False, force_reinit: bool = False) -> None:
        """Initialise the parameters as `gluon.Block.initialize` does; the default initialiser is MSRAPrelu."""
        super().initialize(init or mx.init.MSRAPrelu(), ctx, verbose, force_reinit)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Map images (N, 3, H, W) to logits (N, classes), for any H and W."""
        return self.output(self.features(x))


def build(spec: NetworkSpec, **kwargs: Any) -> AttentionNet:
    """Return the network of a specification, not initialised.

    Parameters
    ----------
    spec : NetworkSpec
    **kwargs
        Parameters of `AttentionNet`: `prefix`, `params`; `depth` and `channels` for a network that is in no table.
    """
    return AttentionNet(spec, **kwargs)
