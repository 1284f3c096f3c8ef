"""Build the networks of `models.network` in PyTorch, for comparison: the same layers, names and weights.

The benchmark imports this module, and with it PyTorch, only where it measures PyTorch. Submodules are named as in the
Gluon networks, so that `load_gluon` renames the two parameters of batch normalisation and nothing else. The defaults
of batch normalisation agree: PyTorch's momentum 0.1 is Gluon's 0.9. Depths, widths, strides and levels are those of
`models.spec`.
"""

from __future__ import annotations

from typing import Any, Callable, List

import torch
from torch import nn
from torch.nn import functional as F

from ..models.spec import MASK_LEVELS, TAIL_UNITS, NetworkSpec
from ..system.errors import InputError

_TORCH_NAMES = {"gamma": "weight", "beta": "bias"}


def _relu(x: torch.Tensor) -> torch.Tensor:
    return F.relu(x, inplace=True)


def _conv(in_channels: int, channels: int, kernel: int = 1, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False)


class Bottleneck(nn.Module):
    """`units.Bottleneck`: maps (N, in_channels, H, W) to (N, channels, ceil(H / stride), ceil(W / stride))."""

    def __init__(self, channels: int, in_channels: int, stride: int = 1) -> None:
        super().__init__()
        inner = channels // 4
        self.bn1, self.conv1 = nn.BatchNorm2d(in_channels), _conv(in_channels, inner)
        self.bn2, self.conv2 = nn.BatchNorm2d(inner), _conv(inner, inner, 3, stride)
        self.bn3, self.conv3 = nn.BatchNorm2d(inner), _conv(inner, channels)
        self.projection = None
        if channels != in_channels or stride != 1:
            self.projection = _conv(in_channels, channels, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        activated = _relu(self.bn1(x))
        shortcut = self.projection(activated) if self.projection else x
        y = _relu(self.bn2(self.conv1(activated)))
        y = _relu(self.bn3(self.conv2(y)))
        return self.conv3(y) + shortcut


def unit_sequence(count: int, channels: int) -> nn.Sequential:
    """Return `count` bottlenecks in a row, each with `channels` channels in and out."""
    return nn.Sequential(*(Bottleneck(channels, channels) for _ in range(count)))


class Hourglass(nn.Module):
    """`attention.Hourglass`: `levels` times down, then up again to the input's size."""

    def __init__(self, channels: int, levels: int, r: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.down = unit_sequence(r, channels)
        self.skip: Any = None
        self.inner: Any = None
        if levels > 1:
            self.skip = unit_sequence(1, channels)
            self.inner = Hourglass(channels, levels - 1, r)
        self.up = unit_sequence(r, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.down(self.pool(x))
        if self.inner:
            y = self.inner(y) + self.skip(y)
        return F.interpolate(self.up(y), x.shape[2:], mode="bilinear", align_corners=True)


class SoftMask(nn.Module):
    """`attention.SoftMask`: an hourglass, two 1x1 convolutions and a sigmoid."""

    def __init__(self, channels: int, levels: int, r: int) -> None:
        super().__init__()
        self.hourglass = Hourglass(channels, levels, r)
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), _conv(channels, channels)
        self.bn2, self.conv2 = nn.BatchNorm2d(channels), _conv(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(_relu(self.bn1(self.hourglass(x))))
        return torch.sigmoid(self.conv2(_relu(self.bn2(y))))


class AttentionModule(nn.Module):
    """`attention.AttentionModule`: `p` units, the trunk weighted by the soft mask, `p` units."""

    def __init__(self, channels: int, levels: int, p: int, t: int, r: int, learning: str = "arl") -> None:
        super().__init__()
        self._residual = learning == "arl"
        self.first = unit_sequence(p, channels)
        self.trunk = unit_sequence(t, channels)
        self.mask = SoftMask(channels, levels, r)
        self.last = unit_sequence(p, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        trunk, mask = self.trunk(x), self.mask(x)
        return self.last((1 + mask) * trunk if self._residual else mask * trunk)


def _imagenet_stem(channels: int) -> List[nn.Module]:
    return [_conv(3, channels, 7, 2), nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]


def _cifar_stem(channels: int) -> List[nn.Module]:
    return [_conv(3, channels, 3), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


_STEMS = {"cifar": _cifar_stem, "imagenet": _imagenet_stem}


class AttentionNet(nn.Module):
    """`network.AttentionNet`: maps images (N, 3, H, W) to logits (N, classes); `features` then `output`.

    Parameters
    ----------
    spec : NetworkSpec

    Raises
    ------
    InputError
        If the network has a unit, an attention type or a mask that this module does not implement.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        for field in ("unit", "attention", "mask"):
            value, only = getattr(spec, field), getattr(NetworkSpec, field)
            if value != only:
                raise InputError(f"`{field}={value}`: the PyTorch network has {only} only")
        depth, widths = spec.depth, spec.channels
        layers, channels = _STEMS[spec.stem](widths.stem), widths.stem
        for width, stride, levels, modules in zip(widths.stages, spec.stage_strides, MASK_LEVELS, depth.modules):
            layers.append(Bottleneck(width, channels, stride))
            for _ in range(modules):
                layers.append(AttentionModule(width, levels, depth.p, depth.t, depth.r, spec.attention_learning))
            channels = width
        for stride in (2,) + (1,) * (TAIL_UNITS - 1):
            layers.append(Bottleneck(widths.tail, channels, stride))
            channels = widths.tail
        self.features = nn.Sequential(
            *layers, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.output = nn.Linear(channels, spec.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.features(x))


def build(spec: NetworkSpec) -> AttentionNet:
    """Return the network of a specification, with PyTorch's default initialisation. See `AttentionNet`."""
    return AttentionNet(spec)


def torch_name(name: str) -> str:
    """Return the PyTorch name of the parameter that Gluon calls `name`, as 'features.1.gamma'."""
    path, _, last = name.rpartition(".")
    return ".".join(part for part in (path, _TORCH_NAMES.get(last, last)) if part)


def load_gluon(module: AttentionNet, net: Any) -> AttentionNet:
    """Copy the weights and running statistics of a Gluon network to the PyTorch network of the same specification.

    Parameters
    ----------
    module : AttentionNet
        The PyTorch network.
    net : network.AttentionNet
        The Gluon network, initialised.

    Returns
    -------
    AttentionNet
        `module`.

    Raises
    ------
    RuntimeError
        If the networks differ in a name or a shape.
    """
    # Names by structure: `Parameter.name` contains the number of networks that the process has built.
    parameters = net._collect_params_with_prefix()
    module.load_state_dict(
        {torch_name(name): torch.from_numpy(parameter.data().asnumpy()) for name, parameter in parameters.items()}
    )
    return module


def training_step(
    module: AttentionNet,
    images: Any,
    labels: Any,
    dtype: str = "float32",
    lr: float = 1e-3,
    momentum: float = 0.9,
    wd: float = 1e-4,
) -> Callable[[], None]:
    """Return a function that trains the network one step on a batch: channels_last, Nesterov momentum, cross-entropy.

    Parameters
    ----------
    module : AttentionNet
    images : float32 array (N, 3, H, W)
    labels : int array (N,)
    dtype : {'float32', 'bfloat16'}
        bfloat16 is by autocast: weights and optimizer stay float32.
    lr, momentum, wd : float
        Learning rate, momentum and weight decay.
    """
    module = module.train().to(memory_format=torch.channels_last)
    images = torch.from_numpy(images).to(memory_format=torch.channels_last)
    labels = torch.from_numpy(labels).long()
    optimizer = torch.optim.SGD(module.parameters(), lr, momentum, weight_decay=wd, nesterov=True)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = F.cross_entropy(module(images), labels)
        loss.backward()
        optimizer.step()

    return step


def inference_step(module: AttentionNet, images: Any, dtype: str = "float32") -> Callable[[], torch.Tensor]:
    """Return a function that computes the logits of a batch: channels_last, `dtype` as in `training_step`."""
    module = module.eval().to(memory_format=torch.channels_last)
    images = torch.from_numpy(images).to(memory_format=torch.channels_last)

    def step() -> torch.Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            return module(images)

    return step
