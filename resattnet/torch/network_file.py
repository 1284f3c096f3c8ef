"""Load and save networks in PyTorch as `.safetensors` files: `load`, `save`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, List, Mapping, Tuple

import numpy as np
import torch

from ..data.facts import DataFacts
from ..data.transforms import Transform
from ..models.attention_maps import AttentionMaps
from ..models.spec import NetworkSpec
from ..system.errors import InputError, reason
from .maps import attention_maps, grad_cam
from .network import AttentionNet, build, compute_logits
from .weights_file import ENDING, check_arrays, describe, is_figure, read_file, without_figures, write_file

_INNER = ("_orig_mod", "module")  # where torch.compile and the wrappers for several devices and averages hold a network


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with the facts of its data set. `Classifier(loaded)` classifies images by it.

    Attributes
    ----------
    net : AttentionNet
        In evaluation mode as it is loaded; the methods compute in evaluation mode in any case.
    spec : NetworkSpec
    facts : DataFacts
        Class names, mean, standard deviation, image size, geometry and so on.
    metadata : dict of str to JSON type
        All metadata of the file, for `save`.
    """

    net: AttentionNet
    spec: NetworkSpec
    facts: DataFacts
    metadata: Dict[str, Any]

    parts: ClassVar[int] = 1  # devices that share a batch

    @property
    def transform(self) -> Transform:
        """Transform of a test image: from uint8 pixels to the input of the network."""
        return Transform(self.facts.mean, self.facts.std, self.spec.classes)

    @property
    def image_size(self) -> Tuple[int, int]:
        """Height and width of the input, in pixels."""
        assert self.facts.image_size is not None
        return self.facts.image_size

    def compute(self, images: np.ndarray) -> np.ndarray:
        """Return the logits (N, classes) of normalised images, float32 (N, 3, H, W)."""
        return compute_logits(self.net, images)

    def attention_maps(self, images: np.ndarray) -> List[AttentionMaps]:
        """Return the masks of each attention module for normalised images: see `maps.attention_maps`."""
        return attention_maps(self.net, images)

    def grad_cam(self, images: np.ndarray) -> np.ndarray:
        """Return Grad-CAM for the most probable class of each normalised image: see `maps.grad_cam`."""
        return grad_cam(self.net, images)


def load(path: str, device: Any = "cpu") -> LoadedNetwork:
    """Load a network that the command `export --to torch` or `save` wrote.

    Parameters
    ----------
    path : str
    device : str or torch.device
        Where the network is put.

    Returns
    -------
    LoadedNetwork
        Its network is in evaluation mode: call `net.train()` to train it.

    Raises
    ------
    InputError
        As `weights_file.read_file`; or if the arrays are not those of the network of the metadata, or the network
        cannot be put on the device.
    """
    file = read_file(path)
    net = load_arrays(build(file.spec), file.arrays, path).eval()
    try:
        net = net.to(device)
    except (RuntimeError, AssertionError) as error:  # the latter by a PyTorch that was built without CUDA
        raise InputError(f"`device={device}`: the network cannot be put there ({reason(error)})") from error
    return LoadedNetwork(net, file.spec, file.facts, file.metadata)


def load_arrays(net: AttentionNet, arrays: Mapping[str, np.ndarray], name: str = "the arrays") -> AttentionNet:
    """Fill a network with arrays, and return it.

    Parameters
    ----------
    net : AttentionNet
    arrays : mapping of str to float array
        By the names of `names.torch_name`.
    name : str
        Where the arrays come from, for the message.

    Raises
    ------
    InputError
        If they are not those of the network.
    """
    check_arrays(name, {key: array.shape for key, array in arrays.items()}, _shapes(net))
    # `torch.tensor` copies: `from_numpy` warns of arrays that must not be written to.
    net.load_state_dict({key: torch.tensor(array) for key, array in arrays.items()})
    return net


def save(net: Any, path: str, facts: DataFacts, metadata: Mapping[str, Any], **figures: float) -> None:
    """Write a network as `.safetensors`, in float32.

    Parameters
    ----------
    net : AttentionNet
        Also compiled by `torch.compile`, or in a wrapper of PyTorch (`DistributedDataParallel`, `AveragedModel`).
    path : str
        Ends in `.safetensors`.
    facts : DataFacts
        Of the data set; the image size must be known.
    metadata : mapping of str to JSON type
        `dataset`, the name of the data set, and what else is to be kept. Those of a loaded network may be given as they
        are: their figures and what else they say of the weights alone are left out, since training changes it.
    **figures
        Figures of these weights, by their names in the descriptions of parameter files: `validation_top1` and so on.

    Raises
    ------
    InputError
        If a fact is missing or wrong, a number is not finite, or the file cannot be written.
    """
    path = os.path.expanduser(path)
    if not path.endswith(ENDING):
        raise InputError(f"`path={path}`: give a name that ends in {ENDING}")
    unknown = [name for name in figures if not is_figure(name)]
    if unknown:
        raise InputError(f"`{unknown[0]}`: the names of figures begin with validation_")
    while not isinstance(net, AttentionNet):
        inner = [getattr(net, name) for name in _INNER if hasattr(net, name)]
        if not inner:
            raise InputError(f"`net`: a {type(net).__name__} is not a network of resattnet.torch")
        net = inner[0]
    arrays = {name: net.state_dict()[name].detach().cpu().float().numpy() for name in _shapes(net)}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(f"{path} was not written: {name} has numbers that are not finite")
    write_file(path, arrays, describe(net.spec, facts, {**without_figures(metadata), **figures}))


def _shapes(net: AttentionNet) -> Dict[str, Tuple[int, ...]]:
    """Return the shape of each parameter and running statistic."""
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items() if tensor.is_floating_point()}
