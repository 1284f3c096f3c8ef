"""Test that DALI makes the batches of a `StreamLoader` from image files, and that what it cannot read is read too."""

import os

import numpy as np
import pytest
from PIL import Image

from resattnet.data.file_images import FileImages, RandomResizedCrop
from resattnet.data.geometry import Geometry
from resattnet.data.transforms import Transform
from resattnet.folders.image_folders import open_image_folder
from resattnet.loaders.dali_crops import DaliCropLoader
from resattnet.loaders.stream_loader import StreamLoader
from resattnet.system.errors import InputError, handle_remarks
from resattnet.system.world import ALONE, World

SIZE = (32, 48)


@pytest.fixture(autouse=True)
def dali():
    pytest.importorskip("nvidia.dali", reason="NVIDIA DALI is not installed: pip install -e '.[dali]'")


@pytest.fixture
def folder(tmp_path):
    """Write 22 smooth images of several sizes and formats; two are turned, one is grey."""
    rng = np.random.default_rng(0)
    for number in range(22):
        path = tmp_path / "ab"[number % 2]
        path.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)
        image = Image.fromarray(pixels).resize([(90, 60), (60, 90), (200, 151)][number % 3], Image.BICUBIC)
        exif = Image.Exif()
        exif[0x0112] = 6 if number in (3, 8) else 1
        if number == 5:
            image = image.convert("L")
        if number in (4, 7):
            image.save(path / f"{number:02d}.png")
        else:
            image.save(path / f"{number:02d}.jpg", quality=95, exif=exif)
    return tmp_path


def loaders(folder, skip_broken=False, world=ALONE):
    files = open_image_folder(str(folder), val_fraction=0.1).train
    transform = Transform((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), 2, flip=True, alpha=0.2, seed=5)
    arguments = (FileImages(files, SIZE, Geometry("crop", "bilinear", 0.875)), files.labels, transform, 8)
    more = dict(smallest=4, skip_broken=skip_broken, world=world)
    crop = RandomResizedCrop((0.3, 1.0))
    return StreamLoader(*arguments, crop, 7, **more), DaliCropLoader(*arguments, crop, 7, threads=2, **more)


def assert_alike(own, other):
    assert len(own) == len(other)
    for (images, labels), (by_dali, same_labels) in zip(own, other):
        np.testing.assert_array_equal(labels, same_labels)
        assert images.shape == by_dali.shape and images.dtype == by_dali.dtype
        assert 255 * 0.25 * np.abs(images - by_dali).mean() < 5  # steps of grey; other parts of the images give 60


def test_the_batches_are_those_of_the_stream_but_for_rounding(folder):
    stream, dali = loaders(folder)
    assert (len(dali), dali.samples) == (len(stream), stream.samples) == (3, 20)
    said = []
    with handle_remarks(said.append):
        for epoch in (0, 1):
            assert_alike(list(stream.epoch(epoch)), list(dali.epoch(epoch)))
    assert not said  # DALI has made them all


@pytest.mark.parametrize("rank", [0, 1])
def test_each_process_has_its_part(folder, rank):
    stream, dali = loaders(folder, world=World(rank, 2))
    assert dali.samples == stream.samples == 10
    assert_alike(list(stream.epoch(1)), list(dali.epoch(1)))


def test_an_epoch_is_resumed_within(folder):
    whole = list(loaders(folder)[1].epoch(3))
    rest = list(loaders(folder)[1].epoch(3, start=1))
    for (images, labels), (again, same) in zip(whole[1:], rest):
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(labels, same)
    assert len(rest) == 2


def test_a_broken_file_is_named_or_left_out(folder):
    path = os.path.join(str(folder), "a", "00.jpg")
    with open(path, "r+b") as file:
        file.seek(300)
        file.truncate()
    with pytest.raises(InputError, match=r"00\.jpg: not an image that can be read"):
        list(loaders(folder)[1].epoch(0))
    said = []
    with handle_remarks(lambda remark: said.append(str(remark))), pytest.raises(InputError, match="1 of 20 files"):
        list(loaders(folder, skip_broken=True)[1].epoch(0))  # one of twenty is more than 1 %
    assert len(said) == 1 and "left out" in said[0] and "00.jpg" in said[0]
