"""Tests for corruptions against closed forms, second implementations and required properties."""

import colorsys
import io

import numpy as np
import pytest
from PIL import Image

from resattnet.data.corruptions import CORRUPTIONS, STRENGTHS, corrupt, parse_names
from resattnet.datasets import catalog
from resattnet.system.errors import InputError

CASES = [(name, strength) for name in CORRUPTIONS for strength in STRENGTHS]


def random_images(count=6, height=32, width=32):
    """Return random images. The first image has white and black pixels."""
    images = np.random.default_rng(3).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    images[0, 0, :3] = [[0, 0, 0], [255, 255, 255], [1, 0, 0]]
    return images


@pytest.fixture(scope="module")
def digits():
    return catalog.load_images("digits", None, "test").images[:60]


def grow(images, name):
    """Assert that the mean squared distance from the clean images grows with the strength."""
    distances = [np.square(corrupt(images, name, strength).astype(float) - images).mean() for strength in STRENGTHS]
    assert 0 < distances[0] and (np.diff(distances) > 0).all(), distances


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "pixelate"])
def test_each_strength_is_further_from_digits(name, digits):
    grow(digits, name)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_strength_is_further_from_photographs(name, cifar10_dir):
    grow(catalog.load_images("cifar10", cifar10_dir, "test").images[:100], name)


@pytest.mark.parametrize("name, strength", CASES)
def test_predictions_do_not_depend_on_the_batch_or_change_the_input(name, strength):
    images = random_images(7, 17, 24)
    before = images.copy()
    images.setflags(write=False)
    whole = corrupt(images, name, strength, seed=5, first=40)
    assert whole.shape == images.shape and whole.dtype == np.uint8 and (images == before).all()
    assert not np.shares_memory(whole, images) and (whole != images).any()
    for size in (1, 3):
        parts = [corrupt(images[first : first + size], name, strength, 5, 40 + first) for first in range(0, 7, size)]
        assert (np.concatenate(parts) == whole).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_seed_and_number_draw_what_is_random(name):
    images = np.repeat(random_images(1), 2, axis=0)
    one = corrupt(images, name, 3)
    assert (one == corrupt(images, name, 3)).all()
    assert CORRUPTIONS[name].random == (one[0] != one[1]).any() == (one != corrupt(images, name, 3, seed=1)).any()


@pytest.mark.parametrize("strength", STRENGTHS)
def test_noise_has_the_standard_deviation_claimed(strength):
    grey = np.full((100, 32, 32, 3), 128, np.uint8)
    noise = corrupt(grey, "noise", strength).astype(float) - 128
    expected = np.hypot(255 * (0.04, 0.06, 0.08, 0.09, 0.10)[strength - 1], 12**-0.5)  # adds the deviation of rounding
    assert noise.std() == pytest.approx(expected, rel=0.01)
    assert abs(noise.mean()) < 5 * expected / noise.size**0.5
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02  # channels are independent
    assert abs((noise**4).mean() / noise.var() ** 2 - 3) < 0.1  # a normal distribution has kurtosis 3


@pytest.mark.parametrize("strength", STRENGTHS)
def test_impulse_noise_has_the_stated_fraction(strength):
    grey = np.full((100, 32, 32, 3), 128, np.uint8)
    noisy, share = corrupt(grey, "impulse", strength), (0.01, 0.02, 0.03, 0.05, 0.07)[strength - 1]
    assert set(np.unique(noisy)) == {0, 128, 255}
    for value in (0, 255):
        assert (noisy == value).mean() == pytest.approx(share / 2, rel=0.05)


def separable_blur(images, sigma):
    """Blur with one weighted sum per axis. Edge pixels are repeated."""
    radius = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    blurred = images.astype(float)
    for axis in (1, 2):
        size = blurred.shape[axis]
        blurred = sum(
            weight * blurred.take(np.clip(np.arange(size) + shift, 0, size - 1), axis=axis)
            for weight, shift in zip(kernel / kernel.sum(), range(-radius, radius + 1))
        )
    return blurred


