"""Folders of images, one sub-folder for each class, read into memory."""

from __future__ import annotations

import os
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from ..data.class_folders import check_classes, choose_split, count_of, draw_fraction, find_class_names, iterate_classes
from ..data.geometry import DEFAULT, Geometry
from ..data.image_files import read_image
from ..data.image_set import ImageSet, image_progress
from ..system.errors import InputError, remark

TEST_NAMES = ("test", "val", "valid", "validation")
NAMED = 20  # files of a long list that a message names

FilesByClass = Dict[str, List[str]]


def read_folder(
    images: str,
    size: Optional[int] = None,
    test_share: Optional[float] = None,
    seed: int = 0,
    geometry: Geometry = DEFAULT,
    skip_broken: bool = False,
) -> Dict[str, ImageSet]:
    """Read both splits of a folder of images.

    Files that are not images are left out, with a `Remark` on their number.

    Parameters
    ----------
    images : str
        A folder with `train/` and one of `TEST_NAMES`, and in each of them a folder of images for each class, with
        sub-folders or without. With `test_share`: a folder with a folder of images for each class.
    size : int, optional
        Height and width of the images. Default: take the images as they are; all must then have one size.
    test_share : float, optional
        Fraction of the images of each class, in 0..1, that becomes the test split.
    seed : int
        Seed of that choice, and of the order of the training images.
    geometry : Geometry
        How images become `size` pixels high and wide.
    skip_broken : bool
        Whether images that cannot be read are left out, with a `Remark`.

    Returns
    -------
    dict of str to ImageSet
        'train' and 'test'. Their classes are the folders in train by name.

    Raises
    ------
    InputError
        If there are no images, a class is in test only, sizes differ, or, without `skip_broken`, images cannot be
        read. The message names these images.
    """
    if not os.path.isdir(images):
        raise InputError(f"`images={images}`: no such folder")
    rng = np.random.default_rng(seed)
    train, test = _split_by_fraction(images, test_share, rng) if test_share else _find_splits(images)
    classes = tuple(train)
    check_classes(images, classes)
    files = {
        split: [(path, classes.index(name)) for name in found for path in found[name]]
        for split, found in (("train", train), ("test", test))
    }
    # Readers that shuffle only a window of the file would meet one class at a time.
    files["train"] = [files["train"][number] for number in rng.permutation(len(files["train"]))]
    broken: List[InputError] = []
    sets = {
        split: _read_files(files[split], classes, (size, size) if size else None, geometry, "reading " + split, broken)
        for split in files
    }
    _report_broken(broken, skip_broken)
    _check_one_size(images, sets)
    for label, name in enumerate(classes):
        if not (sets["train"].labels == label).any():
            raise InputError(f"{images}: no image of the class {name} could be read for training")
    return sets


def _find_splits(images: str) -> Tuple[FilesByClass, FilesByClass]:
    """Return the files by class of `train`, and those of the first of `TEST_NAMES` that has classes."""
    if not os.path.isdir(os.path.join(images, "train")):
        raise InputError(
            f"`images={images}`: has no train folder; if its sub-folders are the classes, give `test_share=0.2`"
        )
    present = [name for name in TEST_NAMES if os.path.isdir(os.path.join(images, name))]
    test_name = choose_split(images, find_class_names(os.path.join(images, "train")), present, "test")
    if test_name is None:
        folder = images.rstrip("/")
        fault = f"{present[0]}/ has no folder for each class" if present else "has no test or val folder beside train"
        raise InputError(
            f"`images={folder}`: {fault}; to take test images from train, give `images={folder}/train` `test_share=0.2`"
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
        drawn = draw_fraction(os.path.join(images, name), len(files), fraction, rng)
        test[name] = [path for path, is_drawn in zip(files, drawn) if is_drawn]
        train[name] = [path for path, is_drawn in zip(files, drawn) if not is_drawn]
    return train, test


def _find_classes(folder: str) -> FilesByClass:
    """Return the paths of the images of each class."""
    names = find_class_names(folder)
    if not names:
        raise InputError(f"{folder}: no images: it has no sub-folder for each class")
    return {name: [os.path.join(folder, path) for path in files] for name, files in iterate_classes(folder, names)}


def _read_files(
    files: Sequence[Tuple[str, int]],
    classes: Tuple[str, ...],
    size: Optional[Tuple[int, int]],
    geometry: Geometry,
    label: str,
    broken: List[InputError],
) -> ImageSet:
    """Read a list of (path, class) into memory; add the errors of those that cannot be read to `broken`."""
    images, first = None, ""
    labels: List[int] = []
    for path, number in image_progress(files, label):
        try:
            picture = read_image(path)
        except InputError as error:
            broken.append(error)
            continue
        image = np.asarray(geometry.apply(picture, size) if size else picture)
        if images is None:
            images, first = np.empty((len(files),) + image.shape, np.uint8), path
        if image.shape != images.shape[1:]:
            (height, width), (first_height, first_width) = image.shape[:2], images.shape[1:3]
            raise InputError(
                f"{path} has {width}x{height} pixels, {first} has {first_width}x{first_height}: give `size`"
            )
        images[len(labels)] = image
        labels.append(number)
    if images is None:
        images = np.empty((0, 1, 1, 3), np.uint8)
    return ImageSet(images[: len(labels)], np.array(labels, np.int32), classes)


def _report_broken(broken: Sequence[InputError], skip: bool) -> None:
    """Name the images that cannot be read: as a remark if they are skipped, else as an error."""
    if not broken:
        return
    listed = "; ".join(f"{error}" for error in broken[:NAMED])
    more = f"; and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
    if skip:
        remark(f"{count_of(len(broken), 'image')} left out: {listed}{more}")
    elif len(broken) == 1:
        raise InputError(f"{listed}; repair or remove it, or give `skip_broken=True`")
    else:
        raise InputError(
            f"{len(broken)} images cannot be used: {listed}{more}; repair or remove them, or give `skip_broken=True`"
        )


def _check_one_size(images: str, sets: Dict[str, ImageSet]) -> None:
    for split, image_set in sets.items():
        if not len(image_set.labels):
            raise InputError(f"{images}: no image of the {split} split could be read")
    (height, width), (test_height, test_width) = (sets[split].images.shape[1:3] for split in ("train", "test"))
    if (height, width) != (test_height, test_width):
        raise InputError(
            f"{images}: training images have {width}x{height} pixels, test images {test_width}x{test_height}: "
            "give `size`"
        )
