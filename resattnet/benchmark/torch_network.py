"""The networks of `network` once more, in PyTorch: the rival of `benchmarks`, with the same layers, names and weights.

Nothing else in the package imports this module or PyTorch. Submodules have the names of the Gluon nets', so that
`load_gluon` only has to rename the two parameters of batch normalisation, whose defaults agree (PyTorch's momentum
0.1 is Gluon's 0.9). Sizes, strides and channels come from the same tables.
"""

import torch
from torch import nn
from torch.nn import functional as F

from ..models.spec import CIFAR_WIDTHS, IMAGENET_WIDTHS, MASK_LEVELS, TAIL_UNITS, attention_net_spec, choose

_TORCH_NAMES = {"gamma": "weight", "beta": "bias"}


def _relu(x):
    return F.relu(x, inplace=True)


def _conv(in_channels, channels, kernel=1, stride=1):
    return nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False)


class Bottleneck(nn.Module):
    """As `units.Bottleneck`; (N, in_channels, H, W) to (N, channels, ceil(H / stride), ceil(W / stride))."""

    def __init__(self, channels, in_channels, stride=1):
        super().__init__()
        inner = channels // 4
        self.bn1, self.conv1 = nn.BatchNorm2d(in_channels), _conv(in_channels, inner)
        self.bn2, self.conv2 = nn.BatchNorm2d(inner), _conv(inner, inner, 3, stride)
        self.bn3, self.conv3 = nn.BatchNorm2d(inner), _conv(inner, channels)
        self.projection = None
        if channels != in_channels or stride != 1:
            self.projection = _conv(in_channels, channels, stride=stride)

    def forward(self, x):
        activated = _relu(self.bn1(x))
        shortcut = self.projection(activated) if self.projection else x
        y = _relu(self.bn2(self.conv1(activated)))
        y = _relu(self.bn3(self.conv2(y)))
        return self.conv3(y) + shortcut


def unit_sequence(count, channels):
    """`count` bottlenecks one after another, `channels` in and out."""
    return nn.Sequential(*(Bottleneck(channels, channels) for _ in range(count)))


class Hourglass(nn.Module):
    """As `attention.Hourglass`: `levels` times down, then up again to the size that came in."""

    def __init__(self, channels, levels, r):
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.down = unit_sequence(r, channels)
        self.skip = self.inner = None
        if levels > 1:
            self.skip = unit_sequence(1, channels)
            self.inner = Hourglass(channels, levels - 1, r)
        self.up = unit_sequence(r, channels)

    def forward(self, x):
        y = self.down(self.pool(x))
        if self.inner:
            y = self.inner(y) + self.skip(y)
        return F.interpolate(self.up(y), x.shape[2:], mode="bilinear", align_corners=True)


class SoftMask(nn.Module):
    """As `attention.SoftMask`: an hourglass, two 1x1 convolutions and a sigmoid."""

    def __init__(self, channels, levels, r):
        super().__init__()
        self.hourglass = Hourglass(channels, levels, r)
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), _conv(channels, channels)
        self.bn2, self.conv2 = nn.BatchNorm2d(channels), _conv(channels, channels)

    def forward(self, x):
        y = self.conv1(_relu(self.bn1(self.hourglass(x))))
        return torch.sigmoid(self.conv2(_relu(self.bn2(y))))


class AttentionModule(nn.Module):
    """As `attention.AttentionModule`: `p` units, the trunk weighted by the soft mask, `p` units."""

    def __init__(self, channels, levels, p, t, r, learning="arl"):
        super().__init__()
        self._residual = learning == "arl"
        self.first = unit_sequence(p, channels)
        self.trunk = unit_sequence(t, channels)
        self.mask = SoftMask(channels, levels, r)
        self.last = unit_sequence(p, channels)

    def forward(self, x):
        x = self.first(x)
        trunk, mask = self.trunk(x), self.mask(x)
        return self.last((1 + mask) * trunk if self._residual else mask * trunk)


