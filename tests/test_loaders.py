"""Loaders: the same batches whatever makes them, every sample counted."""
import numpy as np
import pytest

from resattnet.augment import Transform
from resattnet.datasets import ImageSet
from resattnet.errors import InputError
from resattnet.loaders import ArrayLoader

TRANSFORM = Transform((0.5,) * 3, (0.25,) * 3, 103, pad=1, flip=True, alpha=1.0, seed=3)


@pytest.fixture(scope="module")
def image_set():
    """103 images, each of its own colour and class."""
    images = np.arange(103, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 4, 4, 3), np.uint8)
    return ImageSet(images, np.arange(103, dtype=np.int32), tuple(map(str, range(103))))


def epoch(loader, number, start=0):
    return list(loader.epoch(number, start))


def test_shuffled_epochs_have_full_batches_and_no_sample_twice(image_set):
    loader = ArrayLoader(image_set, TRANSFORM._replace(alpha=0.0), 10, shuffle_seed=1)
    assert len(loader) == 10 and loader.samples == 100
    batches = epoch(loader, 0)
    assert [len(labels) for _, labels in batches] == [10] * 10
    labels = np.concatenate([labels for _, labels in batches])
    assert len(set(labels)) == 100 and (np.sort(labels) != labels).any()
    assert (np.concatenate([labels for _, labels in epoch(loader, 1)]) != labels).any()


def test_unshuffled_loader_gives_every_sample_once_in_order(image_set):
    loader = ArrayLoader(image_set, Transform((0.5,) * 3, (0.25,) * 3, 103), 10)
    assert len(loader) == 11 and loader.samples == 103
    assert (np.concatenate([labels for _, labels in loader]) == np.arange(103)).all()


def test_workers_make_the_same_batches(image_set):
    loaders = [ArrayLoader(image_set, TRANSFORM, 10, shuffle_seed=1, workers=workers) for workers in (0, 4)]
    for number in (0, 5):
        for (images, labels), (others, other_labels) in zip(*(epoch(loader, number) for loader in loaders)):
            assert (images == others).all() and (labels == other_labels).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_can_be_entered_at_any_batch(image_set, workers):
    loader = ArrayLoader(image_set, TRANSFORM, 10, shuffle_seed=1, workers=workers)
    whole, rest = epoch(loader, 2), epoch(loader, 2, start=7)
    assert len(rest) == 3
    assert all((a[0] == b[0]).all() and (a[1] == b[1]).all() for a, b in zip(whole[7:], rest))


def test_a_batch_larger_than_the_data_set_is_refused(image_set):
    with pytest.raises(InputError, match="a batch of 200 is larger than the data set of 103 images"):
        ArrayLoader(image_set, TRANSFORM, 200, shuffle_seed=1)
