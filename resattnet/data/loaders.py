"""Batches from data sets: one iterable contract, whatever reads them."""

import collections
import functools
import itertools
import multiprocessing
import signal
import traceback
from typing import NamedTuple

import numpy as np

from ..system.errors import InputError
from ..system.mxnet import mx

BATCHES_AHEAD = 2  # asked of each worker before they are needed
PATIENCE = 120  # seconds that a worker may take for a batch


class _BatchId(NamedTuple):
    """Which batch. It is a few bytes, so that no pipe to a worker ever fills up."""

    epoch: int
    batch: int


class _BatchDataset(mx.gluon.data.Dataset):
    """The data set as Gluon's DataLoader sees it: an item is a whole batch, made at once."""

    def __init__(self, image_set, batch_size, seed):
        self._images, self._labels = image_set.images, image_set.labels
        self._batch_size, self._seed = batch_size, seed
        self._shuffled = self._order = None  # the epoch last shuffled, and its order

    def __len__(self):
        whole, rest = divmod(len(self._labels), self._batch_size)
        return whole if self._seed is not None else whole + bool(rest)

    def __getitem__(self, wanted):
        begin = wanted.batch * self._batch_size
        rows = self._rows(wanted.epoch)[begin : begin + self._batch_size]
        return self._images[rows], self._labels[rows], wanted.epoch, wanted.batch

    def _rows(self, epoch):
        if self._seed is None:
            return np.arange(len(self._labels))
        if self._shuffled != epoch:
            # NumPy takes this for (seed, epoch, 0), the stream of the first batch: no harm, and part of what a seed is.
            self._order = np.random.default_rng((self._seed, epoch)).permutation(len(self._labels))
            self._shuffled = epoch
        return self._order


class _BatchSampler(mx.gluon.data.Sampler):
    """The batches of one epoch, from batch `start` on."""

    def __init__(self, batches):
        self._batches = batches
        self.epoch = self.start = 0

    def __len__(self):
        return self._batches

    def __iter__(self):
        return iter([[_BatchId(self.epoch, batch)] for batch in range(self.start, self._batches)])


class _Batchify:
    """The transform as a DataLoader's `batchify_fn`."""

    def __init__(self, transform):
        self._transform = transform

    def __call__(self, items):
        return self._transform(*items[0])


def _make_batch(dataset, batchify_fn, samples):
    return batchify_fn([dataset[sample] for sample in samples])


class _Failure(NamedTuple):
    """What a worker answers when a batch cannot be made."""

    error: Exception
    trace: str


