"""Log the soft masks of a network in training: pictures of the same test images, after some of the epochs."""

from __future__ import annotations

import collections
from typing import Any, Callable, Dict, Iterable, List, Tuple

import numpy as np
from PIL import Image

from ..data.facts import DataFacts
from ..machine.devices import device_of
from ..models.network import build
from ..options.counts import limit_count
from ..prediction.inference import compute_logits
from ..prediction.logits import top_predictions
from ..prediction.masks import soft_masks
from ..run_options.options import RunOptions
from ..runs.logs import RunLog
from ..zoo import parameters
from .mask_figures import Row, Sheet, module_pictures
from .mask_overlays import draw_overlays


def one_of_each_class(
    batches: Iterable[Tuple[np.ndarray, np.ndarray]], count: int, classes: int
) -> List[Tuple[int, np.ndarray, int]]:
    """Choose images of a data set in rounds over its classes: the first of each class, then the second of each class.

    Parameters
    ----------
    batches : iterable of (images, int labels)
        Read only as far as needed.
    count : int
        Number of images to choose.
    classes : int
        Number of classes.

    Returns
    -------
    list of (number, image, label)
        The number is the place of the image in the data set, from 0. The list is shorter than `count` if the data set
        has fewer images.
    """
    found: Dict[Tuple[int, int], Tuple[int, np.ndarray, int]] = {}
    seen: Dict[int, int] = collections.Counter()
    number = 0
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
    """Hook of the training loop that logs the soft masks of the network for some test images.

    The images are read once, as in validation. The hook changes nothing in the run and draws no random number.

    Parameters
    ----------
    options : RunOptions
        `mask_images` (all test images where there are fewer), and the epochs to log by `shows_masks`.
    loader : iterable loader
        The loader of validation.
    facts : DataFacts
        Class names, mean and standard deviation of the data set.

    Attributes
    ----------
    rows : list of Row
        The images.
    """

    def __init__(self, options: RunOptions, loader: Any, facts: DataFacts) -> None:
        chosen = one_of_each_class(loader.epoch(0), options.mask_images, len(facts.classes))
        limit_count("mask_images", options.mask_images, len(chosen), "test images")
        self._options, self._classes = options, facts.classes
        numbers, images, labels = zip(*chosen)
        self._images, self._labels = np.stack(images), np.array(labels)
        pixels = self._images.transpose(0, 2, 3, 1) * np.array(facts.std) + np.array(facts.mean)
        self.rows = [
            Row(f"no. {number}: {facts.classes[label]}", Image.fromarray(image), image)
            for number, label, image in zip(numbers, labels, np.rint(255 * pixels).astype(np.uint8))
        ]

    def __call__(
        self, epoch: int, step: int, log: RunLog, inference_net: Callable[[], Any], is_last: bool = False
    ) -> None:
        """Log the masks after an epoch if it is the last, or if `options.shows_masks` says so.

        Parameters
        ----------
        epoch : int
            Number of the epoch that has just been validated, from 1.
        step : int
            Number of updates so far.
        log : RunLog
        inference_net : callable
            Returns the network in training as a network for inference.
        is_last : bool
            Whether the run ends with this epoch.
        """
        if is_last or self._options.shows_masks(epoch):
            log.pictures(step, self.pictures(inference_net()))

    def pictures(self, net: Any) -> Dict[str, np.ndarray]:
        """Return the sheet of each attention module of a network, by its name on the board.

        Parameters
        ----------
        net : AttentionNet
            For inference. A float16 network is copied to float32, because MXNet cannot take its masks from a graph
            for float32 images.
        """
        if np.dtype(net.output.weight.dtype) == np.float16:
            half, net = net, build(net.spec)
            parameters.copy_parameters(half, net)
        logits, _ = compute_logits(net, [(self._images, self._labels)], [device_of(net)])
        predictions = list(top_predictions(logits, self._classes, 1))
        return module_pictures(Sheet(self.rows, predictions, soft_masks(net, self._images), net.spec), draw_overlays)
