"""Tests for batches of image files: what is read, its determinism, and broken files."""

import io
import os
import sys

import numpy as np
import pytest
from PIL import Image

from resattnet.data import decoding
from resattnet.data.file_images import FileImages, RandomResizedCrop
from resattnet.data.geometry import Geometry
from resattnet.data.image_files import read_image
from resattnet.data.transforms import Transform
from resattnet.loaders.shared_slots import SharedSlots
from resattnet.loaders.stream_loader import StreamLoader
from resattnet.system.errors import InputError, Remark
from resattnet.system.input_files import read_bytes
from resattnet.system.world import World

GEOMETRY = Geometry("crop", "bilinear", 0.875)
PLAIN = Transform((0.5,) * 3, (0.25,) * 3, 4, seed=3)


class FileNames(list):
    """A list of paths, as a `FileList` is one."""

    def path(self, number):
        return self[number]

    def read(self, number):
        return read_bytes(self[number])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """JPEG files of several shapes, EXIF orientations and modes, and other formats."""
    folder, rng, names = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0), FileNames()
    for number in range(24):
        height, width = [(90, 120), (120, 80), (61, 61)][number % 3]
        grid = np.add.outer(np.sin(np.arange(height) / 9 + number), np.cos(np.arange(width) / 7))
        pixels = np.stack([grid * 60 + 128, grid.max() - grid * 40 + 90, rng.random((height, width)) * 40 + 100], -1)
        image, exif = Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), Image.Exif()
        if number % 4 == 1:
            exif[0x0112] = 1 + number % 8
        if number % 7 == 3:
            image = image.convert(["L", "CMYK"][number % 2])
        name = str(folder / f"{number}.{'png' if number % 9 == 5 and image.mode == 'RGB' else 'jpg'}")
        image.save(name, **({} if name.endswith("png") else {"quality": 90, "exif": exif}))
        names.append(name)
    return names


def loader(files, **more):
    labels = (np.arange(len(files)) % 4).astype(np.int32)
    settings = dict(batch_size=8, crop=RandomResizedCrop(), shuffle_seed=3)
    return StreamLoader(FileImages(files, (32, 40), GEOMETRY), labels, PLAIN, **dict(settings, **more))


def test_an_image_is_read_as_prediction_reads_it(files):
    images = FileImages(files, (32, 40), GEOMETRY)
    assert images.shape == (24, 32, 40, 3) and len(images) == 24
    for number, path in enumerate(files):
        np.testing.assert_array_equal(images[number], np.asarray(GEOMETRY.apply(read_image(path), (32, 40))))
    np.testing.assert_array_equal(images[np.array([5, 2])], np.stack([images[5], images[2]]))
    np.testing.assert_array_equal(images[3:5], np.stack([images[3], images[4]]))


def test_an_image_is_the_same_whatever_decodes_it(files, monkeypatch):
    fast = FileImages(files, (32, 40), GEOMETRY)[:]
    monkeypatch.setattr(decoding, "load_simplejpeg", lambda: None)
    np.testing.assert_array_equal(FileImages(files, (32, 40), GEOMETRY)[:], fast)


@pytest.mark.parametrize("missing", [("load_simplejpeg",), ("load_opencv",), ("load_simplejpeg", "load_opencv")])
def test_the_quick_way_takes_the_same_part_whatever_decodes(files, missing, monkeypatch):
    images, crop = FileImages(files, (24, 24), GEOMETRY), RandomResizedCrop((0.5, 1.0))
    draws = crop.draw(len(files), np.random.default_rng(1))
    here = np.stack([crop.read(images, number, draws[number]) for number in range(len(files))]).astype(float)
    for name in missing:
        monkeypatch.setattr(decoding, name, lambda: None)
    there = np.stack([crop.read(images, number, draws[number]) for number in range(len(files))]).astype(float)
    differences = abs(here - there).mean(axis=(1, 2, 3))
    assert differences.max() < 12 and differences.mean() < 6
    shifted = abs(here[:, :, 1:] - there[:, :, :-1]).mean(axis=(1, 2, 3))  # the noise in one channel sets the scale
    assert (shifted > differences).mean() > 0.9


def test_a_large_jpeg_is_reduced_while_it_is_decoded():
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8))
    data = io.BytesIO()
    large.save(data, "JPEG")
    decoded, box = decoding._decode(data.getvalue(), lambda width, height: (100.0, 40.0, 500.0, 360.0), (64, 64))
    assert decoding._height_and_width(decoded) == (100, 150) and box == (25.0, 10.0, 125.0, 90.0)


def test_crops_have_the_areas_and_proportions_of_their_definition():
    crop = RandomResizedCrop()
    draws = crop.draw(20000, np.random.default_rng(0))
    boxes = np.array([crop.box(500, 375, row) for row in draws])
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= 500).all() and (boxes[:, 3] <= 375).all()
    areas, ratios = widths * heights / (500 * 375), widths / heights
    assert 0.075 < areas.min() < 0.09 and 0.72 < ratios.min() < 0.76 and 1.31 < ratios.max() < 1.36
    # Those that fit at the first try are uniform; the area of the others is smaller. So says a second implementation.
    rng, expected = np.random.default_rng(1), []
    while len(expected) < 20000:
        area, ratio = 500 * 375 * rng.uniform(0.08, 1), np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        if round((area * ratio) ** 0.5) <= 500 and round((area / ratio) ** 0.5) <= 375:
            expected.append(area / (500 * 375))
    assert abs(areas.mean() - np.mean(expected)) < 0.005
    assert RandomResizedCrop((1.0, 1.0)).box(1000, 20, draws[0]) == (490.0, 0.0, 510.0, 20.0)


