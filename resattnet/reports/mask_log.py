"""The masks of a run on its board: pictures of the same test images, after some of its epochs."""

import collections

import numpy as np
from PIL import Image

from ..data import datasets
from ..evaluation.inference import compute_logits
from ..evaluation.masks import soft_masks
from ..evaluation.metrics import top_predictions
from ..models.spec import NetworkSpec
from ..system.devices import device_of
from ..system.errors import InputError
from .mask_figures import Row, board_pictures


def one_of_each_class(batches, count, classes):
    """The first images of a data set, in rounds over its classes: of each the first, then of each the second.

    Parameters
    ----------
    batches : iterable of (images, int labels)
        No more of it is read than is needed.
    count : int
        How many images.
    classes : int

    Returns
    -------
    list of (number, image, label)
        The number is the image's place in the data set, from 0; fewer than `count` where that has not so many.
    """
    found, seen, number = {}, collections.Counter(), 0
    wanted = {divmod(place, classes) for place in range(count)}
    for images, labels in batches:
        for image, label in zip(images, labels.tolist()):
            if seen[label] < count:
                found[seen[label], label] = number, image.copy(), label
            seen[label] += 1
            number += 1
        if wanted <= set(found):
            break
    return [found[key] for key in sorted(found)[:count]]


class MaskLog:
    """Test images of a run, and the pictures that the masks of its network make of them.

    The images are read once, as validation reads them. Nothing of the run is changed, no random number drawn.

    Parameters
    ----------
    options : options.TrainingOptions
    loader : loaders.ArrayLoader or dali.DaliLoader
        That of validation.

    Raises
    ------
    InputError
        If there are fewer than `options.mask_images`.
    """

    def __init__(self, options, loader):
        facts = datasets.describe_data(options.dataset, options.data_dir, options.data_format)
        chosen = one_of_each_class(loader.epoch(0), options.mask_images, len(facts.classes))
        if len(chosen) < options.mask_images:
            raise InputError(f"--mask-images {options.mask_images}: the data set has {len(chosen)} test images")
        self._options = options
        self._network, self._classes = NetworkSpec(len(facts.classes), **options.network), facts.classes
        numbers, images, labels = zip(*chosen)
        self._images, self._labels = np.stack(images), np.array(labels)
        pixels = self._images.transpose(0, 2, 3, 1) * np.array(facts.std) + np.array(facts.mean)
        self.rows = [
            Row(f"no. {number}: {facts.classes[label]}", Image.fromarray(image), image)
            for number, label, image in zip(numbers, labels, np.rint(255 * pixels).astype(np.uint8))
        ]

    def __call__(self, epoch, step, log, make_net):
        """Log the masks after an epoch, counted from 1, if the options ask for it: a hook of `training.loop.fit`."""
        if self._options.shows_masks(epoch):
            log.pictures(step, self.pictures(make_net()))

    def pictures(self, net):
        """The sheet of each attention module of a network for inference, by its name on the board.

        It is made float32: float16 masks are not to be had from a graph for float32 images.
        """
        net.cast("float32")
        logits, _ = compute_logits(net, [(self._images, self._labels)], [device_of(net)])
        predictions = list(top_predictions(logits, self._classes, 1))
        return board_pictures(self.rows, predictions, soft_masks(net, self._images), None, None, self._network)