@pytest.mark.parametrize("strength", STRENGTHS)
def test_blur_is_a_separable_convolution(strength):
    images = random_images(4, 20, 33)
    blurred = corrupt(images, "blur", strength)
    assert abs(blurred - separable_blur(images, (0.4, 0.6, 0.7, 0.8, 1.0)[strength - 1])).max() < 0.501
    flat = np.full((1, 9, 9, 3), (7, 130, 255), np.uint8)
    assert (corrupt(flat, "blur", strength) == flat).all()


@pytest.mark.parametrize("strength", STRENGTHS)
def test_jpeg_is_pillows(strength):
    images = random_images(2, 19, 32)
    for image, result in zip(images, corrupt(images, "jpeg", strength)):
        file = io.BytesIO()
        Image.fromarray(image).save(file, format="jpeg", quality=(80, 65, 58, 50, 40)[strength - 1])
        assert (np.array(Image.open(file)) == result).all()


@pytest.mark.parametrize("strength", STRENGTHS)
def test_brightness_raises_the_value_of_hsv(strength):
    images = random_images(1, 12, 12)
    result, amount = corrupt(images, "brightness", strength), (0.05, 0.1, 0.15, 0.2, 0.3)[strength - 1]
    for pixel, brighter in zip(images.reshape(-1, 3), result.reshape(-1, 3)):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel / 255)
        expected = colorsys.hsv_to_rgb(hue, saturation, min(value + amount, 1))
        assert abs(255 * np.array(expected) - brighter).max() < 0.501
    grey = np.full((1, 4, 4, 3), 100, np.uint8)
    assert (corrupt(grey, "brightness", strength) == np.rint(100 + 255 * amount)).all()


@pytest.mark.parametrize("strength", STRENGTHS)
def test_contrast_keeps_the_mean_of_each_channel(strength, digits):
    share = (0.75, 0.5, 0.4, 0.3, 0.15)[strength - 1]
    result = corrupt(digits, "contrast", strength)
    assert np.allclose(result.mean(axis=(1, 2)), digits.mean(axis=(1, 2)), atol=0.5)
    spread = digits.std(axis=(1, 2))
    assert np.allclose(result.std(axis=(1, 2)), share * spread, atol=0.5)
    assert (corrupt(np.full((1, 4, 4, 3), 9, np.uint8), "contrast", strength) == 9).all()


def box(target, source):
    """Return the weights (target, source) of a box filter.

    A target pixel is the mean of the source pixels with covered centres.
    A target pixel that covers no centre takes the nearest source pixel.
    """
    centres, reach = (np.arange(target) + 0.5) * source / target, max(source / target, 1) / 2
    covered = abs(np.arange(source) + 0.5 - centres[:, None]) < reach
    return covered / covered.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_pixelate_is_means_and_repetition(strength):
    images = random_images(3, 32, 40)
    sides = ((30, 38), (28, 36), (27, 34), (24, 30), (20, 26))[strength - 1]
    down, across = (box(full, small) @ box(small, full) for full, small in zip((32, 40), sides))
    expected = np.einsum("ij,njkc,lk->nilc", down, images, across)
    assert abs(corrupt(images, "pixelate", strength) - expected).max() <= 1  # Pillow rounds after each axis


def test_names_given_by_a_flag():
    assert parse_names("0") == () and parse_names("1") == tuple(CORRUPTIONS)
    assert parse_names("blur") == ("blur",) and parse_names("jpeg, noise,jpeg") == ("jpeg", "noise")


@pytest.mark.parametrize(
    "text, message",
    [
        ("bluer", "corruptions=bluer: no such corruption; did you mean blur"),
        ("noise,gaussian_blur", "corruptions=gaussian_blur: no such corruption; did you mean blur"),
        ("fog", "corruptions=fog: no such corruption; choose from noise, impulse, blur, .*, jpeg"),
        ("noise,", "corruptions='': no such corruption; choose from noise"),
    ],
)
def test_unknown_names(text, message):
    with pytest.raises(InputError, match=message):
        parse_names(text)


@pytest.mark.parametrize("strength", [0, 6])
def test_unknown_strengths(strength):
    with pytest.raises(InputError, match=f"strength={strength}: choose from 1, 2, 3, 4, 5"):
        corrupt(random_images(1), "blur", strength)
