"""Folders of images, one sub-folder for each class, read whole into memory."""

import os

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from ..system.errors import InputError
from .datasets import ImageSet
from .image_files import read_image

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
TEST_NAMES = ("test", "val")


def read_folder(folder, size=None, test_share=None, seed=0):
    """Both splits of a folder of images.

    Parameters
    ----------
    folder : str
        Holds `train/` and `test/` (or `val/`), and each of these a sub-folder of images for each class;
        with `test_share` it holds the sub-folders of the classes itself.
    size : int or None
        Scale the shorter side to so many pixels and cut the middle out as a square; None takes the
        images as they are, which then have to be of one size.
    test_share : float or None
        The share of each class, in 0..1, that becomes the test split.
    seed : int
        Draws which, and the order of the training images.

    Returns
    -------
    dict of str to datasets.ImageSet
        'train' and 'test', whose classes are the sub-folders of train by name.

    Raises
    ------
    InputError
        If there are no images, a class is in test only, an image cannot be read, or sizes differ.
    """
    if not os.path.isdir(folder):
        raise InputError(f"--images {folder}: no such folder")
    rng = np.random.default_rng(seed)
    train, test = _split_by_fraction(folder, test_share, rng) if test_share else _splits(folder)
    classes = tuple(train)
    if len(classes) < 2:
        raise InputError(f"{folder}: one class only ({classes[0]}): there is nothing to tell apart")
    files = {
        split: [(path, classes.index(name)) for name in found for path in found[name]]
        for split, found in (("train", train), ("test", test))
    }
    # Readers that shuffle a window of the file only would meet one class at a time.
    files["train"] = [files["train"][place] for place in rng.permutation(len(files["train"]))]
    sets = {split: _read(files[split], classes, size, "reading " + split) for split in files}
    shapes = [sets[split].images.shape[2:0:-1] for split in ("train", "test")]
    if shapes[0] != shapes[1]:
        raise InputError(
            "%s: training images are of %dx%d pixels, test images of %dx%d: give --size"
            % ((folder,) + shapes[0] + shapes[1])
        )
    return sets


def _splits(folder):
    """The files by class of `train` and of `test` or `val`."""
    test = next((name for name in TEST_NAMES if os.path.isdir(os.path.join(folder, name))), None)
    if not os.path.isdir(os.path.join(folder, "train")):
        raise InputError(
            f"--images {folder}: has no train folder; where its own sub-folders are the classes, give --test-share 0.2"
        )
    if test is None:
        raise InputError(
            f"--images {folder.rstrip('/')}: has no test or val folder beside train; to take test "
            f"images from train, give --images {folder.rstrip('/')}/train --test-share 0.2"
        )
    found = [_classes(os.path.join(folder, name)) for name in ("train", test)]
    for name, files in found[0].items():
        if not files:
            raise InputError(f"{os.path.join(folder, 'train', name)}: no images of the class")
    new = [name for name in found[1] if name not in found[0]]
    if new:
        raise InputError(f"{os.path.join(folder, test, new[0])}: the class is not in train")
    if not any(found[1].values()):
        raise InputError(f"{os.path.join(folder, test)}: no images")
    return found


def _split_by_fraction(folder, share, rng):
    """The files by class of a folder of classes, `share` of each drawn for test."""
    train, test = _classes(folder), {}
    if "train" in train:
        raise InputError(
            f"--test-share {share:g}: {folder} has a train folder already; leave it out, or give "
            f"--images {os.path.join(folder, 'train')}"
        )
    for name, files in train.items():
        if len(files) < 2:
            raise InputError(
                f"{os.path.join(folder, name)}: "
                f"{('one image of the class' if files else 'no images of the class')}, and both "
                "splits need one"
            )
        count = min(max(1, round(share * len(files))), len(files) - 1)
        drawn = set(rng.choice(len(files), count, replace=False).tolist())
        test[name] = [path for place, path in enumerate(files) if place in drawn]
        train[name] = [path for place, path in enumerate(files) if place not in drawn]
    return train, test


def _classes(folder):
    """The image files of each sub-folder, both in the order of their names; hidden ones are left out."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")
        found = {
            name: [
                os.path.join(folder, name, file)
                for file in sorted(os.listdir(os.path.join(folder, name)))
                if file.lower().endswith(EXTENSIONS) and file[0] != "."
            ]
            for name in names
        }
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
    if not found:
        raise InputError(f"{folder}: no images: it has no sub-folder for each class")
    return found


def _read(files, classes, size, label):
    """The `ImageSet` of a list of (path, label)."""
    images = None
    for number, (path, _) in enumerate(tqdm(files, desc=label, unit="image", leave=False, delay=1, disable=None)):
        image = _read_image(path, size)
        if images is None:
            images = np.empty((len(files),) + image.shape, np.uint8)
        if image.shape != images.shape[1:]:
            raise InputError(
                "%s is of %dx%d pixels, %s of %dx%d: give --size"
                % ((path,) + image.shape[1::-1] + (files[0][0],) + images.shape[2:0:-1])
            )
        images[number] = image
    return ImageSet(images, np.array([label for _, label in files], np.int32), classes)


def _read_image(path, size):
    """One image as uint8 (H, W, 3), as `images.read_image` gives it."""
    image = read_image(path)
    return np.asarray(ImageOps.fit(image, (size, size), Image.BICUBIC) if size else image)
