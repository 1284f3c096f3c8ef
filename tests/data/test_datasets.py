"""Reading image sets: the embedded digits, and CIFAR's binary files, whole and damaged."""

import os
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest

from resattnet.data import datasets, downloads
from resattnet.system.errors import InputError

COUNT = 4  # records in a file of the small sets below


@pytest.fixture
def small(monkeypatch):
    """CIFAR sets with COUNT records in each file, and no network."""
    for name in ("cifar10", "cifar100"):
        data_set = datasets.SETS[name]
        samples = {split: COUNT * len(files) for split, files in data_set.files.splits.items()}
        monkeypatch.setitem(datasets.SETS, name, data_set._replace(samples=samples))

    def offline(url, path, *args, **kwargs):
        raise downloads.DownloadError(url, path, "no route to host")

    monkeypatch.setattr(datasets, "fetch", offline)


def make_records(labels, seed=0):
    """Bytes of a binary file: one row of label bytes an image, random pixels."""
    labels = np.asarray(labels, np.uint8)
    pixels = np.random.RandomState(seed).randint(0, 256, (len(labels), 3 * 32 * 32), dtype=np.uint8)
    return np.hstack([labels, pixels]).tobytes()


def write_cifar10(folder):
    """The six files; file i holds the labels i, i + 1, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate([f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]):
        (folder / name).write_bytes(make_records([[i + j] for j in range(COUNT)], seed=i))
    return folder


def message(*args, **kwargs):
    """The one line with which `load` refuses."""
    with pytest.raises(InputError) as caught:
        datasets.load_images(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is known before reading


def test_every_set_is_described_without_files():
    assert datasets.DATASETS == ("digits", "cifar10", "cifar100")
    assert [len(datasets.describe_data(name).classes) for name in datasets.DATASETS] == [10, 10, 100]
    for name in datasets.DATASETS:
        data_set = datasets.describe_data(name)
        assert len(set(data_set.classes)) == len(data_set.classes)
        assert len(data_set.mean) == len(data_set.std) == 3
    assert [datasets.describe_data(name).flip for name in datasets.DATASETS] == [False, True, True]
    assert list(datasets.describe_data("cifar100").classes) == sorted(datasets.describe_data("cifar100").classes)


def test_unknown_names_list_the_choices():
    assert message("mnist", "data", "train") == "data set 'mnist': choose from digits, cifar10, cifar100"
    assert message("digits", "data", "validation") == "split 'validation': choose from train, test"
    with pytest.raises(InputError, match="choose from digits"):
        datasets.describe_data("mnist")


# Digits


@pytest.mark.parametrize("split, count", [("train", 1437), ("test", 360)])
def test_digits_shapes_and_types(split, count):
    images, labels, classes = datasets.load_images("digits", None, split)
    assert images.shape == (count, 32, 32, 3) and images.dtype == np.uint8 and images.flags.c_contiguous
    assert labels.shape == (count,) and labels.dtype == np.int32
    assert classes == tuple("0123456789") and set(labels) == set(range(10))
    assert images.min() == 0 and images.max() == 255
    assert (images[..., 0] == images[..., 1]).all() and (images[..., 0] == images[..., 2]).all()


def test_digits_statistics_are_those_of_train():
    pixels = datasets.load_images("digits", None, "train").images / 255.0
    data_set = datasets.describe_data("digits")
    np.testing.assert_allclose(pixels.mean((0, 1, 2)), data_set.mean, atol=5e-5)
    np.testing.assert_allclose(pixels.std((0, 1, 2)), data_set.std, atol=5e-5)


def test_digits_load_at_once():
    times = []
    for _ in range(3):
        start = time.process_time()
        datasets.load_images("digits", None, "train")
        times.append(time.process_time() - start)
    assert min(times) < 0.5


def test_digits_are_those_of_scikit_learn():
    source = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed").load_digits()
    with np.load(os.path.join(os.path.dirname(datasets.__file__), "digits.npz"), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["images"], source.images)
    labels = [datasets.load_images("digits", None, split).labels for split in ("train", "test")]
    np.testing.assert_array_equal(np.concatenate(labels), source.target)


def test_magnify_is_bilinear():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    coarse = np.random.RandomState(0).randint(0, 17, (5, 8, 8), dtype=np.uint8)
    ours = datasets.magnify(coarse, 32).astype(int)
    for grid, fine in zip(coarse, ours):
        theirs = image.fromarray(grid.astype(np.float32) * 255 / 16).resize((32, 32), image.BILINEAR)
        assert np.abs(np.asarray(theirs) - fine).max() < 0.51
    assert (datasets.magnify(np.full((1, 8, 8), 16, np.uint8), 32) == 255).all()


# CIFAR: what is read


def test_planes_become_channels(small, tmp_path):
    folder = write_cifar10(tmp_path / "cifar-10-batches-bin")
    images, labels, classes = datasets.load_images("cifar10", tmp_path, "train")
    assert images.shape == (5 * COUNT, 32, 32, 3) and images.dtype == np.uint8 and images.flags.c_contiguous
    assert labels.dtype == np.int32 and labels.tolist() == [i + j for i in range(5) for j in range(COUNT)]
    raw = (folder / "data_batch_3.bin").read_bytes()
    for row, column, channel in [(0, 0, 0), (0, 1, 0), (1, 0, 1), (31, 30, 2), (17, 5, 1)]:
        position = 2 * 3073 + 1 + channel * 1024 + row * 32 + column
        assert images[2 * COUNT + 2, row, column, channel] == raw[position]
    assert classes[0] == "airplane" and classes[9] == "truck"


def test_cifar100_gives_the_fine_label(small, tmp_path):
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    raw = make_records([[19, 99], [0, 1], [5, 20], [7, 0]])
    (folder / "test.bin").write_bytes(raw)
    images, labels, classes = datasets.load_images("cifar100", tmp_path, "test")
    assert labels.tolist() == [99, 1, 20, 0]
    assert (classes[0], classes[1], classes[99]) == ("apple", "aquarium_fish", "worm")
    assert images[1, 0, 0].tolist() == [raw[3074 + 2 + plane * 1024] for plane in range(3)]


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin", "elsewhere"])
def test_data_dir_holds_the_folder_or_is_it(small, tmp_path, inside):
    folder = write_cifar10(tmp_path / (inside or "cifar-10-batches-bin"))
    data_dir = folder if inside else tmp_path
    assert len(datasets.load_images("cifar10", str(data_dir), "test").labels) == COUNT


def test_class_names_come_from_the_sets_own_file(small, tmp_path):
    folder = write_cifar10(tmp_path / "cifar-10-batches-bin")
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")
    assert datasets.load_images("cifar10", tmp_path, "test").classes == tuple("abcdefghij")
    (folder / "batches.meta.txt").write_text("a\nb\n")
    assert "batches.meta.txt: 2 class names, expected 10" in message("cifar10", tmp_path, "test")


# CIFAR: what is refused


def test_truncated_file_of_the_real_size(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for i in range(1, 6):
        with open(str(folder / (f"data_batch_{i}.bin")), "wb") as file:
            file.truncate(12345678 if i == 3 else 30730000)
    assert message("cifar10", tmp_path, "train") == (
        f"{folder / 'data_batch_3.bin'}: 12,345,678 bytes, expected 30,730,000: truncated; delete it and run "
        "again to have it unpacked or downloaded anew"
    )


@pytest.mark.parametrize(
    "length, fault",
    [
        (0, "truncated"),
        (1, "truncated"),
        (3073 * 3, "truncated"),
        (3073 * 4 - 1, "truncated"),
        (3073 * 4 + 1, "too long"),
        (3073 * 5, "too long"),
    ],
)
def test_wrong_length_is_named(small, tmp_path, length, fault):
    path = write_cifar10(tmp_path / "cifar-10-batches-bin") / "test_batch.bin"
    path.write_bytes(bytes(length))
    assert f"{path}: {f'{length:,}'} bytes, expected 12,292: {fault}" in message("cifar10", tmp_path, "test")


def test_label_out_of_range_is_named(small, tmp_path):
    path = write_cifar10(tmp_path / "cifar-10-batches-bin") / "data_batch_5.bin"
    path.write_bytes(make_records([[9], [0], [10], [255]]))
    assert f"{path}: record 2 has label 10, expected 0 to 9" in message("cifar10", tmp_path, "train")


@pytest.mark.parametrize(
    "labels, text", [([19, 100], "label 100, expected 0 to 99"), ([20, 99], "label 20, expected 0 to 19")]
)
def test_both_labels_of_cifar100_are_checked(small, tmp_path, labels, text):
    (tmp_path / "cifar-100-binary").mkdir()
    (tmp_path / "cifar-100-binary" / "test.bin").write_bytes(make_records([[0, 0]] * 3 + [labels]))
    assert "test.bin: record 3 has " + text in message("cifar100", tmp_path, "test")


def test_a_folder_in_place_of_a_file(small, tmp_path):
    path = write_cifar10(tmp_path / "cifar-10-batches-bin") / "test_batch.bin"
    path.unlink()
    path.mkdir()
    assert str(path) in message("cifar10", tmp_path, "test")


# CIFAR: what is absent

WAY_OUT = (
    "put cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html in {0}, or its 6 .bin files in {1}"
)


@pytest.mark.parametrize("download, why", [(True, " and could not be downloaded (no route to host)"), (False, "")])
def test_absent_set_says_what_to_put_where(small, tmp_path, download, why):
    places = tmp_path, tmp_path / "cifar-10-batches-bin"
    expected = ("CIFAR-10 is not in {0}" + why + ": " + WAY_OUT).format(*places)
    for data_dir in places:
        assert message("cifar10", data_dir, "train", download) == expected


@pytest.mark.parametrize("folder", ["cifar-10-batches-bin", "."])
def test_absent_file_is_named(small, tmp_path, folder):
    write_cifar10(tmp_path / folder)
    (tmp_path / folder / "data_batch_4.bin").unlink()
    assert message("cifar10", tmp_path, "train", False).startswith(
        f"CIFAR-10 lacks data_batch_4.bin in {tmp_path / folder}: put "
    )
    assert len(datasets.load_images("cifar10", tmp_path, "test", False).labels) == COUNT


def pack(path, folder, names=None):
    with tarfile.open(str(path), "w:gz") as tar:
        for name in names or os.listdir(str(folder)):
            tar.add(os.path.join(str(folder), name), folder.name + "/" + name)


@pytest.mark.parametrize("data_dir", ["data", "data/cifar-10-batches-bin"])
def test_archive_put_there_by_hand_is_used(small, tmp_path, data_dir):
    (tmp_path / "data").mkdir()
    pack(tmp_path / "data" / "cifar-10-binary.tar.gz", write_cifar10(tmp_path / "cifar-10-batches-bin"))
    assert len(datasets.load_images("cifar10", tmp_path / data_dir, "train", False).labels) == 5 * COUNT
    assert len(os.listdir(str(tmp_path / "data" / "cifar-10-batches-bin"))) == 6


def test_archive_mends_a_lost_file_and_keeps_the_others(small, tmp_path):
    folder = write_cifar10(tmp_path / "cifar-10-batches-bin")
    pack(tmp_path / "cifar-10-binary.tar.gz", folder)
    (folder / "test_batch.bin").unlink()
    own = make_records([[9]] * COUNT)
    (folder / "data_batch_1.bin").write_bytes(own)
    assert datasets.load_images("cifar10", tmp_path, "test").labels.tolist() == [5, 6, 7, 8]
    assert (folder / "data_batch_1.bin").read_bytes() == own


def test_bad_archives_are_named(small, tmp_path):
    archive = tmp_path / "cifar-10-binary.tar.gz"
    archive.write_bytes(b"<html>not found</html>")
    assert message("cifar10", tmp_path, "test").startswith(f"{archive}: not a whole tar archive")
    pack(archive, write_cifar10(tmp_path / "cifar-10-batches-py"))
    assert message("cifar10", tmp_path, "test").startswith(f"{archive}: holds no cifar-10-batches-bin/test_batch.bin")


def test_absent_set_is_downloaded_and_unpacked(small, tmp_path, monkeypatch):
    pack(tmp_path / "source.tar.gz", write_cifar10(tmp_path / "cifar-10-batches-bin"))
    asked = []

    def fetch(url, path, size, sha256=None, md5=None):
        asked.append((url, os.path.basename(path), size, sha256, md5))
        with open(path, "wb") as file:
            file.write((tmp_path / "source.tar.gz").read_bytes())

    monkeypatch.setattr(datasets, "fetch", fetch)
    (tmp_path / "data").mkdir()
    for _ in range(2):
        assert len(datasets.load_images("cifar10", tmp_path / "data", "test").labels) == COUNT
    assert asked == [
        (
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "cifar-10-binary.tar.gz",
            170052171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            "c32a1d4ab5d03f1284b67883e8d87530",
        )
    ]


def test_reading_needs_no_mxnet():
    code = (
        "import sys; from resattnet.data import datasets; datasets.load_images('digits', None, 'test'); "
        "print([name for name in ('mxnet', 'sklearn', 'PIL') if name in sys.modules])"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(datasets.__file__))))
    assert subprocess.check_output([sys.executable, "-c", code], cwd=root).strip() == b"[]"


# The real thing


def test_real_cifar10(cifar10_dir):
    data_set = datasets.describe_data("cifar10")
    for split, each in [("train", 5000), ("test", 1000)]:
        images, labels, classes = datasets.load_images("cifar10", cifar10_dir, split, download=False)
        assert images.shape == (data_set.samples[split], 32, 32, 3)
        assert np.bincount(labels).tolist() == [each] * 10
        assert classes == data_set.classes
        if split == "train":
            values = np.arange(256) / 255.0
            counts = [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)]
            mean = [np.average(values, weights=count) for count in counts]
            std = [np.sqrt(np.average((values - m) ** 2, weights=count)) for m, count in zip(mean, counts)]
            # A JPEG re-encoding of the set is accepted too, whose contrast is a little lower.
            np.testing.assert_allclose(mean, data_set.mean, atol=1e-3)
            np.testing.assert_allclose(std, data_set.std, atol=3e-3)
