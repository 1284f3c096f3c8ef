"""Tests for the balanced sampler: class frequencies, the same rows for the same seed, shards, workers, resuming."""

import numpy as np
import pytest

from resattnet.data.image_set import ImageSet
from resattnet.data.transforms import Transform
from resattnet.loaders.array_loader import ArrayLoader
from resattnet.loaders.samplers import SAMPLERS, balanced_rows
from resattnet.run_options.options import TrainingOptions
from resattnet.system.world import ALONE, World

COUNTS = (60, 3, 0, 25, 12)  # the third class has no images
PLAIN = Transform((0.5,) * 3, (0.25,) * 3, len(COUNTS))


@pytest.fixture(scope="module")
def image_set():
    """Return 100 images, each of its own colour; the classes are mixed."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(COUNTS)), COUNTS)).astype(np.int32)
    images = np.arange(100, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 4, 4, 3), np.uint8)
    return ImageSet(images, labels, tuple("abcde"))


def rows(images):
    """Return the number of each image, from its colour as `PLAIN` normalises it."""
    return np.rint((images[:, 0, 0, 0] * 0.25 + 0.5) * 255).astype(int)


def loader(image_set, workers=0, world=ALONE, sampler="balanced"):
    return ArrayLoader(image_set, PLAIN, 8, 1, workers, world, sampler=sampler)


def test_the_option_names_the_samplers():
    choices = TrainingOptions.__dataclass_fields__["sampler"].metadata["choices"]
    assert set(choices) == set(SAMPLERS) and TrainingOptions.sampler == "shuffled"


@pytest.mark.parametrize("seed", range(5))
def test_an_epoch_has_as_many_images_of_each_class(image_set, seed):
    drawn = balanced_rows(image_set.labels, np.random.default_rng(seed))
    assert len(drawn) == 100
    assert np.bincount(image_set.labels[drawn], minlength=5).tolist() == [25, 25, 0, 25, 25]
    times = np.bincount(drawn, minlength=100)
    for label, count in enumerate(COUNTS):
        own = times[image_set.labels == label]
        assert not count or own.max() - own.min() <= 1
        assert set(own) <= {25 // max(count, 1), -(-25 // max(count, 1))}


def test_the_rest_of_an_uneven_division_goes_to_classes_at_random():
    labels, found = np.repeat([0, 1, 2], (5, 2, 4)), []
    for seed in range(300):
        counts = np.bincount(labels[balanced_rows(labels, np.random.default_rng(seed))], minlength=3)
        assert sorted(counts) == [3, 4, 4]
        found.append(counts)
    assert np.abs(np.mean(found, axis=0) - 11 / 3).max() < 0.1


def test_every_image_of_a_frequent_class_is_drawn_in_some_epoch(image_set):
    times = sum(
        np.bincount(balanced_rows(image_set.labels, np.random.default_rng((1, epoch))), minlength=100)
        for epoch in range(40)
    )
    # 60 images share 25 places per epoch: 16.7 times in 40 epochs, with a standard deviation of 3.1.
    assert np.abs(times[image_set.labels == 0] - 40 * 25 / 60).max() < 5 * 3.1
    assert (times[image_set.labels == 3] == 40).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_workers_and_a_later_start_give_the_same_batches(image_set, sampler):
    alone, helped = loader(image_set, sampler=sampler), loader(image_set, workers=2, sampler=sampler)
    for number in (0, 3):
        whole = list(alone.epoch(number))
        for batches, expected in ((helped.epoch(number), whole), (helped.epoch(number, 9), whole[9:])):
            found = list(batches)
            assert len(found) == len(expected)
            assert all((a == b).all() for one, other in zip(found, expected) for a, b in zip(one, other))
    assert (rows(next(alone.epoch(0))[0]) != rows(next(alone.epoch(1))[0])).any()


@pytest.mark.parametrize("size", [2, 3])
def test_processes_share_one_draw(image_set, size):
    whole = np.concatenate([rows(images) for images, _ in loader(image_set).epoch(2)])
    parts = [loader(image_set, world=World(rank, size)) for rank in range(size)]
    found = [[rows(images) for images, _ in part.epoch(2)] for part in parts]
    assert sorted(np.concatenate(sum(found, []))) == sorted(whole)
    assert all(
        (batch == whole[8 * (step * size + rank) :][: len(batch)]).all()
        for rank, batches in enumerate(found)
        for step, batch in enumerate(batches[:-1])
    )
