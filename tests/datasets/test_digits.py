"""Tests for the embedded handwritten digits."""

import os
import time

import numpy as np
import pytest

from resattnet.datasets import catalog, digits


@pytest.mark.parametrize("split, count", [("train", 1437), ("test", 360)])
def test_digits_shapes_and_types(split, count):
    images, labels, classes = catalog.load_images("digits", None, split)
    assert images.shape == (count, 32, 32, 3) and images.dtype == np.uint8 and images.flags.c_contiguous
    assert labels.shape == (count,) and labels.dtype == np.int32
    assert classes == tuple("0123456789") and set(labels) == set(range(10))
    assert images.min() == 0 and images.max() == 255
    assert (images[..., 0] == images[..., 1]).all() and (images[..., 0] == images[..., 2]).all()


def test_digits_statistics_are_those_of_train():
    pixels = catalog.load_images("digits", None, "train").images / 255.0
    data_set = catalog.describe_data("digits")
    np.testing.assert_allclose(pixels.mean((0, 1, 2)), data_set.mean, atol=5e-5)
    np.testing.assert_allclose(pixels.std((0, 1, 2)), data_set.std, atol=5e-5)


def test_digits_load_at_once():
    times = []
    for _ in range(3):
        start = time.process_time()
        catalog.load_images("digits", None, "train")
        times.append(time.process_time() - start)
    assert min(times) < 0.5


def test_digits_are_those_of_scikit_learn():
    source = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed").load_digits()
    with np.load(os.path.join(os.path.dirname(catalog.__file__), "digits.npz"), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["images"], source.images)
    labels = [catalog.load_images("digits", None, split).labels for split in ("train", "test")]
    np.testing.assert_array_equal(np.concatenate(labels), source.target)


def test_magnify_is_bilinear():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    coarse = np.random.RandomState(0).randint(0, 17, (5, 8, 8), dtype=np.uint8)
    ours = digits.magnify(coarse, 32).astype(int)
    for grid, fine in zip(coarse, ours):
        theirs = image.fromarray(grid.astype(np.float32) * 255 / 16).resize((32, 32), image.BILINEAR)
        assert np.abs(np.asarray(theirs) - fine).max() < 0.51
    assert (digits.magnify(np.full((1, 8, 8), 16, np.uint8), 32) == 255).all()