def test_batches_do_not_depend_on_the_workers_or_on_what_was_read_before(files):
    alone, together = loader(files), loader(files, workers=2)
    for epoch in (0, 3):
        first, second = list(alone.epoch(epoch)), list(together.epoch(epoch))
        assert len(first) == len(second) == 3
        for ours, theirs in zip(first, second):
            np.testing.assert_array_equal(ours[0], theirs[0])
            np.testing.assert_array_equal(ours[1], theirs[1])
        for ours, theirs in zip(first[2:], alone.epoch(epoch, start=2)):
            np.testing.assert_array_equal(ours[0], theirs[0])
    assert (next(alone.epoch(0))[0] != next(alone.epoch(1))[0]).any()


def test_processes_share_the_batches_of_an_epoch(files):
    parts = [loader(files, batch_size=4, world=World(rank, 2)) for rank in range(2)]
    shared = [batch for pair in zip(*(part.epoch(1) for part in parts)) for batch in pair]
    for ours, theirs in zip(shared, loader(files, batch_size=4).epoch(1)):
        np.testing.assert_array_equal(ours[0], theirs[0])


def test_resume_reads_no_file_of_the_batches_before(files, tmp_path):
    rows = loader(files).sampler.rows(0, 2)
    names = FileNames(path if number in rows else str(tmp_path / "gone.jpg") for number, path in enumerate(files))
    for ours, theirs in zip(loader(names).epoch(0, start=2), loader(files).epoch(0, start=2)):
        np.testing.assert_array_equal(ours[0], theirs[0])
    with pytest.raises(InputError, match="gone.jpg: cannot be read"):
        next(loader(names).epoch(0))


def broken_copy(files, tmp_path, count, total=None):
    names = FileNames(files * -(-(total or len(files)) // len(files)))[: total or len(files)]
    names = FileNames(names)
    for number in range(count):
        path = tmp_path / f"broken{number}.jpg"
        with open(files[number], "rb") as file:
            path.write_bytes(file.read()[:700])
        names[number] = str(path)
    return names


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_file_is_named_and_ends_the_epoch(files, tmp_path, workers):
    names = broken_copy(files, tmp_path, 2)
    with pytest.raises(InputError) as caught:
        list(loader(names, batch_size=24, workers=workers).epoch(0))
    message = str(caught.value)
    assert all(os.path.basename(name) in message for name in names[:2]) and "skip_broken=True" in message
    assert "\n" not in message


@pytest.mark.parametrize("workers", [0, 2])
def test_skip_broken_replaces_training_images_and_leaves_validation_images_out(files, tmp_path, workers):
    names = broken_copy(files, tmp_path, 2, total=240)
    train = loader(names, skip_broken=True, workers=workers)
    with pytest.warns(Remark) as remarks:
        batches = list(train.epoch(0))
        again = list(train.epoch(0))
    assert [len(labels) for _, labels in batches] == [8] * 30
    for ours, theirs in zip(batches, again):
        np.testing.assert_array_equal(ours[0], theirs[0])
    said = [str(one.message) for one in remarks if issubclass(one.category, Remark)]
    assert len(said) == 2 and any("broken0.jpg" in line for line in said) and "2 of 240" in said[1]
    with pytest.warns(Remark):
        kept = [labels for _, labels in loader(names, crop=None, shuffle_seed=None, skip_broken=True).epoch(0)]
    assert sum(map(len, kept)) == 238


def test_more_than_one_percent_of_broken_files_end_the_run(files, tmp_path):
    names = broken_copy(files, tmp_path, 3, total=240)
    with pytest.warns(Remark), pytest.raises(InputError, match="3 of 240 files cannot be read, more than 1%"):
        list(loader(names, skip_broken=True).epoch(0))


def test_a_slot_carries_arrays_and_what_does_not_fit_goes_through_the_pipe():
    slots = SharedSlots(1, 1000)
    small, large = np.arange(10, dtype=np.int32), np.zeros(100_000)
    slot = slots.reserve()
    assert slots.reserve() is None
    answer = slots.put(slot, (small, large, ("text",)))
    assert answer.value[0] is not small and answer.value[1] is large
    taken = slots.take(answer)
    np.testing.assert_array_equal(taken[0], small)
    assert taken[1] is large and taken[2] == ("text",)
    assert slots.reserve() == slot
    taken[0][:] = 7  # its own memory
    np.testing.assert_array_equal(slots.take(answer)[0], small)


@pytest.mark.parametrize(
    "content, fault",
    [
        (
            "raise ImportError('libGL.so.1: cannot open shared object file')",
            "libGL.so.1: cannot open shared object file",
        ),
        ("", "its folder is incomplete: two of its packages were installed into one folder"),
    ],
)
def test_an_opencv_that_cannot_be_imported_is_named_and_done_without(files, tmp_path, monkeypatch, content, fault):
    (tmp_path / "cv2.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    decoding.load_opencv.cache_clear()
    try:
        (line,) = [line for line in decoding.missing_packages() if "OpenCV" in line]
        assert line.startswith(f"OpenCV cannot be imported ({fault}): Pillow scales") and "\n" not in line
        ((images, _),) = list(loader(files, batch_size=24))
        assert images.shape == (24, 3, 32, 40)
    finally:
        sys.modules.pop("cv2", None)
        decoding.load_opencv.cache_clear()


def test_a_file_of_another_kind_is_named_once(files, tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("no image")
    with pytest.raises(InputError) as caught:
        FileImages(FileNames([str(path)]), (32, 40), GEOMETRY).read(0)
    assert str(caught.value) == f"{path}: not an image that can be read (its format is not known)"
    with pytest.raises(InputError) as caught:
        read_image(str(path))
    assert str(caught.value) == f"{path}: not an image that can be read (its format is not known)"
