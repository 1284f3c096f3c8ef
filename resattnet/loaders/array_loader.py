"""Loaders: sized iterables of batches, the same for the same seed and epoch whatever the number of workers.

A loader has `samples`, the number of samples that it yields in an epoch, and `epoch(number, start)`, which iterates
over the batches `(images, labels)` of an epoch from batch `start` on.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from ..data.image_set import ImageSet
from ..data.transforms import Transform
from ..system.world import ALONE, World
from .samplers import BatchSampler, sampler_of
from .workers import make_in_order, start_workers

Batch = Tuple[np.ndarray, np.ndarray]  # images and labels


class Request(NamedTuple):
    """A request for a batch. It is a few bytes, so that no pipe to a worker ever fills up."""

    epoch: int
    step: int


class _BatchMaker:
    """Cut a batch from an image set and transform it."""

    def __init__(self, image_set: ImageSet, transform: Transform, sampler: BatchSampler) -> None:
        self._images, self._labels = image_set.images, image_set.labels
        self._transform, self._sampler = transform, sampler

    def __call__(self, request: Request) -> Batch:
        rows = self._sampler.rows(request.epoch, request.step)
        number = self._sampler.number(request.step)
        return self._transform(self._images[rows], self._labels[rows], request.epoch, number)


class Loader:
    """Batches of a data set, made by worker processes or in this one; the base of the loaders.

    `epoch(number)` yields the batches `(images, labels)` of one epoch, NumPy arrays as the transform makes them. They
    are the same for the same number, whatever the number of workers.

    Parameters
    ----------
    sampler : BatchSampler
    make_batch : callable
        Makes a batch from a `Request`.
    workers : int
        Number of processes that make batches. 0 makes them in this one.
    batch_bytes : int
        Size of the largest batch.

    Attributes
    ----------
    samples : int
        Number of samples that this loader yields in an epoch.
    sampler : BatchSampler
    """

    def __init__(
        self, sampler: BatchSampler, make_batch: Callable[[Any], Any], workers: int = 0, batch_bytes: int = 0
    ) -> None:
        self.samples = sampler.samples
        self.sampler, self._make_batch = sampler, make_batch
        self._workers = start_workers(workers, make_batch, batch_bytes)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        return self.epoch(0)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Iterate over the batches of epoch `number` (from 0), from batch `start` on."""
        requests = (Request(number, step) for step in range(start, len(self)))
        if self._workers:
            return make_in_order(self._workers, requests)
        return map(self._make_batch, requests)


def batch_bytes(sampler: BatchSampler, image_shape: Tuple[int, ...], classes: int) -> int:
    """Return the size of the largest batch: float32 images and labels for each class."""
    rows = max((sampler.batch_samples(step) for step in {0, len(sampler) - 1} if step >= 0), default=0)
    return rows * 4 * (int(np.prod(image_shape)) + classes)


class ArrayLoader(Loader):
    """Batches of an image set in memory, or of one that reads its images when they are asked for.

    Parameters
    ----------
    image_set : ImageSet
    transform : Transform
        A callable of uint8 images (N, H, W, 3), labels (N,), epoch and number of the batch.
    batch_size : int
        Number of samples of a batch of this process.
    shuffle_seed : int or None
        An int draws a new order in every epoch. None keeps the order of the data set.
    workers : int
        Number of processes that make batches. 0 makes them in this one.
    world : World
        The part of each epoch that this process gets: see `samplers.BatchSampler`.
    smallest : int
        Smallest number of samples of the last batch of a shuffled epoch: see `samplers.BatchSampler`.
    sampler : str
        Key of `samplers.SAMPLERS`: how the rows of a shuffled epoch are drawn.

    Raises
    ------
    InputError
        If a shuffled data set is too small for one batch; while iterating, if a worker dies or is stuck.
    """

    def __init__(
        self,
        image_set: ImageSet,
        transform: Transform,
        batch_size: int,
        shuffle_seed: Optional[int] = None,
        workers: int = 0,
        world: World = ALONE,
        smallest: int = 1,
        sampler: str = "shuffled",
    ) -> None:
        batches = sampler_of(sampler, image_set.labels, batch_size, shuffle_seed, world, smallest)
        size = batch_bytes(batches, image_set.images.shape[1:], len(image_set.classes))
        super().__init__(batches, _BatchMaker(image_set, transform, batches), workers, size)
