"""Batches from data sets: one iterable contract, whatever reads them."""
from typing import NamedTuple

import numpy as np

from ._mxnet import mx
from .errors import InputError


class _Cut(NamedTuple):
    """Which samples make one batch, and which batch it is."""

    indices: np.ndarray
    epoch: int
    batch: int


class _CutDataset(mx.gluon.data.Dataset):
    """The data set as Gluon's DataLoader sees it: an item is a whole cut, since batches are made whole."""

    def __init__(self, image_set):
        self._images, self._labels = image_set.images, image_set.labels

    def __len__(self):
        return len(self._labels)

    def __getitem__(self, cut):
        return self._images[cut.indices], self._labels[cut.indices], cut.epoch, cut.batch


class _CutSampler(mx.gluon.data.Sampler):
    """The cuts of one epoch, from batch `start` on; a shuffled epoch has full batches only."""

    def __init__(self, total, batch_size, seed):
        self._total, self._batch_size, self._seed = total, batch_size, seed
        self.epoch = self.start = 0

    def __len__(self):
        whole, rest = divmod(self._total, self._batch_size)
        return whole if self._seed is not None else whole + bool(rest)

    def __iter__(self):
        epoch, start = self.epoch, self.start
        order = np.arange(self._total)
        if self._seed is not None:
            order = np.random.default_rng((self._seed, epoch)).permutation(self._total)
        for batch in range(start, len(self)):
            yield [_Cut(order[batch * self._batch_size:(batch + 1) * self._batch_size], epoch, batch)]


class _Batchify:
    """The transform as a DataLoader's `batchify_fn`."""

    def __init__(self, transform):
        self._transform = transform

    def __call__(self, items):
        return self._transform(*items[0])


class ArrayLoader:
    """Batches of an `ImageSet` in memory, made by Gluon's DataLoader.

    `epoch(number)` gives the batches `(images, labels)` of one epoch, NumPy arrays as the transform
    makes them: the same for the same number, whatever the number of workers.

    Parameters
    ----------
    image_set : datasets.ImageSet
    transform : augment.Transform
    batch_size : int
    shuffle_seed : int or None
        Draws a new order every epoch and leaves the last batch out if it is not full; None keeps the
        order of the data set and gives every sample once.
    workers : int
        Processes that make batches; 0 makes them in this one.

    Attributes
    ----------
    samples : int
        How many samples an epoch yields.

    Raises
    ------
    InputError
        If the batch of a shuffled loader is larger than its data set.
    """

    def __init__(self, image_set, transform, batch_size, shuffle_seed=None, workers=0):
        total = len(image_set.labels)
        if shuffle_seed is not None and batch_size > total:
            raise InputError("a batch of %d is larger than the data set of %d images: give a smaller --batch-size"
                             % (batch_size, total))
        self.samples = total if shuffle_seed is None else total - total % batch_size
        self._sampler = _CutSampler(total, batch_size, shuffle_seed)
        self._loader = mx.gluon.data.DataLoader(_CutDataset(image_set), batch_sampler=self._sampler,
                                                batchify_fn=_Batchify(transform), num_workers=workers)

    def __len__(self):
        return len(self._sampler)

    def __iter__(self):
        return self.epoch(0)

    def epoch(self, number, start=0):
        """Iterate over the batches of epoch `number` (from 0), from batch `start` on."""
        self._sampler.epoch, self._sampler.start = number, start
        return iter(self._loader)
