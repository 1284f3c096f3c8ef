"""Tests for augmentation against definitions that are written out image by image."""

import numpy as np
import pytest

from resattnet.data.mixing import cutmix, label_noise, mixup, smooth
from resattnet.data.transforms import Transform, cutout, normalise, random_crop, random_flip

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (12, 8, 6, 3), dtype=np.uint8), rng.integers(0, 5, 12).astype(np.int32)


def test_each_crop_is_a_window_of_the_padded_image(batch):
    images, _ = batch
    cropped = random_crop(images, 2, np.random.default_rng(1))
    assert cropped.shape == (12, 3, 8, 6) and cropped.dtype == np.uint8
    places = set()
    for image, crop in zip(images, cropped):
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
        found = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if (padded[top : top + 8, left : left + 6].transpose(2, 0, 1) == crop).all()
        ]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) > 5


def test_every_place_of_the_crop_occurs_equally_often():
    images = np.arange(1, 26, dtype=np.uint8).reshape(1, 5, 5, 1).repeat(9000, axis=0)
    crops = random_crop(images, 1, np.random.default_rng(2))
    _, counts = np.unique(crops.reshape(9000, -1), axis=0, return_counts=True)
    assert len(counts) == 9 and abs(counts - 1000).max() < 150


def test_flip_mirrors_about_half(batch):
    images = np.tile(batch[0].transpose(0, 3, 1, 2), (100, 1, 1, 1))
    flipped = random_flip(images, np.random.default_rng(3))
    mirrored = [(now == before[..., ::-1]).all() for now, before in zip(flipped, images)]
    kept = [(now == before).all() for now, before in zip(flipped, images)]
    assert all(a != b for a, b in zip(mirrored, kept))
    assert 0.45 < np.mean(mirrored) < 0.55


