"""Build networks by the names of their kind and depth, as GluonCV does: `get_attention_cifar`, `attention_net56`."""

from __future__ import annotations

from typing import Any, Callable

from ..models.network import AttentionNet, build
from ..models.spec import NetworkSpec
from .pretrained import load_pretrained

_BLOCK_ARGUMENTS = ("prefix", "params")  # of `gluon.Block`; all others are fields of `NetworkSpec`


def get_attention_net(
    classes: int, num_layers: int, widths: str = "full", pretrained: bool = False, ctx: Any = None, **kwargs: Any
) -> AttentionNet:
    """Return a Residual Attention Network for ImageNet-like images (224 pixels and any other size).

    Parameters
    ----------
    classes : int
        Number of classes.
    num_layers : int
        Depth: 56, 92, 128, 164, 236 or 452.
    widths : str
        Key of `spec.IMAGENET_WIDTHS`: 'full'; 'thin' and 'tiny' have half and a quarter of the channels.
    pretrained, ctx
        As in `get_attention_cifar`; the package has no trained parameters for these networks yet.
    **kwargs
        Fields of `NetworkSpec` (`attention_learning`, `attention`, `mask`, `unit`, `stage_strides`); `prefix` and
        `params` of `gluon.Block`.

    Returns
    -------
    AttentionNet

    Raises
    ------
    InputError
        As in `get_attention_cifar`.
    """
    return _get("imagenet", classes, num_layers, widths, pretrained, ctx, kwargs)


def get_attention_cifar(
    classes: int, num_layers: int, widths: str = "full", pretrained: bool = False, ctx: Any = None, **kwargs: Any
) -> AttentionNet:
    """Return a Residual Attention Network for small images (32 pixels and any other size).

    Parameters
    ----------
    classes : int
        Number of classes.
    num_layers : int
        Depth: 56, 92, 128, 164, 236 or 452.
    widths : str
        Key of `spec.CIFAR_WIDTHS`: 'full' is the size of the reference Gluon network; 'thin' is about the paper's;
        'tiny' is for basic units.
    pretrained : bool
        Whether to load the trained parameters of the package. Otherwise the network is not initialised.
    ctx : mx.Context or list of mx.Context, optional
        Where the trained parameters are put; default: the CPU.
    **kwargs
        Fields of `NetworkSpec` (`attention_learning`, `attention`, `mask`, `unit`, `stage_strides`); `prefix` and
        `params` of `gluon.Block`.

    Returns
    -------
    AttentionNet

    Raises
    ------
    InputError
        If a name or number is unknown (the message lists the choices); with `pretrained`, if the package has no
        parameters for the network (the message lists those that it has) or they are damaged.
    """
    return _get("cifar", classes, num_layers, widths, pretrained, ctx, kwargs)


def _get(
    stem: str, classes: int, num_layers: int, widths: str, pretrained: bool, ctx: Any, kwargs: Any
) -> AttentionNet:
    block_arguments = {name: kwargs.pop(name) for name in _BLOCK_ARGUMENTS if name in kwargs}
    spec = NetworkSpec(classes=classes, num_layers=num_layers, stem=stem, widths=widths, **kwargs)
    net = build(spec, **block_arguments)
    if pretrained:
        load_pretrained(net, ctx)
    return net


def _of_depth(num_layers: int) -> Callable[..., AttentionNet]:
    def get(classes: int, **kwargs: Any) -> AttentionNet:
        return get_attention_net(classes, num_layers, **kwargs)

    get.__name__ = get.__qualname__ = f"attention_net{num_layers}"
    get.__doc__ = f"""Return the network of `get_attention_net` with depth {num_layers}.

    Parameters
    ----------
    classes : int
    **kwargs
        Parameters of `get_attention_net`.

    Returns
    -------
    AttentionNet
    """
    return get


attention_net56 = _of_depth(56)
attention_net92 = _of_depth(92)
attention_net128 = _of_depth(128)
attention_net164 = _of_depth(164)
attention_net236 = _of_depth(236)
attention_net452 = _of_depth(452)
