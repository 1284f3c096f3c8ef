"""Test that records which MXNet writes are read as files are, and that what does not fit is named in one line."""

import os
import struct
import subprocess
import sys

import numpy as np
import pytest

from helpers.scripts import script
from resattnet.folders.image_sources import open_images
from resattnet.folders.record_lists import open_records
from resattnet.machine.mxnet import mx
from resattnet.system.errors import InputError

MAGIC = struct.pack("<I", 0xCED7230A)


def write_records(path, images, index=True, listed=None):
    """Write (label, bytes) pairs by MXNet, and if asked its list: the folder of each label."""
    writer = mx.recordio.MXIndexedRecordIO(str(path)[:-4] + ".idx", str(path), "w")
    for number, (label, data) in enumerate(images):
        writer.write_idx(number, mx.recordio.pack(mx.recordio.IRHeader(0, label, number, 0), data))
    writer.close()
    if not index:
        os.remove(str(path)[:-4] + ".idx")
    if listed:
        lines = (f"{number}\t{label:f}\t{listed[label]}/{number}.jpg\n" for number, (label, _) in enumerate(images))
        path.with_suffix(".lst").write_text("".join(lines))
    return path


def contents(count=12, classes=3):
    """Return (label, bytes) pairs; some bytes have the number that divides records, at every alignment."""
    rng = np.random.default_rng(0)
    images = []
    for number in range(count):
        data = rng.bytes(int(rng.integers(1, 60)))
        images.append((number % classes, data + MAGIC * (number % 3) + rng.bytes(number % 4) + MAGIC))
    return images


def error(folder, **options):
    """Return the line that refuses a folder, without its path."""
    with pytest.raises(InputError) as caught:
        open_images(str(folder), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(folder), "sets")


@pytest.mark.parametrize("index, listed", [(True, "abc"), (True, None), (False, None), (False, "abc")])
def test_records_are_read_with_or_without_index_and_list(tmp_path, index, listed):
    images = contents()
    records = open_records(str(write_records(tmp_path / "train.rec", images, index, listed))).listed(("a", "b", "c"))
    assert records.labels.tolist() == [label for label, _ in images]
    assert [records.read(number) for number in range(len(records))] == [data for _, data in images]
    rows = np.array([7, 2])
    assert [records.take(rows).read(place) for place in (0, 1)] == [images[row][1] for row in rows]
    assert records.class_counts().tolist() == [4, 4, 4]


def test_records_of_several_processes(tmp_path):
    images = contents(40)
    records = open_records(str(write_records(tmp_path / "train.rec", images))).listed(("a", "b", "c"))
    parent, child = os.pipe()
    pid = os.fork()
    if not pid:
        right = all(records.read(number) == images[number][1] for number in reversed(range(40)))
        os.write(child, b"1" if right else b"0")
        os._exit(0)
    assert all(records.read(number) == images[number][1] for number in range(40))
    os.waitpid(pid, 0)
    assert os.read(parent, 1) == b"1"


def test_a_label_beside_the_header(tmp_path):
    writer = mx.recordio.MXRecordIO(str(tmp_path / "train.rec"), "w")
    for label in (1.0, 0.0):
        writer.write(mx.recordio.pack(mx.recordio.IRHeader(0, np.array([label], np.float32), 0, 0), b"image"))
    writer.close()
    records = open_records(str(tmp_path / "train.rec")).listed(("a", "b"))
    assert records.labels.tolist() == [1, 0] and records.read(0) == b"image"


def test_splits_and_names_of_the_classes(tmp_path):
    write_records(tmp_path / "pets_train.rec", contents(), listed=("cat", "dog", "owl"))
    write_records(tmp_path / "pets_val.rec", contents(6))
    found = open_images(str(tmp_path))
    assert (len(found.train), len(found.validation)) == (12, 6)
    assert found.train.classes == found.validation.classes == ("cat", "dog", "owl")
    names = tmp_path / "names.txt"
    names.write_text("Cat\nDog\nOwl\n")
    assert open_images(str(tmp_path), class_names=str(names)).train.classes == ("Cat", "Dog", "Owl")
    os.remove(tmp_path / "pets_train.lst")
    assert open_images(str(tmp_path)).train.classes == ("0", "1", "2")
    assert open_images(str(tmp_path), class_names=str(names)).train.classes == ("Cat", "Dog", "Owl")


def test_a_fraction_of_one_file(tmp_path):
    write_records(tmp_path / "all.rec", contents(30))
    found = open_images(str(tmp_path), val_fraction=0.2)
    assert found.train.class_counts().tolist() == [8, 8, 8] and found.validation.class_counts().tolist() == [2, 2, 2]
    together = [files.read(row) for files in found[:2] for row in range(len(files))]
    assert sorted(together) == sorted(data for _, data in contents(30))
    assert open_images(str(tmp_path), val_fraction=0.2).train.fingerprint() == found.train.fingerprint()
    assert open_images(str(tmp_path), val_fraction=0.2, seed=1).train.fingerprint() != found.train.fingerprint()


