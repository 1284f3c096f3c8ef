"""Tests for reading CIFAR binary files: whole, damaged and missing files."""

import dataclasses
import os
import tarfile

import numpy as np
import pytest

from resattnet.datasets import catalog, cifar, downloads
from resattnet.system import files
from resattnet.system.errors import InputError

COUNT = 4  # records per file of the small sets below


@pytest.fixture
def small(monkeypatch):
    """Reduce the CIFAR sets to COUNT records per file, and make every download fail."""
    for name in ("cifar10", "cifar100"):
        source = catalog.SETS[name]
        samples = {split: COUNT * len(files) for split, files in source.splits.items()}
        facts = dataclasses.replace(source.facts, samples=samples)
        monkeypatch.setitem(catalog.SETS, name, dataclasses.replace(source, facts=facts))

    def offline(url, path, *args, **kwargs):
        raise downloads.DownloadError(url, path, "no route to host")

    monkeypatch.setattr(cifar, "fetch", offline)


def make_records(labels, seed=0):
    """Return the bytes of a binary file with random pixels.

    Each row of `labels` holds the label bytes of one image.
    """
    labels = np.asarray(labels, np.uint8)
    pixels = np.random.RandomState(seed).randint(0, 256, (len(labels), 3 * 32 * 32), dtype=np.uint8)
    return np.hstack([labels, pixels]).tobytes()


