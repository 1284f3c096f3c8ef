"""Samplers: the rows of a data set for each batch of an epoch, the same for the same seed and epoch."""

from __future__ import annotations

import functools
from typing import Callable, Optional

import numpy as np

from ..system.errors import InputError
from ..system.world import ALONE, World


def shuffled_rows(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the rows of a data set in a random order, each once."""
    return rng.permutation(len(labels))


def balanced_rows(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return as many rows as a data set has, in a random order, with the same number from each of its classes.

    The numbers of two classes differ by one at most. Images of a rare class are repeated, those of a frequent class are
    left out at random: of one class, the numbers of times that two images occur differ by one at most.

    Parameters
    ----------
    labels : int array (N,)
    rng : numpy.random.Generator

    Returns
    -------
    int64 array (N,)
    """
    _, counts = np.unique(labels, return_counts=True)
    share, rest = divmod(len(labels), len(counts))
    quotas = np.full(len(counts), share)
    quotas[rng.permutation(len(counts))[:rest]] += 1
    rows = []
    for own, quota in zip(np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1]), quotas):
        rows += [np.repeat(own, quota // len(own)), rng.permutation(own)[: quota % len(own)]]
    return rng.permutation(np.concatenate(rows))


# How the rows of an epoch are drawn: from the labels of the data set, with the random generator of the epoch.
SAMPLERS = {"shuffled": shuffled_rows, "balanced": balanced_rows}


class BatchSampler:
    """Rows of a data set for each batch of an epoch, for one process of several.

    The batches of an epoch are cut from one order, which is the same for all processes. Of N processes, the one with
    rank r has the batches r, r + N, r + 2N, and so on. `World(0, 1)` has them all. Each place of the order is in one
    batch.

    All processes have the same number of batches of a shuffled epoch. The samples that do not fill a batch of each
    process are divided among the processes as their last batch or, where these batches would be too small, are added to
    the batch before.

    Parameters
    ----------
    total : int
        Number of samples of the data set.
    batch_size : int
        Number of samples of a batch of one process.
    shuffle_seed : int or None
        See `array_loader.ArrayLoader`.
    world : World
    smallest : int
        Smallest number of samples of the last batch of a shuffled epoch.
    draw : callable, optional
        Returns the order of a shuffled epoch, `total` rows, from the random generator of the epoch. Default: a
        permutation.

    Attributes
    ----------
    samples : int
        Number of samples that this process gets in an epoch.
    total : int
        Number of samples that all processes get in an epoch.
    rounds : int
        Largest number of batches that a process gets in an epoch.

    Raises
    ------
    InputError
        If the data set is shuffled and too small for one batch of each process.
    """

    def __init__(
        self,
        total: int,
        batch_size: int,
        shuffle_seed: Optional[int] = None,
        world: World = ALONE,
        smallest: int = 1,
        draw: Optional[Callable[[np.random.Generator], np.ndarray]] = None,
    ) -> None:
        self._draw = draw or (lambda rng: rng.permutation(total))
        self.total, self._batch_size, self._seed, self._world = total, batch_size, shuffle_seed, world
        self._shuffled: Optional[int] = None  # the epoch that was shuffled last
        self._order = np.arange(total)  # and its order; without a seed, that of the data set
        if shuffle_seed is None:
            self._batches = len(range(world.rank, -(-total // batch_size), world.size))
            self.rounds = len(range(0, -(-total // batch_size), world.size))
        else:
            self._batches = self.rounds = self._count_shuffled(smallest)
        self.samples = sum(len(self._positions(step)) for step in range(self._batches))

    def _count_shuffled(self, smallest: int) -> int:
        """Return the number of batches that each process gets of a shuffled epoch."""
        size = self._world.size
        full, rest = divmod(self.total, self._batch_size * size)
        if not full:
            needed = f"a batch of {self._batch_size}"
            if size > 1:
                needed = f"{needed} for each of {size} processes"
            raise InputError(
                f"{needed} is larger than the data set of {self.total} images: give a smaller `batch_size`"
            )
        return full + (rest // size >= smallest)

    def __len__(self) -> int:
        return self._batches

    def number(self, step: int) -> int:
        """Return the number of this process's batch `step` among the batches of all processes."""
        return step * self._world.size + self._world.rank

    def batch_samples(self, step: int) -> int:
        """Return the number of samples of this process's batch `step`."""
        return len(self._positions(step))

    def step_samples(self, step: int) -> int:
        """Return the number of samples of the batches `step` of all processes, of a shuffled epoch."""
        whole = self._batch_size * self._world.size
        return whole if step < self._batches - 1 else self.total - step * whole

    def rows(self, epoch: int, step: int) -> np.ndarray:
        """Return the rows of this process's batch `step` of an epoch, int64 (N,)."""
        positions = self._positions(step)
        return self._epoch_order(epoch)[positions.start : positions.stop]

    def _positions(self, step: int) -> range:
        """Return the positions of this process's batch `step` in the order of an epoch."""
        size, rank = self._world.size, self._world.rank
        if self._seed is not None and step == self._batches - 1:
            begin = step * size * self._batch_size
            each, more = divmod(self.total - begin, size)
            begin += rank * each + min(rank, more)
            return range(begin, begin + each + (rank < more))
        begin = self.number(step) * self._batch_size
        return range(begin, min(begin + self._batch_size, self.total))

    def _epoch_order(self, epoch: int) -> np.ndarray:
        if self._seed is not None and self._shuffled != epoch:
            # NumPy takes this for (seed, epoch, 0), the stream of the first batch. That does no harm, and is part of
            # the meaning of a seed.
            self._order = self._draw(np.random.default_rng((self._seed, epoch)))
            self._shuffled = epoch
        return self._order


def sampler_of(
    name: str, labels: np.ndarray, batch_size: int, shuffle_seed: Optional[int], world: World, smallest: int
) -> BatchSampler:
    """Return the sampler of labels (N,) whose shuffled epochs are drawn as a row of `SAMPLERS` says."""
    draw = functools.partial(SAMPLERS[name], labels)
    return BatchSampler(len(labels), batch_size, shuffle_seed, world, smallest, draw)
