"""Build a network from a `NetworkSpec` in PyTorch: the layers, names and numbers of `models.network`."""

from __future__ import annotations

import contextlib
import math
from typing import Any, Iterator, List, Tuple

import numpy as np
import torch
from torch import nn

from ..models.spec import MASK_LEVELS, STEMS, TAIL_UNITS, UNITS, NetworkSpec
from ..system.errors import InputError
from . import layers, units
from .attention import AttentionModule

_SLOPE = 0.25  # of the PReLU that the default initialiser, MSRAPrelu, assumes


class AttentionNet(nn.Module):
    """Residual Attention Network: stem, three stages of attention modules, tail; `features` then `output`.

    With the same parameters, the logits, masks, gradients and running statistics are those of the Gluon network. In
    training mode, each channel needs more than one value in a batch, which PyTorch's batch normalisation checks.

    The weights of a new network are drawn as `AttentionNet.initialize` of the Gluon network draws them, by MSRAPrelu
    (arXiv 1502.01852): normally distributed with variance 2 / (1 + 0.25^2) / ((inputs + outputs) / 2). Each gamma is 1,
    each beta and bias 0. The random numbers themselves are PyTorch's. `zero_init_residual` may follow, as in training
    by `--zero-gamma 1`.

    Parameters
    ----------
    spec : NetworkSpec

    Attributes
    ----------
    spec : NetworkSpec
    """

    def __init__(self, spec: NetworkSpec) -> None:
        if not isinstance(spec, NetworkSpec):
            raise InputError(
                f"`spec`: a {type(spec).__name__} is not a NetworkSpec; NetworkSpec.from_dict makes one of a dict"
            )
        super().__init__()
        self.spec = spec
        depth, widths, unit = spec.depth, spec.channels, getattr(units, UNITS[spec.unit])
        features: List[nn.Module] = list(STEMS[spec.stem].make(layers, layers.BatchNorm, widths.stem))
        width = widths.stem
        for stage, stride, levels, modules in zip(widths.stages, spec.stage_strides, MASK_LEVELS, depth.modules):
            features.append(unit(stage, width, stride))
            variant = (spec.attention_learning, spec.attention, spec.mask)
            features += [
                AttentionModule(stage, levels, depth.p, depth.t, depth.r, *variant, unit) for _ in range(modules)
            ]
            width = stage
        for stride in (2,) + (1,) * (TAIL_UNITS - 1):
            features.append(unit(widths.tail, width, stride))
            width = widths.tail
        if not unit.activated:
            features += [layers.BatchNorm(in_channels=width), layers.Activation("relu")]
        self.features = nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.output = nn.Linear(width, spec.classes)
        self.apply(_initialise)

    def forward(self, images: torch.Tensor, return_masks: bool = False) -> Any:
        """Map images to logits, for any height and width.

        Parameters
        ----------
        images : float tensor (N, 3, H, W)
            Normalised.
        return_masks : bool
            Whether the soft masks are returned too.

        Returns
        -------
        logits : float tensor (N, classes)
        masks : list of float tensors (N, C, h, w)
            With `return_masks`: the mask of each attention module in their order. Empty for a network without masks.
        """
        if not return_masks:
            return self.output(self.features(images))
        return self._with_masks(images)

    def _with_masks(self, x: torch.Tensor) -> Tuple[torch.Tensor, List[torch.Tensor]]:
        masks = []
        for layer in self.features:
            if isinstance(layer, AttentionModule):
                x, mask = layer.with_mask(x)
                masks += [] if mask is None else [mask]
            else:
                x = layer(x)
        return self.output(x), masks


def build(spec: NetworkSpec) -> AttentionNet:
    """Return the network of a specification, with random weights. See `AttentionNet`.

    Parameters
    ----------
    spec : NetworkSpec

    Raises
    ------
    InputError
        If `spec` is something else, such as a dict.
    """
    return AttentionNet(spec)


@contextlib.contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Context in which a network is in evaluation mode. At its end, each module has the mode that it had before."""
    training = [module for module in net.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def compute_logits(net: AttentionNet, images: np.ndarray) -> np.ndarray:
    """Return the logits (N, classes) of images, float32 (N, 3, H, W), in evaluation mode; see `evaluating`."""
    device = net.output.weight.device
    with evaluating(net), torch.inference_mode():
        return net(torch.from_numpy(np.ascontiguousarray(images, np.float32)).to(device)).float().cpu().numpy()


def _initialise(module: nn.Module) -> None:
    """Draw the weights of a layer; batch normalisation starts with 1 and 0 by itself."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        shape = module.weight.shape
        inputs, outputs = (shape[axis] * math.prod(shape[2:]) for axis in (1, 0))
        nn.init.normal_(module.weight, 0, math.sqrt(2 / (1 + _SLOPE**2) / ((inputs + outputs) / 2)))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
