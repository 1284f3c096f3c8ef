"""Tests for loaders: any number of workers and processes gives the same batches, and every sample is counted."""

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from resattnet.data.image_set import ImageSet
from resattnet.data.transforms import Transform
from resattnet.loaders import workers
from resattnet.loaders.array_loader import ArrayLoader
from resattnet.system.errors import InputError
from resattnet.system.signals import StopSignals
from resattnet.system.world import ALONE, World

TRANSFORM = Transform((0.5,) * 3, (0.25,) * 3, 103, pad=1, flip=True, alpha=1.0, seed=3)


@pytest.fixture(scope="module")
def image_set():
    """Return 103 images. Each image has its own colour and class."""
    images = np.arange(103, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 4, 4, 3), np.uint8)
    return ImageSet(images, np.arange(103, dtype=np.int32), tuple(map(str, range(103))))


def epoch(loader, number, start=0):
    return list(loader.epoch(number, start))


@pytest.mark.parametrize(
    "batch_size, smallest, sizes", [(10, 3, [10] * 10 + [3]), (10, 4, [10] * 9 + [13]), (103, 9, [103])]
)
def test_shuffled_epochs_have_every_sample_once(image_set, batch_size, smallest, sizes):
    """What remains beside full batches is the last batch, or a part of the one before if it would be too small."""
    loader = ArrayLoader(image_set, TRANSFORM._replace(alpha=0.0), batch_size, shuffle_seed=1, smallest=smallest)
    assert len(loader) == len(sizes) and loader.samples == 103
    batches = epoch(loader, 0)
    assert [len(labels) for _, labels in batches] == sizes
    labels = np.concatenate([labels for _, labels in batches])
    assert sorted(labels) == list(range(103)) and (np.sort(labels) != labels).any()
    assert (np.concatenate([labels for _, labels in epoch(loader, 1)]) != labels).any()


def test_unshuffled_loader_gives_every_sample_once_in_order(image_set):
    loader = ArrayLoader(image_set, Transform((0.5,) * 3, (0.25,) * 3, 103), 10)
    assert len(loader) == 11 and loader.samples == 103
    assert (np.concatenate([labels for _, labels in loader]) == np.arange(103)).all()


def test_workers_make_the_same_batches(image_set):
    pair = [ArrayLoader(image_set, TRANSFORM, 10, shuffle_seed=1, workers=workers) for workers in (0, 4)]
    for number in (0, 5):
        for (images, labels), (others, other_labels) in zip(*(epoch(loader, number) for loader in pair)):
            assert (images == others).all() and (labels == other_labels).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_can_be_entered_at_any_batch(image_set, workers):
    loader = ArrayLoader(image_set, TRANSFORM, 10, shuffle_seed=1, workers=workers)
    whole, rest = epoch(loader, 2), epoch(loader, 2, start=7)
    assert len(rest) == 4
    assert all((a[0] == b[0]).all() and (a[1] == b[1]).all() for a, b in zip(whole[7:], rest))


def test_a_batch_larger_than_the_data_set_is_refused(image_set):
    with pytest.raises(InputError, match="a batch of 200 is larger than the data set of 103 images"):
        ArrayLoader(image_set, TRANSFORM, 200, shuffle_seed=1)


# Multiple processes