def write_cifar10(folder):
    """Write the six CIFAR-10 files. File i has the labels i, i + 1, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate([f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]):
        (folder / name).write_bytes(make_records([[i + j] for j in range(COUNT)], seed=i))
    return folder


def message(*args, **kwargs):
    """Return the one-line message of the InputError from `load_images`."""
    with pytest.raises(InputError) as caught:
        catalog.load_images(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Whole files


def test_planes_become_channels(small, tmp_path):
    folder = write_cifar10(tmp_path / "cifar-10-batches-bin")
    images, labels, classes = catalog.load_images("cifar10", tmp_path, "train")
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
    images, labels, classes = catalog.load_images("cifar100", tmp_path, "test")
    assert labels.tolist() == [99, 1, 20, 0]
    assert (classes[0], classes[1], classes[99]) == ("apple", "aquarium_fish", "worm")
    assert images[1, 0, 0].tolist() == [raw[3074 + 2 + plane * 1024] for plane in range(3)]


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin", "elsewhere"])
def test_data_dir_holds_the_folder_or_is_it(small, tmp_path, inside):
    folder = write_cifar10(tmp_path / (inside or "cifar-10-batches-bin"))
    data_dir = folder if inside else tmp_path
    assert len(catalog.load_images("cifar10", str(data_dir), "test").labels) == COUNT


def test_class_names_come_from_the_sets_own_file(small, tmp_path):
    folder = write_cifar10(tmp_path / "cifar-10-batches-bin")
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")
    assert catalog.load_images("cifar10", tmp_path, "test").classes == tuple("abcdefghij")
    (folder / "batches.meta.txt").write_text("a\nb\n")
    assert "batches.meta.txt: 2 class names, expected 10" in message("cifar10", tmp_path, "test")


# Damaged files


def test_truncated_file_of_the_real_size(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for i in range(1, 6):
        with open(str(folder / (f"data_batch_{i}.bin")), "wb") as file:
            file.truncate(12345678 if i == 3 else 30730000)
    assert message("cifar10", tmp_path, "train") == (
        f"{folder / 'data_batch_3.bin'}: 12,345,678 bytes, expected 30,730,000: truncated; delete it and run "
        "again to unpack or download it again"
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


def test_a_folder_instead_of_a_file(small, tmp_path):
    path = write_cifar10(tmp_path / "cifar-10-batches-bin") / "test_batch.bin"
    path.unlink()
    path.mkdir()
    assert str(path) in message("cifar10", tmp_path, "test")


# Missing files

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
    assert len(catalog.load_images("cifar10", tmp_path, "test", False).labels) == COUNT


def pack(path, folder, names=None):
    with tarfile.open(str(path), "w:gz") as tar:
        for name in names or os.listdir(str(folder)):
            tar.add(os.path.join(str(folder), name), folder.name + "/" + name)


@pytest.mark.parametrize("data_dir", ["data", "data/cifar-10-batches-bin"])
def test_an_archive_placed_by_hand_is_used(small, tmp_path, data_dir):
    (tmp_path / "data").mkdir()
    pack(tmp_path / "data" / "cifar-10-binary.tar.gz", write_cifar10(tmp_path / "cifar-10-batches-bin"))
    assert len(catalog.load_images("cifar10", tmp_path / data_dir, "train", False).labels) == 5 * COUNT
    assert len(os.listdir(str(tmp_path / "data" / "cifar-10-batches-bin"))) == 7  # with the digests


def test_archive_mends_a_lost_file_and_keeps_the_others(small, tmp_path):
    folder = write_cifar10(tmp_path / "cifar-10-batches-bin")
    pack(tmp_path / "cifar-10-binary.tar.gz", folder)
    (folder / "test_batch.bin").unlink()
    own = make_records([[9]] * COUNT)
    (folder / "data_batch_1.bin").write_bytes(own)
    assert catalog.load_images("cifar10", tmp_path, "test").labels.tolist() == [5, 6, 7, 8]
    assert (folder / "data_batch_1.bin").read_bytes() == own


def test_bad_archives_are_named(small, tmp_path):
    archive = tmp_path / "cifar-10-binary.tar.gz"
    archive.write_bytes(b"<html>not found</html>")
    assert message("cifar10", tmp_path, "test").startswith(f"{archive}: not a complete tar archive")
    pack(archive, write_cifar10(tmp_path / "cifar-10-batches-py"))
    assert message("cifar10", tmp_path, "test").startswith(
        f"{archive}: contains no cifar-10-batches-bin/test_batch.bin"
    )


def test_absent_set_is_downloaded_and_unpacked(small, tmp_path, monkeypatch):
    pack(tmp_path / "source.tar.gz", write_cifar10(tmp_path / "cifar-10-batches-bin"))
    asked = []

    def fetch(url, path, size, sha256=None, md5=None):
        asked.append((url, os.path.basename(path), size, sha256, md5))
        with open(path, "wb") as file:
            file.write((tmp_path / "source.tar.gz").read_bytes())

    monkeypatch.setattr(cifar, "fetch", fetch)
    (tmp_path / "data").mkdir()
    for _ in range(2):
        assert len(catalog.load_images("cifar10", tmp_path / "data", "test").labels) == COUNT
    assert asked == [
        (
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "cifar-10-binary.tar.gz",
            170052171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            "c32a1d4ab5d03f1284b67883e8d87530",
        )
    ]


# Changed files


@pytest.fixture
def unpacked(small, tmp_path):
    """Return the folder of files that were unpacked from an archive put there by hand."""
    folder = write_cifar10(tmp_path / "made" / "cifar-10-batches-bin")
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij"))
    pack(tmp_path / "cifar-10-binary.tar.gz", folder)
    catalog.load_images("cifar10", tmp_path, "train")
    return tmp_path / "cifar-10-batches-bin"


@pytest.mark.parametrize("name", ["data_batch_3.bin", "test_batch.bin", "batches.meta.txt"])
def test_a_changed_byte_of_an_unpacked_file_is_noticed(unpacked, name):
    path = unpacked / name
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(contents)
    split = "test" if name == "test_batch.bin" else "train"
    assert message("cifar10", unpacked, split) == (
        f"{path}: its SHA-256 is not that of the file that was unpacked: it was damaged or changed; delete it and run "
        "again to unpack or download it again"
    )
    path.unlink()
    (unpacked / "data_batch_1.bin").unlink()  # so that the archive is unpacked again
    assert len(catalog.load_images("cifar10", unpacked, "train").labels) == 5 * COUNT


def test_an_archive_that_is_not_the_official_one_is_remarked(unpacked, tmp_path, monkeypatch):
    sha256 = files.digest(str(tmp_path / "cifar-10-binary.tar.gz"))
    assert catalog.data_remarks("cifar10", tmp_path) == [
        f"CIFAR-10 in {unpacked}: unpacked from an archive that is not the official one (SHA-256 {sha256})"
    ]
    monkeypatch.setitem(catalog.SETS, "cifar10", dataclasses.replace(catalog.SETS["cifar10"], sha256=sha256))
    assert catalog.data_remarks("cifar10", tmp_path) == []


def test_files_that_were_not_unpacked_here_are_remarked(small, tmp_path):
    folder = write_cifar10(tmp_path / "cifar-10-batches-bin")
    assert catalog.data_remarks("cifar10", tmp_path) == [
        f"CIFAR-10 in {folder}: its files cannot be checked, since resattnet did not unpack them"
    ]
    pack(tmp_path / "cifar-10-binary.tar.gz", folder)
    (folder / "data_batch_2.bin").unlink()
    catalog.load_images("cifar10", tmp_path, "train")
    assert catalog.data_remarks("cifar10", tmp_path)[0] == (
        f"CIFAR-10 in {folder}: data_batch_1.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin cannot be "
        "checked, since resattnet did not unpack them"
    )
    assert catalog.data_remarks("digits", None) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"a": ["b"]}', "[" * 10**5])
def test_a_damaged_list_of_digests_is_named(unpacked, text):
    (unpacked / "unpacked.json").write_text(text)
    assert "unpacked.json is damaged (" in message("cifar10", unpacked, "test")


def test_a_pipe_in_place_of_a_file_is_refused(small, tmp_path):
    path = write_cifar10(tmp_path / "cifar-10-batches-bin") / "test_batch.bin"
    path.unlink()
    os.mkfifo(str(path))
    assert message("cifar10", tmp_path, "test") == f"{path}: cannot be read (it is a named pipe, not a file)"


# The real data set


def test_real_cifar10(cifar10_dir):
    data_set = catalog.describe_data("cifar10")
    for split, each in [("train", 5000), ("test", 1000)]:
        images, labels, classes = catalog.load_images("cifar10", cifar10_dir, split, download=False)
        assert images.shape == (data_set.samples[split], 32, 32, 3)
        assert np.bincount(labels).tolist() == [each] * 10
        assert classes == data_set.classes
        if split == "train":
            values = np.arange(256) / 255.0
            counts = [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)]
            mean = [np.average(values, weights=count) for count in counts]
            std = [np.sqrt(np.average((values - m) ** 2, weights=count)) for m, count in zip(mean, counts)]
            # The tolerances also accept a JPEG re-encoding of the set, which has slightly lower contrast.
            np.testing.assert_allclose(mean, data_set.mean, atol=1e-3)
            np.testing.assert_allclose(std, data_set.std, atol=3e-3)
