"""Tests for the DALI loader: the loader contract holds for any epoch, and batches consist of real crops."""

import os
import shutil
import sys

import numpy as np
import pytest

from helpers.scripts import refused, script
from resattnet.data.image_set import ImageSet
from resattnet.data.transforms import Transform, normalise
from resattnet.datasets import catalog, record_writer, recordio
from resattnet.loaders.array_loader import ArrayLoader
from resattnet.loaders.dali import DaliLoader
from resattnet.machine.mxnet import mx
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError
from resattnet.system.world import World

COUNTS = {"train": 103, "test": 23}
CLASSES = tuple(map(str, range(103)))
MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
PLAIN = Transform(MEAN, STD, len(CLASSES))
CROPS = PLAIN._replace(pad=4, flip=True, seed=3)


@pytest.fixture
def dali():
    pytest.importorskip("nvidia.dali", reason="NVIDIA DALI is not installed: pip install -e '.[dali]'")


needs_dali = pytest.mark.usefixtures("dali")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with records of noise images. Each image has its own class."""
    path, rng = tmp_path_factory.mktemp("records"), np.random.default_rng(0)
    sets = {
        split: ImageSet(rng.integers(0, 256, (count, 9, 7, 3), np.uint8), np.arange(count, dtype=np.int32), CLASSES)
        for split, count in COUNTS.items()
    }
    record_writer.write_records(str(path), "noise", sets, source="noise", mean=MEAN, std=STD, flip=True)
    return str(path)


def locate(folder, split="train"):
    return recordio.locate("noise", folder, split)


def load(folder, split="train"):
    return catalog.load_images("noise", folder, split, data_format="rec")


def train_loader(folder, transform=CROPS, seed=1, workers=0):
    return DaliLoader(locate(folder), transform, 10, seed, workers)


def assert_equal(batches, others):
    assert len(batches) == len(others) > 0
    for ours, theirs in zip(batches, others):
        assert all((a == b).all() and a.dtype == b.dtype for a, b in zip(ours, theirs))


def message(call, *args, **kwargs):
    """Return the one-line message of the InputError from a call."""
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Batches


@needs_dali
@pytest.mark.parametrize(
    "device",
    [None, pytest.param(mx.gpu(0), marks=pytest.mark.skipif(not mx.context.num_gpus(), reason="MXNet sees no GPU"))],
    ids=str,
)
@pytest.mark.parametrize("batch_size", [1, 7, 23, 50])
def test_validation_gives_every_sample_once_as_the_array_loader_does(folder, batch_size, device):
    ours = DaliLoader(locate(folder, "test"), PLAIN, batch_size, device=device)
    theirs = ArrayLoader(load(folder, "test"), PLAIN, batch_size)
    assert (len(ours), ours.samples) == (len(theirs), theirs.samples) == (len(list(ours)), 23)
    for (images, labels), (others, other_labels) in zip(ours, theirs):
        assert images.dtype == np.float32 and images.shape == others.shape and abs(images - others).max() < 1e-5
        assert labels.dtype == np.int32 and (labels == other_labels).all()


def crops(image):
    """Return every normalised pad-4 crop of an image as an array of shape (2, 9, 9, C, H, W).

    The first axis separates plain from mirrored crops.
    """
    height, width, _ = image.shape
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)))
    cut = np.array(
        [[padded[top : top + height, left : left + width].transpose(2, 0, 1) for left in range(9)] for top in range(9)]
    )
    both = np.stack([cut, cut[..., ::-1]])
    return normalise(both.reshape((-1,) + both.shape[3:]), MEAN, STD).reshape(both.shape)


@needs_dali
@pytest.mark.parametrize("flip", [True, False])
def test_a_training_epoch_is_a_permutation_of_real_crops(folder, flip):
    sources = load(folder).images
    batches = list(train_loader(folder, CROPS._replace(flip=flip)).epoch(0))
    images, labels = (np.concatenate(part) for part in zip(*batches))
    assert [len(part) for _, part in batches] == [10] * 10 + [3] and len(set(labels)) == 103
    found = []
    for image, label in zip(images, labels):
        places = np.argwhere(abs(crops(sources[label]) - image).max(axis=(3, 4, 5)) < 1e-5)
        assert len(places) == 1
        found.append(places[0])
    mirrored, tops, lefts = map(set, zip(*found))
    assert mirrored == ({0, 1} if flip else {0}) and tops == lefts == set(range(9))


@needs_dali
def test_the_order_is_drawn_from_the_whole_set(folder):
    """Each epoch shuffles the whole set.

    A reader that shuffles only a window of the file would give the first samples of the file early in every epoch.
    """
    loader = train_loader(folder)
    orders = [np.concatenate([labels for _, labels in loader.epoch(number)]) for number in range(8)]
    assert len(set(map(tuple, orders))) == 8
    assert abs(np.mean([np.corrcoef(order, np.arange(103))[0, 1] for order in orders])) < 0.15
    assert max(np.argmax(order == 0) for order in orders) > 50


@needs_dali
def test_batches_depend_on_seed_and_epoch_only(folder):
    transform = CROPS._replace(cutout=3, epsilon=0.1, alpha=1.0)
    loader = train_loader(folder, transform)
    fresh = list(loader.epoch(2))
    next(loader.epoch(0))
    list(loader.epoch(1))
    assert_equal(list(loader.epoch(2)), fresh)
    again = train_loader(folder, transform, workers=2)
    assert_equal(list(again.epoch(2)), fresh)
    assert_equal(list(again.epoch(2, start=7)), fresh[7:])
    for other in (
        loader.epoch(3),
        train_loader(folder, transform, seed=2).epoch(2),
        train_loader(folder, transform._replace(seed=4)).epoch(2),
    ):
        assert (next(other)[0] != fresh[0][0]).any()


@needs_dali
def test_the_rest_of_the_transform_follows_dalis_part(folder):
    transform = CROPS._replace(cutout=3, epsilon=0.1, alpha=1.0, mix_epochs=2)
    for number in (1, 2):
        pairs = zip(train_loader(folder).epoch(number), train_loader(folder, transform).epoch(number))
        for batch, ((images, labels), found) in enumerate(pairs):
            expected = transform.finish(images, labels, number, np.random.default_rng((3, number, batch)))
            assert_equal([found], [expected])
            assert found[1].shape == (len(labels), 103)


# Errors


@pytest.mark.parametrize(
    "given, line",
    [
        (
            dict(loader="dali"),
            "loader=dali data_format=bin: DALI reads RecordIO files, which make-records writes; give ",
        ),
        (dict(loader="tar"), "loader=tar: choose from array, dali"),
    ],
)
def test_wrong_arguments_name_the_flag(given, line):
    assert message(TrainingOptions, **given).startswith(line)


def test_without_dali_it_says_how_to_install_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "nvidia.dali", None)
    line = message(train_loader, folder)
    assert line.startswith("loader=dali: ") and line.endswith(": python -m pip install -e '.[dali]'")


def exchange_two_places(path):
    with open(path) as handle:
        rows = [row.split() for row in handle]
    rows[3][1], rows[4][1] = rows[4][1], rows[3][1]
    with open(path, "w") as handle:
        handle.writelines("{}\t{}\n".format(*tuple(row)) for row in rows)


def flip_a_bit(path):
    with open(path, "r+b") as handle:
        handle.seek(-9, os.SEEK_END)
        byte = handle.read(1)[0]
        handle.seek(-9, os.SEEK_END)
        handle.write(bytes([byte ^ 1]))


@pytest.mark.parametrize(
    "name, damage, line",
    [
        ("noise_train.idx", os.remove, "noise_train.idx is not there"),
        ("noise_train.rec", lambda path: os.truncate(path, 5000), "noise_train.rec: 5,000 bytes, expected "),
        ("noise_train.idx", exchange_two_places, "noise_train.rec: record 3 has the number 4"),
        ("noise_train.rec", flip_a_bit, "noise_train.rec"),
        ("noise_records.json", os.remove, "noise_records.json is not there"),
    ],
)
def test_damaged_records_are_refused_before_dali_reads_them(folder, tmp_path, name, damage, line):
    copy = str(tmp_path / "copy")
    shutil.copytree(folder, copy)
    damage(os.path.join(copy, name))
    assert line in message(locate, copy)


@needs_dali
def test_a_missing_file_of_a_list_is_named(folder, tmp_path):
    copy = str(tmp_path / "copy")
    shutil.copytree(folder, copy)
    loader = train_loader(copy)
    os.remove(os.path.join(copy, "noise_train.rec"))
    assert message(next, loader.epoch(0)).startswith(os.path.join(copy, "noise_train.rec") + ": DALI cannot ")


@needs_dali
def test_a_batch_larger_than_the_data_set_is_refused(folder):
    assert "a batch of 200 is larger than the data set of 103 images" in message(
        DaliLoader, locate(folder), CROPS, 200, 1
    )


def test_one_of_several_processes_is_refused(folder):
    line = message(DaliLoader, locate(folder), CROPS, 10, 1, world=World(1, 2))
    assert line == "loader=dali: supports one process, not 2: give loader=array"


@needs_dali
def test_on_a_gpu_images_are_made_there(folder, monkeypatch):
    """The GPU pipeline outputs images on the GPU and labels on the CPU.

    Without a GPU, only the devices of the output nodes can be tested.
    """
    outputs = []
    monkeypatch.setattr("nvidia.dali.Pipeline.set_outputs", lambda self, *nodes: outputs.extend(nodes))
    DaliLoader(locate(folder), CROPS, 10, 1, device=mx.gpu(0))._pipeline(0)
    assert [node.device for node in outputs] == ["gpu", "cpu"]


@needs_dali
@pytest.mark.skipif(mx.context.num_gpus() > 0, reason="MXNet sees a GPU")
def test_a_gpu_that_dali_cannot_use_is_one_line(folder):
    loader = DaliLoader(locate(folder), CROPS, 10, 1, device=mx.gpu(0))
    assert "noise_train.rec: DALI cannot make batches of it (" in message(next, loader.epoch(0))


# Training


@needs_dali
@pytest.mark.slow
def test_training_from_records_by_dali(tmp_path):
    digits = {split: catalog.load_images("digits", "", split) for split in ("train", "test")}
    facts = catalog.describe_data("digits")
    few = {
        split: ImageSet(images[:count], labels[:count], classes)
        for count, (split, (images, labels, classes)) in zip((50, 21), digits.items())
    }
    record_writer.write_records(str(tmp_path / "data"), "digits", few, facts.title, facts.mean, facts.std, facts.flip)
    done = script(
        "cifar10_train.py",
        "--dataset",
        "digits",
        "--data-format",
        "rec",
        "--loader",
        "dali",
        "-b",
        16,
        "--widths",
        "thin",
        "--epochs",
        1,
        "--cutout",
        8,
        "--mix-up",
        1,
        "--num-gpus",
        0,
        "--name",
        "run",
        cwd=str(tmp_path),
    )
    assert done.returncode == 0, done
    assert "50 training and 21 validation images" in done.stdout
    line = refused(script("cifar10_train.py", "--resume", "models/run", "--loader", "array", cwd=str(tmp_path)))
    assert "--loader array: the run to resume has --loader dali" in line