def shards(image_set, size, workers=0, batch_size=10, shuffle_seed=1):
    """Return the loaders of `size` processes, one for each process."""
    return [
        ArrayLoader(image_set, TRANSFORM, batch_size, shuffle_seed, workers, World(rank, size)) for rank in range(size)
    ]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_shards_of_a_shuffled_epoch_are_the_batches_of_one_process_in_turn(image_set, size, workers):
    parts = shards(image_set, size, workers)
    full, rest = divmod(103, 10 * size)
    steps = full + 1
    assert [len(part) for part in parts] == [steps] * size and sum(part.samples for part in parts) == 103
    assert [part.samples - 10 * full for part in parts] == [rest // size + (rank < rest % size) for rank in range(size)]
    for number in (0, 4):
        whole = epoch(ArrayLoader(image_set, TRANSFORM, 10, shuffle_seed=1), number)
        for rank, part in enumerate(parts):
            found = epoch(part, number)
            assert len(found) == steps
            for (images, labels), (others, other_labels) in zip(found[:full], whole[rank::size]):
                assert (images == others).all() and (labels == other_labels).all()
            for (images, _), (others, _) in zip(epoch(part, number, start=2), found[2:]):
                assert (images == others).all()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_shards_of_a_shuffled_epoch_are_disjoint_and_drawn_again_in_each(image_set, size, workers):
    plain = TRANSFORM._replace(alpha=0.0)
    orders = []
    for number in (0, 1):
        loaders = [ArrayLoader(image_set, plain, 10, 1, workers, World(rank, size)) for rank in range(size)]
        ranks = [np.concatenate([labels for _, labels in epoch(loader, number)]) for loader in loaders]
        orders.append(np.concatenate(ranks))
        assert sorted(orders[-1]) == list(range(103))
        # All processes must slice the same permutation.
        permutation, steps = np.random.default_rng((1, number)).permutation(103), 103 // (10 * size) + 1
        for step in range(steps):
            piece = np.concatenate([labels[10 * step : 10 * step + 10] for labels in ranks])
            assert (piece == permutation[10 * size * step : 10 * size * (step + 1)]).all()
    assert (orders[0] != orders[1]).any()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [1, 2, 3, 12])
def test_shards_of_validation_have_each_sample_once(image_set, size, workers):
    plain = Transform((0.5,) * 3, (0.25,) * 3, 103)
    loaders = [ArrayLoader(image_set, plain, 10, workers=workers, world=World(rank, size)) for rank in range(size)]
    found = [[labels for _, labels in loader] for loader in loaders]
    assert [sum(map(len, labels)) for labels in found] == [loader.samples for loader in loaders]
    assert [len(labels) for labels in found] == [len(loader) for loader in loaders]
    assert sorted(np.concatenate(sum(found, []))) == list(range(103))


def test_a_process_alone_has_the_batches_that_earlier_versions_made(image_set):
    """A single process gives the same batches as earlier versions.

    A seed determines the order of each epoch and the random stream of each batch.
    """
    for loader in (ArrayLoader(image_set, TRANSFORM, 10, 1), ArrayLoader(image_set, TRANSFORM, 10, 1, world=ALONE)):
        for number in (0, 3):
            order = np.random.default_rng((1, number)).permutation(103)
            batches = epoch(loader, number)
            assert len(batches) == 11
            for batch, (images, labels) in enumerate(batches):
                rows = order[10 * batch : 10 * batch + 10]
                expected = TRANSFORM(image_set.images[rows], image_set.labels[rows], number, batch)
                assert (images == expected[0]).all() and (labels == expected[1]).all()


def test_a_data_set_too_small_for_a_batch_of_each_process_is_refused(image_set):
    line = (
        "^a batch of 40 for each of 3 processes is larger than the data set of 103 images: give a smaller batch_size$"
    )
    with pytest.raises(InputError, match=line):
        shards(image_set, 3, batch_size=40)


@pytest.mark.parametrize(
    "rank, size, line",
    [
        (0, 0, "size=0: give a number of processes of at least 1"),
        (2, 2, "rank=2: give a number from 0 to 1, of 2 processes"),
        (-1, 2, "rank=-1: give a number from 0 to 1, of 2 processes"),
    ],
)
def test_an_invalid_world_is_refused(rank, size, line):
    with pytest.raises(InputError, match=line):
        World(rank, size)


