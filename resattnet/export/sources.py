"""Open what is exported: a parameter file, and the images on which the exported files are compared with it."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from ..machine.mxnet import mx
from ..models.spec import STEMS
from ..prediction.model_file import LoadedModel, load_model
from ..prediction.model_images import read_images
from ..system.errors import InputError
from ..zoo import packaged, parameters
from .options import ExportOptions
from .pixel_input import Normalisation

_COMPARED_IMAGES = 64  # at most
_COMPARED_PIXELS = 64 * 32 * 32  # at most, but always at least two images


class Source(NamedTuple):
    """A parameter file that is exported.

    Attributes
    ----------
    path : str
        The parameter file.
    model : LoadedModel
    images : float32 array (N, 3, H, W)
        Images on which the export is compared with the network, as the network takes them.
    images_title : str
        Description of the images, for the user.
    classes : tuple of str
        Class names.
    options : ExportOptions
    """

    path: str
    model: LoadedModel
    images: np.ndarray
    images_title: str
    classes: Tuple[str, ...]
    options: ExportOptions

    @property
    def normalisation(self) -> Optional[Normalisation]:
        """The normalisation that the file is to do itself; None where its user does it."""
        facts = self.model.facts
        return Normalisation(facts.mean, facts.std) if self.options.normalise_inside else None


def open_source(path: str, options: ExportOptions) -> Source:
    """Read a parameter file and choose the images to compare on: test images, or noise where there are none.

    Raises
    ------
    InputError
        As `load_model`; or if a parameter is not finite.
    """
    model = load_model(path, options, [mx.cpu()])
    check_finite_parameters(model.net, model.path)
    return Source(packaged.resolve_path(model.path), model, *_example_images(model, options.image_size), options)


def check_finite_parameters(net: Any, path: str) -> None:
    """Raise InputError if a parameter of a network, read from the file `path`, has an infinite value or a NaN.

    The logits do not tell: MXNet's ReLU makes 0 of a NaN, which other formats keep.
    """
    if not parameters.all_finite(net):
        raise InputError(f"{path}: not all of its numbers are finite")


def default_size(net: Any) -> int:
    """Return the height and width of the images that the stem of a network is designed for."""
    return STEMS[net.spec.stem].image_size


def noise(height: int, width: int) -> np.ndarray:
    """Return images of noise (N, 3, height, width), the same at each call."""
    shape = _image_count(height, width), 3, height, width
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _image_count(height: int, width: int) -> int:
    return max(2, min(_COMPARED_IMAGES, _COMPARED_PIXELS // (height * width)))


def _noise_size(model: LoadedModel, side: Optional[int]) -> Tuple[int, int]:
    if side is None and model.facts.image_size:
        return model.facts.image_size
    side = side or default_size(model.net)
    return side, side


def _example_images(model: LoadedModel, side: Optional[int]) -> Tuple[np.ndarray, str, Tuple[str, ...]]:
    """Return the first test images at a size, normalised; their title; and the class names."""
    try:
        test_set = read_images(model, "test", download=False)
    except InputError as error:
        images = noise(*_noise_size(model, side))
        return (
            images,
            f"{len(images)} images of noise, because there are no test images ({error!s})",
            model.facts.classes,
        )
    old = test_set.images.shape[1:3]
    new = (side, side) if side else old
    count = _image_count(*new)
    images, _ = model.transform(test_set.images[:count], test_set.labels[:count])
    return at_size(images, *new), f"{len(images)} test images", test_set.classes


def at_size(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return images (N, 3, H, W) at another size, by the nearest pixel."""
    rows, columns = (np.arange(new) * old // new for old, new in zip(images.shape[2:], (height, width)))
    return np.ascontiguousarray(images[:, :, rows][..., columns])
