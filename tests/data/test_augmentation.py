"""Tests for colours, erasing and RandAugment against their definitions, written out with other means."""

import colorsys

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from resattnet.data.augmentation import COMPONENTS, DEVIATIONS, ColourJitter, colour_map, random_erasing
from resattnet.data.rand_augment import NAMES, OPERATIONS, RandAugment
from resattnet.data.transforms import Transform


@pytest.fixture
def photographs():
    return np.random.default_rng(0).integers(40, 200, (6, 3, 20, 24), dtype=np.uint8)


@pytest.mark.parametrize(
    "place, enhance", [(0, ImageEnhance.Brightness), (1, ImageEnhance.Contrast), (2, ImageEnhance.Color)]
)
def test_each_change_of_colour_is_that_of_pillow(photographs, place, enhance):
    image = photographs[0].transpose(1, 2, 0)
    factors = np.ones(3)
    factors[place] = 1.2
    matrix, shift = colour_map(factors, 0.0, image.mean(axis=(0, 1)) @ [0.299, 0.587, 0.114])
    ours = (image @ matrix.T + shift).clip(0, 255)
    assert abs(ours - np.asarray(enhance(Image.fromarray(image)).enhance(1.2))).max() < 1.5


def test_a_turn_of_the_hue_keeps_brightness_and_turns_the_colour():
    matrix, shift = colour_map(np.ones(3), np.pi / 3, 0.0)
    red = matrix @ [200, 50, 50] + shift
    assert np.dot(red, [0.299, 0.587, 0.114]) == pytest.approx(np.dot([200, 50, 50], [0.299, 0.587, 0.114]), abs=0.1)
    hue = colorsys.rgb_to_hsv(*red.clip(0, 255) / 255)[0]
    assert min(abs(hue - 1 / 6), abs(hue - 5 / 6)) < 0.07  # a third of half a circle either way
    np.testing.assert_allclose(colour_map(np.ones(3), 0.0, 0.0)[0], np.eye(3), atol=1e-9)


def test_lighting_adds_one_colour_along_the_principal_components(photographs):
    changed = ColourJitter(lighting=0.1)(photographs, np.random.default_rng(3)).astype(float)
    moved = (changed - photographs).reshape(6, 3, -1)
    assert (moved.max(axis=2) - moved.min(axis=2)).max() <= 1  # of one image, all pixels move alike but for rounding
    assert len({tuple(row) for row in moved.mean(axis=2)}) == 6
    many = ColourJitter(lighting=0.1)(np.full((4000, 3, 1, 1), 128, np.uint8), np.random.default_rng(4))
    spread = (many[..., 0, 0].astype(float) - 128) @ COMPONENTS
    np.testing.assert_allclose(spread.std(axis=0)[0], 255 * 0.1 * DEVIATIONS[0], rtol=0.05)


def test_jitter_is_the_same_for_the_same_generator_and_stays_within_its_factors(photographs):
    first, second = (ColourJitter(0.4, 0.1, 0.1)(photographs, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    grey = np.full((500, 3, 2, 2), 100, np.uint8)
    means = ColourJitter(0.4)(grey, np.random.default_rng(1)).mean(axis=(1, 2, 3))
    assert 59 <= means.min() < 65 and 135 < means.max() <= 141


def test_erasing_takes_boxes_of_the_areas_and_proportions_of_the_paper():
    images = random_erasing(np.ones((4000, 1, 40, 40), np.float32), 0.5, np.random.default_rng(0))
    erased = images[:, 0] == 0
    hit = erased.any(axis=(1, 2))
    assert abs(hit.mean() - 0.5) < 0.03
    areas = erased[hit].mean(axis=(1, 2))
    assert 0.015 < areas.min() and areas.max() < 0.35 and abs(areas.mean() - (0.02 + 1 / 3) / 2) < 0.02
    rows, columns = erased[hit].any(axis=2).sum(axis=1), erased[hit].any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(rows * columns, erased[hit].sum(axis=(1, 2)))  # boxes
    assert 0.25 < (rows / columns).min() < 0.4 and 2.5 < (rows / columns).max() < 4


def test_rand_augment_draws_each_operation_as_often(monkeypatch):
    drawn = []
    for name in NAMES:
        monkeypatch.setitem(
            OPERATIONS, name, lambda image, strength, name=name: drawn.append((name, strength)) or image
        )
    RandAugment(2, 9)(np.zeros((3500, 4, 4, 3), np.uint8), np.random.default_rng(0))
    counts = [sum(name == one for name, _ in drawn) for one in NAMES]
    assert len(drawn) == 7000 and 430 < min(counts) and max(counts) < 570
    assert {round(strength, 6) for _, strength in drawn} == {-0.9, 0.9}


@pytest.mark.parametrize("name", NAMES)
def test_each_operation_changes_an_image_and_none_at_magnitude_0(name):
    image = Image.fromarray(np.random.default_rng(1).integers(30, 220, (32, 32, 3), dtype=np.uint8))
    strong = np.asarray(OPERATIONS[name](image, 0.9))
    assert strong.shape == (32, 32, 3)
    assert (strong != np.asarray(image)).any() == (name != "identity")
    if name not in ("autocontrast", "equalize"):  # these have no strength
        np.testing.assert_array_equal(np.asarray(OPERATIONS[name](image, 0.0)), np.asarray(image))


def test_a_shift_moves_the_image_by_a_part_of_its_width():
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[:, 12] = 255
    moved = np.asarray(OPERATIONS["shift across"](Image.fromarray(pixels), 2 / 9))  # 0.45 * 2/9 * 20 = 2 pixels
    assert (moved[:, 10] == 255).all() and (moved[:, 19] == 128).all()


def test_the_transform_applies_them_in_order_and_draws_nothing_without_them():
    images, labels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8), np.zeros(5, np.int32)
    plain = Transform((0.5,) * 3, (0.25,) * 3, 10, pad=2, flip=True, cutout=4, alpha=1.0, seed=5)
    rich = plain._replace(rand_augment=RandAugment(1, 5), jitter=ColourJitter(0.4), erasing=1.0)
    np.testing.assert_array_equal(plain(images, labels, 1, 2)[0], plain._replace()(images, labels, 1, 2)[0])
    first, second = rich(images, labels, 1, 2)[0], rich(images, labels, 1, 2)[0]
    np.testing.assert_array_equal(first, second)
    assert (first != plain(images, labels, 1, 2)[0]).any()