# Worker processes


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_may_be_left_and_may_overlap(image_set, workers):
    loader = ArrayLoader(image_set, TRANSFORM, 10, shuffle_seed=1, workers=workers)
    expected = [epoch(loader, number) for number in (0, 1)]
    for _ in range(3):
        assert len(list(itertools.islice(loader.epoch(2), 2))) == 2
    for batches in zip(zip(loader.epoch(0), loader.epoch(1)), zip(*expected)):
        for (images, labels), (others, other_labels) in zip(*batches):
            assert (images == others).all() and (labels == other_labels).all()


def start_workers(image_set, count):
    """Return a loader with `count` workers, and the worker processes in order."""
    before = set(multiprocessing.active_children())
    loader = ArrayLoader(image_set, TRANSFORM, 10, shuffle_seed=1, workers=count)
    return loader, sorted(set(multiprocessing.active_children()) - before, key=lambda process: process.name)


@pytest.mark.parametrize("seen", [0, 1, 5])
@pytest.mark.parametrize(
    "end, how",
    [
        (signal.SIGKILL, "was killed, most likely because memory ran out: give fewer"),
        (signal.SIGSEGV, "died of SIGSEGV"),
    ],
)
def test_a_worker_that_dies_is_named_within_seconds(image_set, seen, end, how):
    loader, processes = start_workers(image_set, 2)
    epoch(loader, 1)  # ensures that the workers have started and are idle
    batches = loader.epoch(0)
    list(itertools.islice(batches, seen))
    os.kill(processes[1].pid, end)
    begin = time.monotonic()
    words = f"^loader worker 2 of 2 \\(process {processes[1].pid}\\) {how}"
    with pytest.raises(InputError, match=words) as caught:
        list(batches)
    assert time.monotonic() - begin < 30 and "\n" not in str(caught.value)
    with pytest.raises(InputError, match="loader worker 2 of 2"):
        epoch(loader, 1)


class Large:
    """Transform whose batches do not fit into a pipe."""

    def __call__(self, images, labels, epoch, batch):
        return np.zeros(32 << 20, np.float32), labels


def test_a_worker_that_dies_in_the_middle_of_a_batch_is_named(image_set):
    """The loader does not wait for the rest of a partly sent batch."""
    before = set(multiprocessing.active_children())
    loader = ArrayLoader(image_set, Large(), 10, shuffle_seed=1, workers=1)
    (process,) = set(multiprocessing.active_children()) - before
    batches = loader.epoch(0)
    next(batches)
    time.sleep(1)  # lets the second batch fill the pipe and wait for the reader
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(InputError, match="loader worker 1 of 1 .* was killed"):
        list(batches)


STUCK = """
import time
import numpy as np
from resattnet.loaders import workers
from resattnet.data.image_set import ImageSet
from resattnet.loaders.array_loader import ArrayLoader

workers.PATIENCE = 1
images = ImageSet(np.zeros((4, 2, 2, 3), np.uint8), np.zeros(4, np.int32), ("all",))
list(ArrayLoader(images, lambda *batch: time.sleep(600), 1, workers=2))
"""


def test_a_program_with_a_stuck_worker_ends():
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "has made no batch for 1 s" in done.stderr


def test_a_worker_that_is_stuck_is_named(image_set, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 1)
    loader, processes = start_workers(image_set, 2)
    os.kill(processes[0].pid, signal.SIGSTOP)
    try:
        with pytest.raises(InputError, match=r"^loader worker 1 of 2 \(process \d+\) has made no batch for 1 s: "):
            epoch(loader, 0)
    finally:
        os.kill(processes[0].pid, signal.SIGCONT)


def test_workers_end_with_their_loader(image_set):
    loader, processes = start_workers(image_set, 3)
    list(itertools.islice(loader.epoch(0), 2))
    del loader
    for process in processes:
        process.join(10)
    assert [process.exitcode for process in processes] == [0, 0, 0]


class Wrong:
    """Transform that raises an error for batch 3."""

    def __init__(self, error):
        self._error = error

    def __call__(self, images, labels, epoch, batch):
        if batch == 3:
            raise self._error
        return images, labels