def _work(connection, parents_end, make_batch):
    """Answer each request on a connection until its other end is closed, by whatever end of the training process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the training process decides
    for number in (signal.SIGTERM, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE):
        signal.signal(number, signal.SIG_DFL)  # MXNet's own handlers may deadlock in a fork: the worker would not die
    parents_end.close()
    try:
        while True:
            ticket, samples = connection.recv()
            try:
                answer = make_batch(samples)
            except Exception as error:
                answer = _Failure(error, traceback.format_exc())
            connection.send((ticket, answer))
    except (EOFError, OSError):
        pass


class _Worker:
    """A process that makes batches, with a pipe of its own: only it holds the other end, so its death closes it.

    Parameters
    ----------
    name : str
        For messages.
    make_batch : callable
        From samples to a batch.
    """

    def __init__(self, name, make_batch):
        self._connection, its_end = multiprocessing.Pipe()
        self._process = multiprocessing.Process(
            target=_work, name=name, daemon=True, args=(its_end, self._connection, make_batch)
        )
        self._process.start()
        its_end.close()
        self._name = f"{name} (process {self._process.pid})"
        self._tickets, self._answers = itertools.count(), {}

    def ask(self, samples):
        """Ask for a batch; returns the ticket to `fetch` it with, or to `forget` it."""
        ticket = next(self._tickets)
        self._answers[ticket] = None
        try:
            self._connection.send((ticket, samples))
        except OSError:
            self._say_how_it_died()
        return ticket

    def fetch(self, ticket):
        """Wait for a batch.

        Raises
        ------
        InputError
            If the worker is dead, or stuck.
        """
        while self._answers[ticket] is None:
            try:
                if not self._connection.poll(PATIENCE):
                    raise InputError(
                        f"{self._name} has made no batch for {PATIENCE} s: --workers 0 makes them in "
                        "the training process"
                    )
                number, answer = self._connection.recv()
            except (EOFError, OSError):
                self._say_how_it_died()
            if number in self._answers:
                self._answers[number] = answer
        answer = self._answers.pop(ticket)
        if isinstance(answer, _Failure):
            raise answer.error from RuntimeError(f"in {self._name}:\n{answer.trace}")
        return answer

    def forget(self, ticket):
        """Let what was asked for be dropped when it comes."""
        self._answers.pop(ticket, None)

    def _say_how_it_died(self):
        self._process.join(5)
        code = self._process.exitcode
        if code is None:
            end = "closed its pipe"
        elif code == -signal.SIGKILL:
            end = "was killed, most likely for want of memory: give fewer --workers"
        else:
            end = f"ended with exit code {code}" if code >= 0 else f"died of {signal.Signals(-code).name}"
        raise InputError(f"{self._name} {end}") from None


class _DataLoader(mx.gluon.data.DataLoader):
    """Gluon's DataLoader with workers whose death is noticed.

    Those of Gluon are a `multiprocessing.Pool`, which replaces a dead worker in silence; the batch that it was
    making is waited for in vain, and where it held a lock the pool cannot even be ended.
    """

    def __init__(self, dataset, batch_sampler, batchify_fn, num_workers):
        super().__init__(dataset, batch_sampler=batch_sampler, batchify_fn=batchify_fn)
        self._make_batch = functools.partial(_make_batch, dataset, batchify_fn)
        self._workers = [
            _Worker(f"loader worker {number} of {num_workers}", self._make_batch)
            for number in range(1, num_workers + 1)
        ]

    def __iter__(self):
        samples = iter(self._batch_sampler)
        return self._fetch_in_turn(samples) if self._workers else map(self._make_batch, samples)

    def _fetch_in_turn(self, batches):
        asked = collections.deque()
        try:
            for worker, samples in zip(itertools.cycle(self._workers), batches):
                if len(asked) == BATCHES_AHEAD * len(self._workers):
                    first, ticket = asked.popleft()
                    yield first.fetch(ticket)
                asked.append((worker, worker.ask(samples)))
            while asked:
                first, ticket = asked.popleft()
                yield first.fetch(ticket)
        finally:
            for worker, ticket in asked:
                worker.forget(ticket)


def epoch_samples(total, batch_size, shuffled):
    """How many of `total` samples an epoch yields: all, or, if it is shuffled, those that fill whole batches."""
    if shuffled and batch_size > total:
        raise InputError(
            f"a batch of {batch_size} is larger than the data set of {total} images: give a smaller --batch-size"
        )
    return total - total % batch_size if shuffled else total


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
        If the batch of a shuffled loader is larger than its data set; while iterating, if a worker dies or is stuck.
    """

    def __init__(self, image_set, transform, batch_size, shuffle_seed=None, workers=0):
        self.samples = epoch_samples(len(image_set.labels), batch_size, shuffle_seed is not None)
        batches = _BatchDataset(image_set, batch_size, shuffle_seed)
        self._sampler = _BatchSampler(len(batches))
        self._loader = _DataLoader(batches, self._sampler, _Batchify(transform), workers)

    def __len__(self):
        return len(self._sampler)

    def __iter__(self):
        return self.epoch(0)

    def epoch(self, number, start=0):
        """Iterate over the batches of epoch `number` (from 0), from batch `start` on."""
        self._sampler.epoch, self._sampler.start = number, start
        return iter(self._loader)