def _imagenet_stem(channels):
    return [_conv(3, channels, 7, 2), nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]


def _cifar_stem(channels):
    return [_conv(3, channels, 3), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


class AttentionNet(nn.Module):
    """As `network.AttentionNet`: images (N, 3, H, W) to logits (N, classes), `features` then `output`."""

    def __init__(self, classes, stem, spec, widths, stage_strides=(1, 2, 2), attention_learning="arl"):
        super().__init__()
        layers, channels = list(stem), widths.stem
        for width, stride, levels, modules in zip(widths.stages, stage_strides, MASK_LEVELS, spec.modules):
            layers.append(Bottleneck(width, channels, stride))
            layers += [
                AttentionModule(width, levels, spec.p, spec.t, spec.r, attention_learning) for _ in range(modules)
            ]
            channels = width
        for stride in (2,) + (1,) * (TAIL_UNITS - 1):
            layers.append(Bottleneck(widths.tail, channels, stride))
            channels = widths.tail
        self.features = nn.Sequential(
            *layers, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.output = nn.Linear(channels, classes)

    def forward(self, x):
        return self.output(self.features(x))


def attention_net(classes, num_layers, widths="full", **kwargs):
    """The rival of `network.get_attention_net`, with the same arguments."""
    spec = choose("num_layers", num_layers, attention_net_spec)
    widths = choose("widths", widths, IMAGENET_WIDTHS)
    return AttentionNet(classes, _imagenet_stem(widths.stem), spec, widths, **kwargs)


def attention_cifar(classes, num_layers, widths="full", **kwargs):
    """The rival of `network.get_attention_cifar`, with the same arguments."""
    spec = choose("num_layers", num_layers, attention_net_spec)
    widths = choose("widths", widths, CIFAR_WIDTHS)
    return AttentionNet(classes, _cifar_stem(widths.stem), spec, widths, **kwargs)


def gluon_name(name):
    """The PyTorch name of a parameter that Gluon calls `name` ('features.1.gamma') within its net."""
    path, _, last = name.rpartition(".")
    return ".".join(part for part in (path, _TORCH_NAMES.get(last, last)) if part)


def load_gluon(module, net):
    """Give a PyTorch net the weights and running statistics of the Gluon net of the same kind.

    Parameters
    ----------
    module : AttentionNet
        Of this module.
    net : network.AttentionNet
        Initialised, with the same depth, widths and classes.

    Returns
    -------
    AttentionNet
        The module itself.

    Raises
    ------
    RuntimeError
        If the two nets differ in a name or a shape.
    """
    # By structure and not by `name`: the latter counts how many nets the process has made.
    parameters = net._collect_params_with_prefix()
    module.load_state_dict(
        {gluon_name(name): torch.from_numpy(parameter.data().asnumpy()) for name, parameter in parameters.items()}
    )
    return module


def training_step(module, images, labels, dtype="float32", lr=1e-3, momentum=0.9, wd=1e-4):
    """A function that trains the net one step on a batch: channels_last, Nesterov momentum, cross-entropy.

    Parameters
    ----------
    module : AttentionNet
    images : float32 array (N, 3, H, W)
    labels : int array (N,)
    dtype : {'float32', 'bfloat16'}
        bfloat16 by autocast: weights and optimizer stay float32.
    lr, momentum, wd : float
    """
    module = module.train().to(memory_format=torch.channels_last)
    images = torch.from_numpy(images).to(memory_format=torch.channels_last)
    labels = torch.from_numpy(labels).long()
    optimizer = torch.optim.SGD(module.parameters(), lr, momentum, weight_decay=wd, nesterov=True)

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = F.cross_entropy(module(images), labels)
        loss.backward()
        optimizer.step()

    return step


def inference_step(module, images, dtype="float32"):
    """A function that computes the logits of a batch: channels_last, `dtype` as in `training_step`."""
    module = module.eval().to(memory_format=torch.channels_last)
    images = torch.from_numpy(images).to(memory_format=torch.channels_last)

    def step():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            return module(images)

    return step