@pytest.mark.parametrize("error", [InputError("a record is cut short"), ZeroDivisionError("a bug")])
@pytest.mark.parametrize("workers", [0, 2])
def test_errors_of_a_worker_are_raised_in_the_parent(image_set, workers, error):
    batches = ArrayLoader(image_set, Wrong(error), 10, shuffle_seed=1, workers=workers).epoch(0)
    assert len(list(itertools.islice(batches, 3))) == 3
    with pytest.raises(type(error), match=str(error)) as caught:
        next(batches)
    assert not workers or "in __call__" in str(caught.value.__cause__)


ORPHANS = """
import time
import numpy as np
from resattnet.data.transforms import Transform
from resattnet.data.image_set import ImageSet
from resattnet.loaders.array_loader import ArrayLoader

images = ImageSet(np.zeros((400, 32, 32, 3), np.uint8), np.zeros(400, np.int32), ("all",))
loaders = [ArrayLoader(images, Transform((0.5,) * 3, (0.25,) * 3, 1), 100, 0, workers=2) for _ in range(2)]
next(loaders[0].epoch(0))
print("ready", flush=True)
time.sleep(100)
"""


def test_workers_end_when_the_training_process_is_killed():
    with subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        # The workers inherit the pipe, so the pipe closes when the last worker ends.
        assert process.communicate(timeout=20)[0] == b""


def resident(pid):
    """Return the resident memory of a process in MiB."""
    with open(f"/proc/{pid}/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's /proc")
@pytest.mark.parametrize("workers", [0, 2])
def test_fifty_epochs_leak_no_memory(workers):
    rng = np.random.default_rng(0)
    image_set = ImageSet(rng.integers(0, 256, (320, 32, 32, 3), dtype=np.uint8), np.zeros(320, np.int32), ("all",) * 10)
    transform = Transform((0.5,) * 3, (0.25,) * 3, 10, pad=4, flip=True, cutout=16, alpha=1.0)
    before = set(multiprocessing.active_children())
    loader = ArrayLoader(image_set, transform, 64, shuffle_seed=0, workers=workers)
    pids = [os.getpid()] + [process.pid for process in set(multiprocessing.active_children()) - before]
    sizes = []
    for number in range(50):
        for _ in loader.epoch(number):
            pass
        sizes.append([resident(pid) for pid in pids])
    # An epoch has 3.75 MiB of images. A leak of about 1/48 of an epoch per epoch would exceed the limit.
    assert max(last - fifth for fifth, last in zip(sizes[4], sizes[-1])) < 3.5, (sizes[4], sizes[-1])


STOPPED = """
import os, signal, sys, time
import numpy as np
from resattnet.loaders import workers
from resattnet.data.image_set import ImageSet
from resattnet.loaders.array_loader import ArrayLoader

images = ImageSet(np.zeros((4, 2, 2, 3), np.uint8), np.zeros(4, np.int32), ("all",))
loader = ArrayLoader(images, lambda *batch: batch[:2], 1, workers=2)
list(loader)
os.kill(loader._workers[1]._process.pid, signal.SIGSTOP)
"""


def test_a_program_with_a_stopped_worker_ends_in_seconds():
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "") and time.monotonic() - begun < 20


def test_a_batch_is_not_waited_for_once_the_run_is_to_stop(image_set):
    loader, processes = start_workers(image_set, 2)
    epoch(loader, 0)
    os.kill(processes[0].pid, signal.SIGSTOP)
    try:
        with StopSignals():
            os.kill(os.getpid(), signal.SIGTERM)
            begun = time.monotonic()
            with pytest.raises(InputError, match=r"loader worker 1 of 2 .* has made no batch since the signal to stop"):
                epoch(loader, 1)
            assert time.monotonic() - begun < 10
    finally:
        os.kill(processes[0].pid, signal.SIGCONT)