def test_folders_of_files_come_first_and_either_can_be_chosen(tmp_path):
    write_records(tmp_path / "train.rec", contents())
    for name in ("cat", "dog"):
        for split in ("train", "val"):
            os.makedirs(tmp_path / split / name)
            (tmp_path / split / name / "1.jpg").write_bytes(b"")
    write_records(tmp_path / "val.rec", contents())
    assert len(open_images(str(tmp_path)).train) == 2
    assert len(open_images(str(tmp_path), data_format="rec").train) == 12


def test_the_names_that_make_records_describes(tmp_path):
    done = script("make_records.py", "--dataset", "digits", "--output-dir", tmp_path)
    assert done.returncode == 0, done
    found = open_images(str(tmp_path))
    assert found.train.classes == tuple("0123456789") and len(found.validation) == 360


FAULTS = {
    "no validation": (
        lambda folder: os.remove(folder / "val.rec"),
        {},
        "data_dir=sets: has no val.rec or NAME_val.rec: name the record file by val_split, or give "
        "val_fraction=0.1 to take images from the training images",
    ),
    "another name": (
        lambda folder: None,
        {"train_split": "trian"},
        "train_split=trian: sets has no such record file: it has train.rec, val.rec",
    ),
    "two files": (
        lambda folder: write_records(folder / "b_train.rec", contents()),
        {},
        "data_dir=sets: has b_train.rec, train.rec: name the record file by train_split",
    ),
    "a label too high": (
        lambda folder: write_records(folder / "val.rec", contents(8, 4)),
        {},
        "sets/val.rec: has the label 3, sets/train.rec has labels up to 2",
    ),
    "an empty class": (
        lambda folder: write_records(folder / "train.rec", [(0, b"x"), (2, b"x")]),
        {},
        "sets/train.rec: no images of the class 1",
    ),
    "one class": (
        lambda folder: write_records(folder / "train.rec", [(0, b"x")]),
        {},
        "sets/train.rec: only one class (label 0): training needs two or more",
    ),
    "a label that is no number of a class": (
        lambda folder: write_records(folder / "train.rec", [(0, b"x"), (0.5, b"x")]),
        {},
        "sets/train.rec: the record at byte 36 has the label 0.5: labels are whole numbers from 0",
    ),
    "a truncated file": (
        lambda folder: os.truncate(folder / "train.rec", 300),
        {},
        "sets/train.idx: points to byte",
    ),
    "the index of another file": (
        lambda folder: (folder / "train.idx").write_text("0\t4\n1\t8\n"),
        {},
        "sets/train.rec, record at byte 4: there is no record: the file is damaged, or its index is of another file",
    ),
    "a broken index": (
        lambda folder: (folder / "train.idx").write_text("0\tx\n"),
        {},
        "sets/train.idx: not a complete index",
    ),
    "a list of another file": (
        lambda folder: (folder / "train.lst").write_text("0\t1.0\ta/b.jpg\n"),
        {},
        "sets/train.lst: has no label of 11 records, such as 1, 2, 3, and 1 more: it is of another file",
    ),
    "a list of boxes": (
        lambda folder: (folder / "train.lst").write_text("0\t1.0\t0.5\t0.5\ta/b.jpg\n"),
        {},
        "sets/train.lst: image 0 has 3 labels: give records of one label each",
    ),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_faults_are_one_line(tmp_path, fault):
    write_records(tmp_path / "train.rec", contents())
    write_records(tmp_path / "val.rec", contents(6))
    change, options, line = FAULTS[fault]
    change(tmp_path)
    assert error(tmp_path, **options).startswith(line)


def test_the_path_of_a_record_file_names_its_folder(tmp_path):
    path = write_records(tmp_path / "train.rec", contents())
    assert error(path).endswith(f"is a file: give data_dir={tmp_path} and train_split=train.rec")


def test_a_record_that_has_changed_is_named_when_it_is_read(tmp_path):
    path = write_records(tmp_path / "train.rec", contents(), listed="abc")
    lines = path.with_suffix(".lst").read_text().replace("1.000000", "2.000000")
    path.with_suffix(".lst").write_text(lines)
    records = open_records(str(path)).listed(("a", "b", "c"))
    with pytest.raises(ValueError, match="its label is 1, the list beside the file says 2"):
        records.read(1)


def test_files_of_im2rec(tmp_path):
    """MXNet's own program writes the files, from its own list."""
    pytest.importorskip("cv2", reason="im2rec needs OpenCV", exc_type=ImportError)
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        os.makedirs(tmp_path / "images" / name)
        for number in range(4):
            pixels = rng.integers(0, 255, (20, 30, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.jpg")
    im2rec = os.path.join(os.path.dirname(mx.__file__), "tools", "im2rec.py")
    prefix = str(tmp_path / "sets" / "pets")
    os.makedirs(tmp_path / "sets")
    for options in (["--list", "--recursive", "--train-ratio", "0.5"], ["--pass-through"]):
        program = f"import resattnet.machine.mxnet, runpy; runpy.run_path({im2rec!r}, run_name='__main__')"
        command = [sys.executable, "-c", program, *options, prefix, str(tmp_path / "images")]
        subprocess.run(command, check=True, capture_output=True)
    found = open_images(str(tmp_path / "sets"))
    assert (len(found.train), len(found.validation)) == (4, 4) and found.train.classes == ("cat", "dog")
    written = {path.read_bytes() for path in (tmp_path / "images").glob("*/*.jpg")}
    assert {files.read(row) for files in found[:2] for row in range(4)} == written
