"""A trained network that takes images as they come and names their classes."""

import itertools
import os

import numpy as np
from PIL import Image

from ..data import recordio
from ..data.image_files import read_image, to_rgb
from ..evaluation.options import ModelFileOptions
from ..system.devices import choose_devices
from ..system.errors import InputError
from .metrics import compute_logits, finite, rank
from .model_file import load_model


class Classifier:
    """A network with all that it takes to give it images: `Classifier.load(FILE).predict(images)`.

    An image is brought to the size of the data set's images whole, by bilinear interpolation (Pillow's, which takes
    the mean of what it makes smaller), whatever its proportions, and normalised by the data set's mean and
    standard deviation. A data set's own images, saved without loss, give what they give in its test.

    Parameters
    ----------
    trained : trained.Trained
    devices : list of mx.Context
        Where its network is.
    batch_size : int
        Images of a batch on each device.

    Attributes
    ----------
    net : AttentionNet
    classes : tuple of str
    size : (int, int)
        Height and width of what the network is given.
    """

    def __init__(self, trained, devices, batch_size=64):
        self.net, self.classes, self.transform = trained.net, trained.facts.classes, trained.transform
        self.size = trained.facts.image_size
        if self.size is None:  # records of an earlier version
            self.size = recordio.image_size(trained.source["name"], trained.source["data_dir"])
        self.trained = trained
        self._devices, self._batch_size = devices, batch_size

    @classmethod
    def load(cls, path, num_gpus=None, batch_size=64, **what):
        """Read a parameter file.

        Parameters
        ----------
        path : str
            The file, or a name of packaged parameters, as cifar10_attention56_thin.
        num_gpus : int, optional
            As of `devices.choose_devices`.
        batch_size : int
            Images of a batch on each device.
        **what
            Of `evaluation.options.ModelFileOptions`, in place of what the description beside the file says: what the
            parameters are of, and `classes`, a file with their names.

        Returns
        -------
        Classifier

        Raises
        ------
        InputError
            As `trained.load_trained` and `devices.choose_devices`.
        """
        devices, _ = choose_devices(num_gpus)
        return cls(load_model(path, ModelFileOptions(**what), devices), devices, batch_size)

    def predict(self, images, top=5):
        """The most probable classes of each image.

        Parameters
        ----------
        images : iterable
            Of paths, Pillow images, or uint8 arrays (H, W, 3); also an array (N, H, W, 3), or a single one of them.
        top : int
            How many classes; all where there are fewer.

        Returns
        -------
        list of evaluation.Prediction

        Raises
        ------
        InputError
            If an image cannot be read, or the network's logits are not finite.
        """
        return list(self.stream(images, top))

    def stream(self, images, top=5, failed=None):
        """As `predict`, a batch at a time.

        Parameters
        ----------
        images, top
            As of `predict`.
        failed : callable, optional
            Called with the InputError of each image that cannot be read, whose prediction is then None.

        Yields
        ------
        evaluation.Prediction or None
        """
        if isinstance(images, (str, os.PathLike, Image.Image)) or getattr(images, "ndim", None) == 3:
            images = [images]
        images = iter(images)
        numbers = itertools.count()
        while True:
            batch = list(itertools.islice(images, self._batch_size * len(self._devices)))
            if not batch:
                return
            pixels = [self._try(image, number, failed) for image, number in zip(batch, numbers)]
            read = [array for array in pixels if array is not None]
            predictions = iter(rank(self.logits(np.stack(read)), self.classes, top) if read else [])
            for array in pixels:
                yield None if array is None else next(predictions)

    def _try(self, image, number, failed):
        try:
            return self.pixels(image, f"image {number}")
        except InputError as error:
            if failed is None:
                raise
            failed(error)

    def pixels(self, image, name="image"):
        """An image at the size that the network is given, uint8 (H, W, 3); `name` is for messages."""
        height, width = self.size
        return np.asarray(open_image(image, name).resize((width, height), Image.BILINEAR))

    def normalised(self, pixels):
        """What the network is given, float32 (N, 3, H, W), of uint8 images (N, H, W, 3)."""
        return self.transform(pixels, np.zeros(len(pixels), np.int32))[0]

    def logits(self, pixels):
        """The network's logits (N, classes) of uint8 images (N, H, W, 3), at once.

        Raises
        ------
        InputError
            If they are not finite.
        """
        batch = self.normalised(pixels), np.zeros(len(pixels), np.int32)
        return finite(compute_logits(self.net, [batch], self._devices)[0])


def open_image(image, name="image"):
    """A path, a Pillow image or a uint8 array (H, W, 3) as a Pillow image in RGB; InputError if it is none."""
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
