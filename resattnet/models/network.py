"""The networks: one class that builds them all from the tables of `specs` (section 3.4, table 2)."""

from ..system.errors import InputError
from ..system.mxnet import mx
from .attention import AttentionModule
from .spec import CIFAR_WIDTHS, IMAGENET_WIDTHS, MASK_LEVELS, TAIL_UNITS, attention_net_spec, choose
from .units import Bottleneck

HybridBlock, nn = mx.gluon.HybridBlock, mx.gluon.nn


def _imagenet_stem(channels):
    return [
        nn.Conv2D(channels, 7, 2, 3, use_bias=False, in_channels=3),
        nn.BatchNorm(in_channels=channels),
        nn.Activation("relu"),
        nn.MaxPool2D(3, 2, 1),
    ]


def _cifar_stem(channels):
    return [
        nn.Conv2D(channels, 3, 1, 1, use_bias=False, in_channels=3),
        nn.BatchNorm(in_channels=channels),
        nn.Activation("relu"),
    ]


class AttentionNet(HybridBlock):
    """Residual Attention Network: stem, three stages of attention modules, tail; `features` then `output`.

    Parameters
    ----------
    classes : int
        Number of classes, at least 1.
    stem : list of HybridBlock
        The first layers, ending with `widths.stem` channels.
    spec : specs.Spec
        A row of `attention_net_spec`, or your own.
    widths : specs.Widths
        Channels.
    stage_strides : tuple of int
        Stride of the unit that enters each stage.
    attention_learning : {'arl', 'nal'}
    attention : {'mixed', 'channel', 'spatial'}
    mask : {'hourglass', 'local', 'none'}
        As in `AttentionModule`.

    Raises
    ------
    InputError
        If `classes` is below 1, or one of the last three is unknown or does not go with the others.
    """

    def __init__(
        self,
        classes,
        stem,
        spec,
        widths,
        stage_strides=(1, 2, 2),
        attention_learning="arl",
        attention="mixed",
        mask="hourglass",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if classes < 1:
            raise InputError(f"classes {classes}: give a number of at least 1")
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self.features.add(*stem)
            channels = widths.stem
            for width, stride, levels, modules in zip(widths.stages, stage_strides, MASK_LEVELS, spec.modules):
                self.features.add(Bottleneck(width, channels, stride))
                for _ in range(modules):
                    self.features.add(
                        AttentionModule(width, levels, spec.p, spec.t, spec.r, attention_learning, attention, mask)
                    )
                channels = width
            for stride in (2,) + (1,) * (TAIL_UNITS - 1):
                self.features.add(Bottleneck(widths.tail, channels, stride))
                channels = widths.tail
            self.features.add(
                nn.BatchNorm(in_channels=channels), nn.Activation("relu"), nn.GlobalAvgPool2D(), nn.Flatten()
            )
            self.output = nn.Dense(classes, in_units=channels)

    def initialize(self, init=None, ctx=None, verbose=False, force_reinit=False):
        """As `gluon.Block.initialize`; the default initialiser is MSRAPrelu."""
        super().initialize(init or mx.init.MSRAPrelu(), ctx, verbose, force_reinit)

    def hybrid_forward(self, F, x):
        """Map images (N, 3, H, W) to logits (N, classes), for any H and W."""
        return self.output(self.features(x))


def get_attention_net(classes, num_layers, widths="full", pretrained=False, ctx=None, **kwargs):
    """Residual Attention Network for ImageNet-like images (224 pixels and any other size).

    Parameters
    ----------
    classes : int
        Number of classes.
    num_layers : int
        Depth: 56, 92, 128, 164, 236 or 452.
    widths : str
        Key of `specs.IMAGENET_WIDTHS`.
    pretrained, ctx
        As of `get_attention_cifar`; the package has no trained parameters for these networks yet.
    **kwargs
        Of `AttentionNet`: `attention_learning`, `attention`, `mask`.

    Returns
    -------
    AttentionNet

    Raises
    ------
    InputError
        As `get_attention_cifar`.
    """
    spec = choose("num_layers", num_layers, attention_net_spec)
    size = choose("widths", widths, IMAGENET_WIDTHS)
    net = AttentionNet(classes, _imagenet_stem(size.stem), spec, size, **kwargs)
    return _trained(net, "get_attention_net", pretrained, ctx, classes, num_layers, widths, kwargs)


def get_attention_cifar(classes, num_layers, widths="full", pretrained=False, ctx=None, **kwargs):
    """Residual Attention Network for small images (32 pixels and any other size).

    Parameters
    ----------
    classes : int
        Number of classes.
    num_layers : int
        Depth: 56, 92, 128, 164, 236 or 452.
    widths : str
        Key of `specs.CIFAR_WIDTHS`: 'full' is the reference Gluon size, 'thin' about the paper's own.
    pretrained : bool
        With the trained parameters that come with the package; without, the network is not initialised.
    ctx : mx.Context or list of mx.Context, optional
        Where the trained parameters are put; default: the CPU.
    **kwargs
        Of `AttentionNet`: `attention_learning`, `attention`, `mask`.

    Returns
    -------
    AttentionNet

    Raises
    ------
    InputError
        If a name or number is unknown; the message names the choices. If there are no trained parameters for the
        network, and it lists those that there are, or theirs are damaged.
    """
    spec = choose("num_layers", num_layers, attention_net_spec)
    size = choose("widths", widths, CIFAR_WIDTHS)
    net = AttentionNet(classes, _cifar_stem(size.stem), spec, size, **kwargs)
    return _trained(net, "get_attention_cifar", pretrained, ctx, classes, num_layers, widths, kwargs)


def _trained(net, builder, pretrained, ctx, classes, num_layers, widths, kwargs):
    if pretrained:
        from .pretrained import load_pretrained  # it compares files with networks built here

        load_pretrained(net, builder, ctx, classes=classes, num_layers=num_layers, widths=widths, **kwargs)
    return net


def _of_depth(num_layers):
    def build(classes, **kwargs):
        return get_attention_net(classes, num_layers, **kwargs)

    build.__name__ = build.__qualname__ = f"attention_net{num_layers}"
    build.__doc__ = (
        f"`get_attention_net` of depth {num_layers}.\n\n    Parameters\n    ----------\n    classes : "
        "int\n    **kwargs\n        Of `get_attention_net`.\n\n    Returns\n    -------\n    "
        "AttentionNet\n    "
    )
    return build


attention_net56 = _of_depth(56)
attention_net92 = _of_depth(92)
attention_net128 = _of_depth(128)
attention_net164 = _of_depth(164)
attention_net236 = _of_depth(236)
attention_net452 = _of_depth(452)
