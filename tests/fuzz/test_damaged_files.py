"""Flip single bits of the files that this package writes and reads, and cut the files off.

Reading a damaged file gives an error of one line, or exactly what the whole file gives.
"""

import dataclasses
import math
import os
from typing import Any, Callable, NamedTuple, Tuple

import numpy as np
import pytest

from helpers import tries
from resattnet.data.facts import DataFacts
from resattnet.data.image_set import ImageSet
from resattnet.datasets import catalog, cifar, record_writer
from resattnet.datasets.unpacked import keep_digests
from resattnet.machine.mxnet import mx
from resattnet.runs import history, states
from resattnet.runs.state_checks import FIGURES
from resattnet.system.errors import InputError
from resattnet.system.files import write_csv
from resattnet.zoo import parameters
from resattnet.zoo.parameter_files import read_arrays

MOST_FLIPS = 10**9 if tries.FULL else 250  # of a file; they are spread over the file
MOST_CUTS = 250 if tries.FULL else 25


class Kind(NamedTuple):
    """A kind of files.

    Attributes
    ----------
    write : callable
        Writes the files into a folder.
    read : callable
        Returns what the files of a folder say.
    files : tuple of str
        The files that are damaged, one at a time.
    """

    write: Callable[[str], None]
    read: Callable[[str], Any]
    files: Tuple[str, ...]


def rows(count):
    return [dict({name: 0.25 + 0.01 * epoch for name in FIGURES}, epoch=epoch) for epoch in range(1, count + 1)]


class Arrays:
    """A stand-in for a network, with two arrays."""

    def save_parameters(self, path):
        mx.nd.save(path, {"a.weight": mx.nd.arange(12).reshape((3, 4)), "a.bias": mx.nd.ones(3, dtype="float16")})


def write_parameters(folder):
    network = {"classes": 10, "num_layers": 56, "stage_strides": [1, 2, 2]}
    facts = DataFacts("noise", ("a", "b"), {"train": 9}, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2), True)
    told = dict(network=network, dataset="digits", epoch=3, validation_top1=0.75, data=facts.to_dict())
    parameters.save_parameters(Arrays(), os.path.join(folder, "net.params"), told)


def read_parameters(folder):
    path = os.path.join(folder, "net.params")
    description = parameters.read_description(path)
    del description["sha256"]
    known = ("network", "dataset", "epoch", "validation_top1", "data")  # and not the names that no reader knows
    return {name: description.get(name) for name in known}, read_arrays(path)


def write_state(folder):
    arrays = {"parameter/a/0": np.arange(6, dtype=np.float32).reshape(2, 3), "optimizer/a/0": np.ones(3, np.float16)}
    progress = dict(epoch=2, batch=1, step=9, epoch_steps=4, history=rows(2), best={"epoch": 1, "top1": 0.5})
    for _ in range(2):
        states.save_state(folder, arrays, dict(progress, options={"epochs": 4, "lr": 0.1}))


def read_state(folder):
    return states.load_state(folder)[:3]


def write_run(folder):
    os.makedirs(os.path.join(folder, "log", "csv"))
    states.save_state(folder, {}, dict(epoch=3, step=9, history=rows(3), options={"epochs": 4}))
    write_csv(os.path.join(folder, "log", "csv", "run.csv"), rows(3))


def read_run(folder):
    return history.read_history("run", folder, os.path.join(folder, "log")).rows


def write_records(folder):
    rng = np.random.default_rng(0)
    sets = {
        split: ImageSet(
            rng.integers(0, 256, (count, 4, 5, 3), np.uint8), np.arange(count, dtype=np.int32) % 3, ("a", "b", "c")
        )
        for split, count in (("train", 5), ("test", 3))
    }
    record_writer.write_records(folder, "some", sets, "noise", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), True)


def read_sets(folder, name, data_format):
    sets = [catalog.load_images(name, folder, split, False, data_format) for split in ("train", "test")]
    return sets, catalog.describe_data(name, folder, data_format)


def write_unpacked(folder):
    rng = np.random.default_rng(0)
    names = [name for split in cifar.CIFAR10.splits.values() for name in split]
    for name in names:
        images = rng.integers(0, 256, (2, 3073), np.uint8)
        images[:, 0] %= 10
        images.tofile(os.path.join(folder, name))
    keep_digests(folder, [os.path.join(folder, name) for name in names], os.path.join(folder, names[0]))


KINDS = {
    "parameters": Kind(write_parameters, read_parameters, ("net.params", "net.json")),
    "state": Kind(write_state, read_state, ("last.state",)),
    "CSV": Kind(write_run, read_run, ("log/csv/run.csv", "last.state")),
    "records": Kind(
        write_records,
        lambda folder: read_sets(folder, "some", "rec"),
        ("some_train.rec", "some_train.idx", "some_test.rec", "some_test.idx", "some_records.json"),
    ),
    "CIFAR": Kind(
        write_unpacked,
        lambda folder: read_sets(folder, "cifar10", "bin"),
        ("data_batch_2.bin", "test_batch.bin", "unpacked.json"),
    ),
}


def as_bytes(value):
    """Return a value of arrays, tuples and JSON types as something that can be compared."""
    if isinstance(value, (tuple, list)):
        return [as_bytes(one) for one in value]
    if isinstance(value, dict):
        return {name: as_bytes(one) for name, one in value.items()}
    if isinstance(value, mx.nd.NDArray):
        value = value.asnumpy()
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return repr(value)


def damaged(whole):
    """Yield name and bytes of each damaged form of a file, always the same."""
    bits = 8 * len(whole)
    step = max(1, math.ceil(bits / MOST_FLIPS)) | 1  # odd, so that all bits of a byte have their turn
    for bit in range(0, bits, step):
        other = bytearray(whole)
        other[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit}", bytes(other)
    lengths = {length * len(whole) // MOST_CUTS for length in range(MOST_CUTS)} | {len(whole) - 1}
    for length in sorted(lengths):
        yield f"{length} bytes", whole[:length]


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_an_error_of_one_line_or_harmless(tmp_path, kind, monkeypatch):
    facts = dataclasses.replace(cifar.CIFAR10.facts, samples={"train": 10, "test": 2})
    monkeypatch.setitem(catalog.SETS, "cifar10", dataclasses.replace(cifar.CIFAR10, facts=facts))
    write, read, names = KINDS[kind]
    folder = str(tmp_path / "run")
    os.mkdir(folder)
    write(folder)
    expected, refused = as_bytes(read(folder)), 0
    for name in names:
        path = os.path.join(folder, name)
        with open(path, "rb") as handle:
            whole = handle.read()
        for what, contents in damaged(whole):
            with open(path, "wb") as handle:
                handle.write(contents)
            try:
                with tries.time_limit(f"{name}, {what}"):
                    found = as_bytes(read(folder))
            except InputError as error:
                refused += 1
                tries.count(f"files: {kind}", refused=True)
                assert "\n" not in str(error) and folder in str(error), f"{name}, {what}: {error}"
            except Exception as error:
                raise AssertionError(f"{name}, {what}: {type(error).__name__}") from error
            else:
                assert found == expected, f"{name}, {what}: other values, and no error"
                tries.count(f"files: {kind}", refused=False)
        with open(path, "wb") as handle:
            handle.write(whole)
    assert as_bytes(read(folder)) == expected and refused > 20
