"""Classify images of any size and format, with the names of the classes."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, Optional, Union

import numpy as np
from PIL import Image

from ..data.image_files import read_image, to_rgb
from ..runtimes.exported_model import ExportedModel, describes_itself, is_exported, is_of_torch, load_exported
from ..system.errors import InputError
from .logits import Prediction, check_finite, top_predictions

if TYPE_CHECKING:
    from .loaded_model import LoadedModel


class Classifier:
    """A trained network that takes images of any size: `Classifier.load(FILE).predict(images)`.

    An image is brought to the size of the data set's images by the data set's own rule, `facts.geometry`, as its
    records were: by default the middle is cropped and scaled. The pixels are then normalised by the data set's mean and
    standard deviation. The data set's own images, saved without loss, give the same logits as in its evaluation.

    Parameters
    ----------
    model : LoadedModel or ExportedModel
    batch_size : int
        Images of a batch on each device.

    Raises
    ------
    InputError
        If the batch size is less than 1.

    Attributes
    ----------
    model : LoadedModel or ExportedModel
    net : HybridBlock or None
        None for an exported network.
    classes : tuple of str
        Names of the classes.
    transform : Transform
        Transform of a test image.
    size : (int, int)
        Height and width of the network's input.
    """

    def __init__(self, model: Union[LoadedModel, ExportedModel], batch_size: int = 64) -> None:
        self.model = model
        self.net, self.classes, self.transform = model.net, model.facts.classes, model.transform
        self.size = model.image_size
        if batch_size < 1:
            raise InputError(f"`batch_size={batch_size}`: give a number at least 1")
        self._batch_size = batch_size

    @classmethod
    def load(
        cls,
        path: str,
        num_gpus: Optional[int] = None,
        batch_size: int = 64,
        runtime: str = "auto",
        precision: str = "auto",
        **what: Any,
    ) -> Classifier:
        """Load a parameter file, or an ONNX or `.safetensors` file that the command `export` wrote, without MXNet.

        A parameter file is computed by MXNet unless `runtime` names an engine, for which it is converted at the first
        batch.

        Parameters
        ----------
        path : str or path object
            The file, or the name of packaged parameters, such as cifar10_attention56_thin.
        num_gpus : int, optional
            Of a parameter file: see `devices.choose_devices`; of a `.safetensors` file:
            `runtimes.torch_program.compile_torch`.
        batch_size : int
            Images of a batch on each device.
        runtime, precision : str
            Of an exported file: see `runtimes.exported_model.load_exported`; of a parameter file:
            `runtimes.choice.choose_for_network`.
        **what
            Fields of `prediction.options.ModelFileOptions`, which replace what the description beside the file says:
            the network, the data set, and `classes`, a text file with the names of the classes.

        Returns
        -------
        Classifier

        Raises
        ------
        InputError
            See `model_file.load_for_runtime` and `exported_model.load_exported`.
        """
        path = os.fspath(path)
        if is_exported(path):
            given = list(what)
            if num_gpus and not is_of_torch(path):
                given.append("num_gpus")
            if given:
                raise InputError(f"{path} {describes_itself(path)}: leave out {given[0]}")
            return cls(load_exported(path, runtime, precision, num_gpus), batch_size)
        from .model_file import load_for_runtime
        from .options import ModelFileOptions

        return cls(load_for_runtime(path, ModelFileOptions(**what), runtime, precision, num_gpus), batch_size)

    def predict(self, images: Any, top: int = 5) -> List[Prediction]:
        """Return the most probable classes of each image.

        Parameters
        ----------
        images : iterable
            Paths, Pillow images, or uint8 arrays (H, W, 3). Also an array (N, H, W, 3), or a single image.
        top : int
            Number of classes; all classes where there are fewer.

        Returns
        -------
        list of Prediction

        Raises
        ------
        InputError
            If an image cannot be read, `top` is less than 1, or the network's logits are not finite.
        """
        return [prediction for prediction in self.stream(images, top) if prediction is not None]

    def stream(
        self, images: Any, top: int = 5, failed: Optional[Callable[[InputError], None]] = None
    ) -> Iterator[Optional[Prediction]]:
        """Yield the predictions of images, which are read a batch at a time.

        Parameters
        ----------
        images, top
            See `predict`.
        failed : callable, optional
            Called with the InputError of each image that cannot be read. The prediction of that image is None.
            Without it, the error is raised.

        Yields
        ------
        Prediction or None
        """
        if top < 1:
            raise InputError(f"`top={top}`: give a number at least 1")
        if isinstance(images, (str, os.PathLike, Image.Image)) or getattr(images, "ndim", None) == 3:
            images = [images]
        numbered = enumerate(images)
        while True:
            batch = list(itertools.islice(numbered, self._batch_size * self.model.parts))
            if not batch:
                return
            pixels = [self._pixels_or_none(image, number, failed) for number, image in batch]
            read = [array for array in pixels if array is not None]
            predictions = iter(top_predictions(self.logits(np.stack(read)), self.classes, top) if read else [])
            for array in pixels:
                yield None if array is None else next(predictions)

    def _pixels_or_none(
        self, image: Any, number: int, failed: Optional[Callable[[InputError], None]]
    ) -> Optional[np.ndarray]:
        try:
            return self.pixels(image, f"image {number}")
        except InputError as error:
            if failed is None:
                raise
            failed(error)
            return None

    def pixels(self, image: Any, name: str = "image") -> np.ndarray:
        """Return an image at the size of the network's input, uint8 (H, W, 3).

        Parameters
        ----------
        image : path, Pillow image or uint8 array (H, W, 3)
        name : str
            Name of the image in error messages.
        """
        return np.asarray(self.model.facts.geometry.apply(open_image(image, name), self.size))

    def normalised(self, pixels: np.ndarray) -> np.ndarray:
        """Return the network's input, float32 (N, 3, H, W), for uint8 images (N, H, W, 3)."""
        return self.transform(pixels, np.zeros(len(pixels), np.int32))[0]

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Return the logits (N, classes) of uint8 images (N, H, W, 3), computed as one batch.

        Raises
        ------
        InputError
            If a logit is not finite.
        """
        return check_finite(self.model.compute(self.normalised(pixels)))


def open_image(image: Any, name: str = "image") -> Image.Image:
    """Return a path, a Pillow image or a uint8 array (H, W, 3) as a Pillow image in RGB.

    Parameters
    ----------
    image : path, Pillow image or uint8 array (H, W, 3)
    name : str
        Name of the image in error messages; a path names itself.

    Raises
    ------
    InputError
        If it cannot be read, or is an array of another type or shape.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise InputError(f"{name} is an array of {image.dtype} {image.shape}: give uint8 (height, width, 3)")
        return Image.fromarray(image)
    if not isinstance(image, Image.Image):
        return read_image(image)
    try:
        return to_rgb(image)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