def test_normalise(batch):
    images = batch[0].transpose(0, 3, 1, 2)
    expected = (images / 255.0 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    out = normalise(images, MEAN, STD)
    assert out.dtype == np.float32 and np.abs(out - expected).max() < 1e-5


@pytest.mark.parametrize("side", [1, 2, 5, 6, 30])
def test_cutout_erases_one_square_of_each_image(side):
    images = np.random.default_rng(8).normal(size=(300, 3, 8, 6)).astype(np.float32)
    erased = cutout(images.copy(), side, np.random.default_rng(9))
    centres = set()
    for image, result in zip(images, erased):
        candidates = []
        for row in range(8):
            for column in range(6):
                expected = image.copy()
                for y in range(row - side // 2, row - side // 2 + side):
                    for x in range(column - side // 2, column - side // 2 + side):
                        if 0 <= y < 8 and 0 <= x < 6:
                            expected[:, y, x] = 0
                if (expected == result).all():
                    candidates.append((row, column))
        assert candidates
        centres.update(candidates)
    assert len(centres) == 48


def test_cutout_centres_are_equally_likely():
    erased = cutout(np.ones((9000, 1, 3, 3), np.float32), 1, np.random.default_rng(10)) == 0
    assert (erased.sum(axis=(1, 2, 3)) == 1).all() and abs(erased.sum(axis=0) - 1000).max() < 150


def test_transform_is_its_parts_in_this_order(batch):
    transform = Transform(MEAN, STD, 5, pad=2, flip=True, cutout=3, epsilon=0.1, alpha=1.0, seed=7)
    before = batch[0].copy(), batch[1].copy()
    images, labels = transform(*batch, epoch=1, batch=2)
    assert all((now == then).all() for now, then in zip(batch, before))
    rng = np.random.default_rng((7, 1, 2))
    expected = cutout(normalise(random_flip(random_crop(batch[0], 2, rng), rng), MEAN, STD), 3, rng)
    expected, targets = mixup(expected, smooth(batch[1], 5, 0.1), 1.0, rng)
    assert (images == expected).all() and (labels == targets).all() and images.flags["C_CONTIGUOUS"]


def test_smoothing_spreads_epsilon_over_the_other_classes():
    targets = smooth(np.array([2, 0], np.int32), 4, 0.3)
    assert np.allclose(targets, [[0.1, 0.1, 0.7, 0.1], [0.7, 0.1, 0.1, 0.1]]) and targets.dtype == np.float32
    assert (smooth(np.array([1], np.int32), 3, 0.0) == [[0, 1, 0]]).all()


def test_mixup_blends_images_and_labels_alike():
    images = np.random.default_rng(4).normal(size=(16, 1, 2, 2)).astype(np.float32)
    targets = np.eye(16, dtype=np.float32)
    mixed, labels = mixup(images.copy(), targets, 0.7, np.random.default_rng(5))
    # Each image has its own class, so the soft label gives the source images and the weight of each.
    assert np.allclose(mixed, np.einsum("nk,kchw->nchw", labels, images), atol=1e-6)
    assert np.allclose(labels.sum(axis=1), 1)
    weights = {round(float(w), 5) for w in labels[labels > 0]}
    assert len(weights - {1.0}) <= 2


@pytest.mark.parametrize("count", [1, 2, 5, 64, 101])
def test_mixup_against_its_definition(count):
    images = np.random.default_rng(4).normal(size=(count, 3, 4, 2)).astype(np.float32)
    targets = np.random.default_rng(5).random((count, 7)).astype(np.float32)
    weight = np.random.default_rng(6).beta(0.3, 0.3)
    expected = [
        np.stack([weight * part[i] + (1 - weight) * part[-1 - i] for i in range(count)]) for part in (images, targets)
    ]
    for part, other in zip(mixup(images, targets, 0.3, np.random.default_rng(6)), expected):
        assert part.dtype == np.float32 and np.allclose(part, other, atol=1e-6)


def test_mixup_weight_follows_beta():
    weights = [
        mixup(np.zeros((2, 1, 1, 1), np.float32), np.eye(2, dtype=np.float32), 0.5, np.random.default_rng(seed))[1][
            0, 0
        ]
        for seed in range(4000)
    ]
    assert np.var(weights) == pytest.approx(1 / 8, rel=0.1)  # Beta(a, a) has variance 1 / (4 (2a + 1))


def test_transform_depends_on_seed_epoch_and_batch_only(batch):
    transform = Transform(MEAN, STD, 5, pad=2, flip=True, alpha=1.0, seed=7)
    first = transform(*batch, epoch=1, batch=2)
    assert all((a == b).all() for a, b in zip(first, transform(*batch, epoch=1, batch=2)))
    for other in (
        transform(*batch, epoch=2, batch=2),
        transform(*batch, epoch=1, batch=3),
        transform._replace(seed=8)(*batch, epoch=1, batch=2),
    ):
        assert (first[0] != other[0]).any()


def test_plain_transform_only_normalises(batch):
    images, labels = Transform(MEAN, STD, 5)(*batch)
    assert (images == normalise(batch[0].transpose(0, 3, 1, 2), MEAN, STD)).all()
    assert images.flags["C_CONTIGUOUS"] and labels is batch[1]


def test_mixup_ends_before_its_last_epoch_and_labels_stay_soft(batch):
    transform = Transform(MEAN, STD, 5, alpha=1.0, mix_epochs=3)
    assert transform.mixes_in(2) and not transform.mixes_in(3)
    _, labels = transform(*batch, epoch=3)
    assert (labels == np.eye(5)[batch[1]]).all() and labels.dtype == np.float32
    assert ((transform(*batch, epoch=2)[1] > 0).sum(axis=1) > 1).any()


@pytest.mark.parametrize("count, size", [(12, (8, 6)), (7, (5, 9)), (1, (4, 4))])
def test_cutmix_pastes_one_box_and_blends_labels_by_its_area(count, size):
    rng = np.random.default_rng(4)
    images = rng.normal(size=(count, 3) + size).astype(np.float32)
    targets = smooth(rng.integers(0, 7, count), 7, 0.1)
    areas = set()
    for seed in range(50):
        draws = np.random.default_rng(seed)
        ratio, (height, width) = np.sqrt(1 - draws.beta(1.0, 1.0)), size
        box = np.zeros(size, bool)
        y, x = int(draws.integers(height)), int(draws.integers(width))
        for row in range(height):
            for column in range(width):
                top, left = y - int(height * ratio) // 2, x - int(width * ratio) // 2
                box[row, column] = top <= row < top + int(height * ratio) and left <= column < left + int(width * ratio)
        areas.add(box.sum())
        kept = 1 - box.mean()
        mixed, labels = cutmix(images.copy(), targets.copy(), 1.0, np.random.default_rng(seed))
        assert mixed.dtype == labels.dtype == np.float32
        for i in range(count):
            assert (mixed[i] == np.where(box, images[-1 - i], images[i])).all()
            assert np.allclose(labels[i], kept * targets[i] + (1 - kept) * targets[-1 - i], atol=1e-6)
    assert len(areas) > 5


def test_cutmix_weight_follows_beta_where_nothing_is_clipped():
    """For boxes inside the image, the area agrees with lambda to within one pixel."""
    images = np.arange(2, dtype=np.float32)[:, None, None, None] + np.zeros((2, 1, 100, 100), np.float32)
    whole = 0
    for seed in range(200):
        weight = np.random.default_rng(seed).beta(0.5, 0.5)
        mixed, targets = cutmix(images.copy(), np.eye(2, dtype=np.float32), 0.5, np.random.default_rng(seed))
        assert targets[0, 1] == pytest.approx(mixed[0].mean(), abs=1e-6)
        assert targets[0, 1] <= 1 - weight + 1e-6
        whole += abs(targets[0, 1] - (1 - weight)) < 0.02
    assert whole > 40


def test_with_both_each_batch_has_one_of_mixup_and_cutmix(batch):
    plain = Transform(MEAN, STD, 5, seed=1)
    images, _ = plain(*batch)
    both, kinds = plain._replace(alpha=1.0, cut_alpha=1.0, mix_epochs=1), []
    for number in range(300):
        mixed, labels = both(*batch, epoch=0, batch=number)
        boxed = [((a == b) | (a == c)).all() for a, b, c in zip(mixed, images, images[::-1])]
        assert len(set(boxed)) == 1
        kinds.append(boxed[0])
    assert 120 < sum(kinds) < 180
    assert (both(*batch, epoch=1, batch=0)[0] == images).all()
    only = plain._replace(cut_alpha=1.0)
    assert only.soft_labels and all(
        ((only(*batch, batch=number)[0] == images) | (only(*batch, batch=number)[0] == images[::-1])).all()
        for number in range(20)
    )


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_label_noise_has_the_stated_fraction_spread_evenly(noise):
    labels = (np.arange(50000) % 10).astype(np.int32)
    noisy = label_noise(labels, 10, noise, seed=3)
    assert noisy.dtype == np.int32 and (labels == np.arange(50000) % 10).all()
    assert np.mean(noisy != labels) == pytest.approx(noise, abs=0.01)
    moved = np.bincount((noisy - labels)[noisy != labels] % 10, minlength=10)
    assert moved[0] == 0 and np.allclose(moved[1:], 50000 * noise / 9, atol=5 * np.sqrt(50000 / 9))
    assert (label_noise(labels, 10, noise, seed=3) == noisy).all()
    if noise:
        assert (label_noise(labels, 10, noise, seed=4) != noisy).any()
