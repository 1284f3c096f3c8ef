"""Folders of images, one sub-folder for each class, read into memory."""

from __future__ import annotations

import os
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image, ImageOps

from ..system.errors import InputError
from .image_files import is_image_name, read_image
from .image_set import ImageSet, image_progress

TEST_NAMES = ("test", "val")

FilesByClass = Dict[str, List[str]]


def read_folder(
    images: str, size: Optional[int] = None, test_share: Optional[float] = None, seed: int = 0
) -> Dict[str, ImageSet]:
    """Read both splits of a folder of images.

    Parameters
    ----------
    images : str
        A folder with `train/` and `test/` (or `val/`), and in each of them a sub-folder of images for each class.
        With `test_share`: a folder with a sub-folder of images for each class.
    size : int, optional
        Scale the shorter side to this number of pixels, and crop the central square. Default: take the images as
        they are; all must then have one size.
    test_share : float, optional
        Fraction of the images of each class, in 0..1, that becomes the test split.
    seed : int
        Seed of that choice, and of the order of the training images.

    Returns
    -------
    dict of str to ImageSet
        'train' and 'test'. Their classes are the sub-folders of train by name.

    Raises
    ------
    InputError
        If there are no images, a class is in test only, an image cannot be read, or sizes differ.
    """
    if not os.path.isdir(images):
        raise InputError(f"`images={images}`: no such folder")
    rng = np.random.default_rng(seed)
    train, test = _split_by_fraction(images, test_share, rng) if test_share else _find_splits(images)
    classes = tuple(train)
    if len(classes) < 2:
        raise InputError(f"{images}: only one class ({classes[0]}): training needs two or more")
    files = {
        split: [(path, classes.index(name)) for name in found for path in found[name]]
        for split, found in (("train", train), ("test", test))
    }
    # Readers that shuffle only a window of the file would meet one class at a time.
    files["train"] = [files["train"][number] for number in rng.permutation(len(files["train"]))]
    sets = {split: _read_files(files[split], classes, size, "reading " + split) for split in files}
    (height, width), (test_height, test_width) = (sets[split].images.shape[1:3] for split in ("train", "test"))
    if (height, width) != (test_height, test_width):
        raise InputError(
            f"{images}: training images have {width}x{height} pixels, test images {test_width}x{test_height}: "
            "give `size`"
        )
    return sets


def _find_splits(images: str) -> Tuple[FilesByClass, FilesByClass]:
    """Return the files by class of `train`, and those of `test` or `val`."""
    if not os.path.isdir(os.path.join(images, "train")):
        raise InputError(
            f"`images={images}`: has no train folder; if its sub-folders are the classes, give `test_share=0.2`"
        )
    test_name = next((name for name in TEST_NAMES if os.path.isdir(os.path.join(images, name))), None)
    if test_name is None:
        folder = images.rstrip("/")
        raise InputError(
            f"`images={folder}`: has no test or val folder beside train; to take test images from train, give "
            f"`images={folder}/train` `test_share=0.2`"
        )
    train, test = (_find_classes(os.path.join(images, name)) for name in ("train", test_name))
    for name, files in train.items():
        if not files:
            raise InputError(f"{os.path.join(images, 'train', name)}: no images of the class")
    new = [name for name in test if name not in train]
    if new:
        raise InputError(f"{os.path.join(images, test_name, new[0])}: this class has no folder in train")
    if not any(test.values()):
        raise InputError(f"{os.path.join(images, test_name)}: no images")
    return train, test


def _split_by_fraction(images: str, fraction: float, rng: np.random.Generator) -> Tuple[FilesByClass, FilesByClass]:
    """Return the files by class of a folder of classes, with a `fraction` of each class drawn for test."""
    train, test = _find_classes(images), {}
    if "train" in train:
        raise InputError(
            f"`test_share={fraction:g}`: {images} has a train folder already; leave it out, or give "
            f"`images={os.path.join(images, 'train')}`"
        )
    for name, files in train.items():
        if len(files) < 2:
            found = "only one image of the class" if files else "no images of the class"
            raise InputError(f"{os.path.join(images, name)}: {found}, and both splits need one")
        count = min(max(1, round(fraction * len(files))), len(files) - 1)
        drawn = set(rng.choice(len(files), count, replace=False).tolist())
        test[name] = [path for number, path in enumerate(files) if number in drawn]
        train[name] = [path for number, path in enumerate(files) if number not in drawn]
    return train, test


def _find_classes(folder: str) -> FilesByClass:
    """Return the image files of each sub-folder, both sorted by name, without hidden ones."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")
        found = {
            name: [
                os.path.join(folder, name, file)
                for file in sorted(os.listdir(os.path.join(folder, name)))
                if is_image_name(file)
            ]
            for name in names
        }
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
    if not found:
        raise InputError(f"{folder}: no images: it has no sub-folder for each class")
    return found


def _read_files(
    files: Sequence[Tuple[str, int]], classes: Tuple[str, ...], size: Optional[int], label: str
) -> ImageSet:
    """Read a list of (path, class) into memory."""
    images = None
    for number, (path, _) in enumerate(image_progress(files, label)):
        image = _read_resized(path, size)
        if images is None:
            images = np.empty((len(files),) + image.shape, np.uint8)
        if image.shape != images.shape[1:]:
            (height, width), (first_height, first_width) = image.shape[:2], images.shape[1:3]
            raise InputError(
                f"{path} has {width}x{height} pixels, {files[0][0]} has {first_width}x{first_height}: give `size`"
            )
        images[number] = image
    return ImageSet(images, np.array([label for _, label in files], np.int32), classes)


def _read_resized(path: str, size: Optional[int]) -> np.ndarray:
    """Read one image as uint8 (H, W, 3), scaled and cropped to a square if a size is given."""
    image = read_image(path)
    return np.asarray(ImageOps.fit(image, (size, size), Image.BICUBIC) if size else image)
