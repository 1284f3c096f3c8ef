"""Test the compact lists of image files."""

import hashlib
import os
import tracemalloc

import numpy as np
import pytest

from resattnet.folders.file_lists import FileList
from resattnet.folders.image_folders import open_image_folder
from resattnet.system.errors import InputError

NAMES = [b"cat/a.jpg", b"cat/\xff.jpg", b"dog/a.jpg", b"owl/" + b"x" * 40 + b".jpg"]
CLASSES = ("cat", "dog", "owl")


@pytest.fixture
def files(tmp_path):
    """Write four files of different sizes, and return their list."""
    for number, name in enumerate(NAMES):
        path = os.path.join(os.fsencode(str(tmp_path / "x")), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(bytes(number + 1))
    return FileList.from_names(str(tmp_path / "x"), CLASSES, [(NAMES[:2], 0), ([], 0), (NAMES[2:], np.array([1, 2]))])


def test_a_list_has_paths_labels_and_counts(files):
    assert len(files) == 4 and files.labels.tolist() == [0, 0, 1, 2] and files.labels.dtype == np.int32
    assert [os.path.getsize(files.path(number)) for number in range(4)] == [1, 2, 3, 4]
    assert files.path(1) == os.path.join(files.root, "cat/\udcff.jpg") == files.path(np.int64(1))
    counts = files.class_counts()
    assert counts.tolist() == [2, 1, 1] and counts.dtype == np.int64
    empty = FileList.from_names("x", CLASSES, [])
    assert len(empty) == 0 and empty.class_counts().tolist() == [0, 0, 0]


def test_a_part_of_a_list_has_its_rows_in_order(files):
    part = files.take(np.array([3, 0, 3]))
    assert [part.path(number) for number in range(3)] == [files.path(number) for number in (3, 0, 3)]
    assert part.labels.tolist() == [2, 0, 2] and part.classes == CLASSES
    assert part.take(part.labels == 0).path(0) == files.path(0)
    assert files.take(np.array([3, 0])).take(np.array([1])).fingerprint() == files.take(np.array([0])).fingerprint()


def test_a_fingerprint_is_the_digest_of_names_sizes_and_labels(files):
    expected = hashlib.sha256(b"".join(name + b"\0" for name in NAMES))
    expected.update(np.array([1, 2, 3, 4], "<i8").tobytes() + np.array([0, 0, 1, 2], "<i4").tobytes())
    assert files.fingerprint() == expected.hexdigest()


def rename(folder):
    (folder / "train" / "cat" / "1.jpg").rename(folder / "train" / "cat" / "9.jpg")


def add(folder):
    (folder / "train" / "cat" / "9.jpg").write_bytes(b"x")


def move(folder):
    (folder / "train" / "cat" / "1.jpg").rename(folder / "train" / "dog" / "9.jpg")


def lengthen(folder):
    (folder / "train" / "cat" / "1.jpg").write_bytes(b"xy")


@pytest.mark.parametrize("change, counts", [(rename, [3, 3]), (add, [4, 3]), (move, [2, 4]), (lengthen, [3, 3])])
def test_a_changed_folder_has_another_fingerprint(tmp_path, change, counts):
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for number in range(3):
                (tmp_path / "pets" / split / name / f"{number}.jpg").write_bytes(b"x")
    before = open_image_folder(str(tmp_path / "pets")).train
    original = before.fingerprint()
    (tmp_path / "pets").rename(tmp_path / "moved")
    assert open_image_folder(str(tmp_path / "moved")).train.fingerprint() == original
    with pytest.raises(InputError, match="pets/train/cat/0.jpg: cannot be read .No such file or directory.$"):
        before.fingerprint()
    change(tmp_path / "moved")
    changed = open_image_folder(str(tmp_path / "moved")).train
    assert changed.fingerprint() != original and changed.class_counts().tolist() == counts


def traced(make):
    """Return what a function returns, the memory that this holds in bytes, and the most that was held meanwhile."""
    tracemalloc.start()
    made = make()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return made, held, peak


def test_a_list_of_100000_names_is_compact():
    """The names are 30 bytes each; begin, length and label are 16 more. As str, each name alone takes 79."""
    classes = tuple(f"n{number:08d}" for number in range(100))
    names = (([f"{name}/{name}_{row:05d}.JPEG".encode() for row in range(1000)], name) for name in classes)
    groups = ((group, classes.index(name)) for group, name in names)
    files, held, peak = traced(lambda: FileList.from_names("x", classes, groups))
    assert len(files) == 100000 and files.path(99999) == "x/n00000099/n00000099_00999.JPEG"
    assert held < 100000 * (30 + 16) + 200000 and peak < 1.5 * held
    part, held, _ = traced(lambda: files.take(np.random.default_rng(0).permutation(100000)))
    assert len(part) == 100000 and held < 100000 * 16 + 10000
