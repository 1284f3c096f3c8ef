"""Test that class folders are read completely: what is used, what is left out and said, and what is refused."""

import os

import numpy as np
import pytest
from PIL import Image

from helpers.scripts import refused, script
from resattnet.data.image_files import read_image
from resattnet.data.image_paths import find_images
from resattnet.datasets import folders
from resattnet.system.errors import InputError, Remark, handle_remarks

COLOURS = {"red": (200, 0, 0), "blue": (0, 0, 200)}


def save(path, colour=(0, 0, 0), size=(9, 7), **settings):
    os.makedirs(os.path.dirname(str(path)), exist_ok=True)
    Image.new("RGB", size, colour).save(str(path), **settings)


@pytest.fixture
def pets(tmp_path):
    """Write two classes of three training images and a test image each."""
    for name, colour in COLOURS.items():
        for split, count in (("train", 3), ("test", 1)):
            for number in range(count):
                save(tmp_path / split / name / f"{number}.png", colour)
    return tmp_path


def read(folder, **settings):
    """Return both splits of a folder, and the remarks on it without the path of the folder."""
    said = []
    with handle_remarks(lambda remark: said.append(str(remark).replace(str(folder), "pets"))):
        sets = folders.read_folder(str(folder), **settings)
    for image_set in sets.values():
        expected = np.array([COLOURS[image_set.classes[label]] for label in image_set.labels])
        assert np.abs(image_set.images[:, 0, 0].astype(int) - expected).max() < 3
    return sets, said


def counts(sets):
    return {split: np.bincount(image_set.labels, minlength=2).tolist() for split, image_set in sets.items()}


@pytest.mark.parametrize("ending, kind", [(".jfif", "JPEG"), (".jpe", "JPEG"), (".JPG", "JPEG"), (".jp2", "JPEG2000")])
def test_images_of_rare_endings_are_used(pets, ending, kind):
    save(pets / "train" / "red" / f"more{ending}", COLOURS["red"], format=kind)
    sets, said = read(pets)
    assert counts(sets)["train"] == [3, 4] and not said


def test_images_in_sub_folders_of_a_class_are_used(pets):
    save(pets / "train" / "red" / "extra" / "more" / "4.png", COLOURS["red"])
    save(pets / "train" / "red" / ".hidden" / "5.png", COLOURS["red"])
    assert counts(read(pets)[0]) == {"train": [3, 4], "test": [1, 1]}


def test_a_linked_class_is_used_and_a_link_to_a_folder_above_ends(pets, tmp_path):
    os.rename(str(pets / "train" / "red"), str(tmp_path / "elsewhere"))
    os.symlink(str(tmp_path / "elsewhere"), str(pets / "train" / "red"))
    os.symlink(str(pets / "train" / "blue"), str(pets / "train" / "blue" / "again"))
    assert counts(read(pets)[0])["train"] == [3, 3]
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere")
    assert [os.path.basename(path) for path in find_images([str(tmp_path / "linked")])] == ["0.png", "1.png", "2.png"]


def test_other_files_are_left_out_with_their_number(pets):
    for name in ("notes.txt", "more.TXT", "README"):
        (pets / "train" / "red" / name).write_text("x")
    save(pets / "train" / "beside.png")
    sets, said = read(pets)
    assert counts(sets)["train"] == [3, 3] and said == [
        "pets/train: 1 image beside the folders of the classes left out",
        "pets/train: 3 files that cannot be read as images left out: 1 without extension, 2 .txt",
    ]


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_names_of_the_test_split(pets, name):
    (pets / "test").rename(pets / name)
    assert counts(read(pets)[0])["test"] == [1, 1]


@pytest.mark.parametrize("unlabelled", ["test/0.png", "test/images/0.png"])
def test_a_test_folder_without_labels_leaves_the_split_to_val(pets, unlabelled):
    (pets / "test").rename(pets / "val")
    save(pets / unlabelled)
    sets, said = read(pets)
    assert counts(sets)["test"] == [1, 1]
    assert said == ["pets/test has no folders of the classes: val/ is the test split"]


def test_of_two_test_folders_the_one_that_is_not_read_is_named(pets):
    save(pets / "val" / "red" / "0.png", COLOURS["red"])
    assert read(pets)[1] == ["pets: test/ is the test split; val/ is not read"]


def test_all_broken_images_are_named_or_skipped(pets):
    for name in ("8.png", "9.png"):
        (pets / "train" / "red" / name).write_bytes(b"\x89PNG broken")
    with pytest.raises(InputError, match=r"^2 images cannot be used: .*/8.png: .*/9.png: .* give skip_broken=True$"):
        folders.read_folder(str(pets))
    sets, said = read(pets, skip_broken=True)
    assert counts(sets)["train"] == [3, 3] and said[0].startswith(
        "2 images left out: pets/train/red/8.png: not an image"
    )


def test_more_broken_images_than_a_line_holds(pets):
    for number in range(folders.NAMED + 3):
        (pets / "train" / "red" / f"x{number}.png").write_bytes(b"")
    with pytest.raises(InputError, match="^23 images cannot be used: .*; and 3 more; repair or remove them"):
        folders.read_folder(str(pets))


def test_a_class_without_a_readable_image_is_refused(pets):
    for number in range(3):
        (pets / "train" / "red" / f"{number}.png").write_bytes(b"")
    with pytest.raises(InputError, match="no image of the class red could be read for training"):
        read(pets, skip_broken=True)


def test_the_command_skips_and_says_so(pets):
    (pets / "train" / "red" / "9.png").write_bytes(b"")
    line = refused(script("make_records.py", "--images", ".", "--name", "pets", cwd=str(pets)))
    assert "train/red/9.png: not an image" in line and "give --skip-broken 1" in line
    done = script("make_records.py", "--images", ".", "--name", "pets", "--skip-broken", 1, cwd=str(pets))
    assert done.returncode == 0 and "make_records.py: note: 1 image left out: ./train/red/9.png" in done.stderr


def test_broken_metadata_is_ignored_and_said(tmp_path, monkeypatch):
    """A date that is a number: Pillow reads the orientation, but cannot write the metadata of the turned image."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = str(tmp_path / "turned.jpg")
    Image.new("RGB", (12, 8), (9, 9, 9)).save(path, exif=exif)

    def fail(*args, **kwargs):
        raise TypeError("a bytes-like object is required, not 'int'")

    monkeypatch.setattr("resattnet.data.image_files.ImageOps.exif_transpose", fail)
    with pytest.warns(Remark, match="turned.jpg: its EXIF metadata is broken: only the orientation in it is used"):
        assert read_image(path).size == (8, 12)
    monkeypatch.setattr(Image.Image, "getexif", fail)
    with pytest.warns(Remark, match="turned.jpg: its EXIF metadata is broken: it is ignored"):
        assert read_image(path).size == (12, 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_those_of_pillow(orientation, tmp_path, monkeypatch):
    exif, path = Image.Exif(), str(tmp_path / "x.png")
    exif[0x0112] = orientation
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8)).save(path, exif=exif)
    expected = np.asarray(read_image(path))
    monkeypatch.setattr("resattnet.data.image_files.ImageOps.exif_transpose", None)
    with pytest.warns(Remark):
        assert np.array_equal(np.asarray(read_image(path)), expected)
