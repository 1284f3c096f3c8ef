"""Find the images of a folder of any size, by class and split, without reading one."""

from __future__ import annotations

import os
from typing import Iterator, List, NamedTuple, NoReturn, Optional, Tuple

import numpy as np

from ..data.class_folders import (
    check_classes,
    choose_split,
    find_class_names,
    iterate_classes,
    list_images,
    report_others,
)
from ..system.errors import InputError, list_some, one_line, remark
from ..system.suggestions import suggest
from .file_lists import FileList
from .image_splits import ImageFolder, check_not_empty, draw_split
from .label_files import SYNSET_MAPPING, Classes, find_label_list, read_class_names, read_labels

VALIDATION_NAMES = ("val", "valid", "validation", "test")  # ImageNet's test images have no labels
_TREES = ("", "Data/CLS-LOC", "ILSVRC/Data/CLS-LOC")  # where a data set has its splits; the last two are ImageNet's
_DEVKIT = "ILSVRC2012_devkit_t12/data"  # where ImageNet's development kit has its list of labels


def open_image_folder(
    data_dir: str,
    train_split: Optional[str] = None,
    val_split: Optional[str] = None,
    val_fraction: Optional[float] = None,
    val_labels: Optional[str] = None,
    class_names: Optional[str] = None,
    seed: int = 0,
) -> ImageFolder:
    """List the images of both splits of a folder.

    Each folder is read once, and no image is. The lists are sorted by the bytes of the names, and so the same on every
    machine. `Remark`s give the number of files that are left out.

    Parameters
    ----------
    data_dir : str
        A folder with `train/`, which has a folder of images for each class, and one of `VALIDATION_NAMES`, which has
        the same classes or is explained by a list of labels. With `val_fraction`, `train/` is enough, or the folders of
        the classes without it. ImageNet's tree, with its splits in `Data/CLS-LOC`, is understood as well.
    train_split, val_split : str, optional
        Other names of the folders of the splits. Default: `train`; the first of `VALIDATION_NAMES` with labels.
    val_fraction : float, optional
        Fraction of the images of each class, in 0..1, that become the validation split, at least one of each class.
    val_labels : str, optional
        File with the labels of the images in the validation folder: see `label_files.read_labels`. Default: one of
        `label_files.LABEL_LISTS` in `data_dir` or beside the images, if the folder has no folders of the classes.
    class_names : str, optional
        File with the names of the classes: see `label_files.read_class_names`. Default: `LOC_synset_mapping.txt` in
        `data_dir` or beside the splits, else the names of the folders.
    seed : int
        Seed of the choice by `val_fraction`.

    Raises
    ------
    InputError
        If a split, its images or its labels are missing, or the classes of the splits differ.
    """
    folder = os.path.expanduser(os.fspath(data_dir))
    if not os.path.isdir(folder):
        raise InputError(f"`data_dir={data_dir}`: no such folder")
    if val_fraction is not None and not 0 < val_fraction < 1:
        raise InputError(f"`val_fraction={val_fraction:g}`: give a number between 0 and 1")
    for name, value in (("val_split", val_split), ("val_labels", val_labels)):
        if val_fraction is not None and value is not None:
            raise InputError(
                f"`val_fraction={val_fraction:g}`: the validation images are then training images: leave out `{name}`"
            )
    layout = _find_layout(folder, train_split, val_split, val_fraction)
    classes = _find_classes(layout, class_names)
    if val_fraction is None:
        validation_folder, label_list = _find_validation(layout, classes, val_labels)
        train = _list_classes(layout.train_folder, classes)
        if label_list:
            validation = _list_labelled(validation_folder, label_list, classes)
        else:
            _check_same_classes(layout, validation_folder, classes)
            validation = _list_classes(validation_folder, classes)
    else:
        if layout.validation_names:
            unread = ", ".join(name + "/" for name in layout.validation_names)
            remark(f"{layout.tree}: {unread} is not read: the validation images are taken from the training images")
        train, validation = draw_split(_list_classes(layout.train_folder, classes), classes.folders, val_fraction, seed)
    title = one_line(os.path.basename(os.path.abspath(folder)) or folder)
    return ImageFolder(train, validation, title)


class _Layout(NamedTuple):
    """Where the splits are."""

    folder: str  # as the user named it
    tree: str  # folder of the splits
    train_folder: str
    validation_names: List[str]  # folders in `tree`, in the order in which they are preferred


def _find_layout(
    folder: str, train_split: Optional[str], val_split: Optional[str], val_fraction: Optional[float]
) -> _Layout:
    train = train_split or "train"
    trees = [os.path.join(folder, tree) if tree else folder for tree in _TREES]
    tree = next((tree for tree in trees if os.path.isdir(os.path.join(tree, train))), None)
    if tree is None:
        if train_split is not None:
            _refuse_split("train_split", train_split, folder)
        if val_fraction is None:
            raise InputError(
                f"`data_dir={folder}`: has no train folder: name it by `train_split`; if the sub-folders are the "
                "classes, give `val_fraction=0.1`"
            )
        return _Layout(folder, folder, folder, [])
    if val_split is not None and not os.path.isdir(os.path.join(tree, val_split)):
        _refuse_split("val_split", val_split, tree)
    names = [val_split] if val_split is not None else list(VALIDATION_NAMES)
    present = [name for name in names if name != train and os.path.isdir(os.path.join(tree, name))]
    return _Layout(folder, tree, os.path.join(tree, train), present)


def _refuse_split(parameter: str, name: str, tree: str) -> NoReturn:
    names = find_class_names(tree)
    hint = suggest(name, names) or f"it has {list_some(names)}" if names else "it has no folders"
    raise InputError(f"`{parameter}={name}`: {tree} has no such folder: {hint}")


def _find_classes(layout: _Layout, names_file: Optional[str]) -> Classes:
    """Return the classes of the training images."""
    folders = tuple(map(os.fsdecode, find_class_names(os.fsencode(layout.train_folder))))
    check_classes(layout.train_folder, folders)
    if names_file is None:
        places = (layout.folder, layout.tree)
        candidates = [os.path.join(place, SYNSET_MAPPING) for place in places]
        names_file = next((path for path in candidates if os.path.isfile(path)), None)
    if names_file is None:
        # Names of classes are stored in files of JSON and shown in tables, unlike names of files.
        return Classes(folders, tuple(map(one_line, folders)))
    return Classes(folders, read_class_names(names_file, folders))


def _find_validation(layout: _Layout, classes: Classes, label_list: Optional[str]) -> Tuple[str, Optional[str]]:
    """Return the folder of the validation images, and the list of their labels if the folder has no classes."""
    present = layout.validation_names
    if not present:
        raise InputError(
            f"`data_dir={layout.folder}`: has no folder of validation images, such as val: name it by `val_split`, or "
            "give `val_fraction=0.1` to take them from the training images"
        )
    first = os.path.join(layout.tree, present[0])
    if label_list is not None:
        return first, label_list
    if not set(find_class_names(first)) & set(classes.folders) and present[0] != "test":
        devkits = [os.path.join(place, _DEVKIT) for place in (layout.folder, layout.tree)]
        label_list = find_label_list([layout.folder, layout.tree, first, *devkits])
        if label_list:
            remark(f"{first}: the labels are those of {label_list}")
            return first, label_list
    chosen = choose_split(layout.tree, classes.folders, present, "validation")
    if chosen is None:
        raise InputError(
            f"{first}: has no folder for each class: give a list of the labels by `val_labels`, or "
            "`val_fraction=0.1` to take validation images from the training images"
        )
    return os.path.join(layout.tree, chosen), None


def _check_same_classes(layout: _Layout, validation_folder: str, classes: Classes) -> None:
    found = find_class_names(validation_folder)
    for missing, place, other in (
        (sorted(set(found) - set(classes.folders)), layout.train_folder, validation_folder),
        (sorted(set(classes.folders) - set(found)), validation_folder, layout.train_folder),
    ):
        if missing:
            noun = "class" if len(missing) == 1 else "classes"
            raise InputError(f"{place}: has no folder for the {noun} {list_some(missing)}, which {other} has")


def _list_classes(folder: str, classes: Classes) -> FileList:
    """List the images of a folder that has a folder for each class."""
    numbers = {os.fsencode(name): number for number, name in enumerate(classes.folders)}

    def groups() -> Iterator[Tuple[List[bytes], int]]:
        for name, files in iterate_classes(os.fsencode(folder), list(numbers)):
            yield files, numbers[name]

    files = FileList.from_names(folder, classes.names, groups())
    check_not_empty(folder, files, classes.folders)
    return files


def _list_labelled(folder: str, label_list: str, classes: Classes) -> FileList:
    """List the images of a folder whose classes are in a list of labels."""
    names, others = list_images(os.fsencode(folder), b"")
    if os.path.dirname(os.path.abspath(label_list)) == os.path.abspath(folder):
        others -= type(others)([os.path.splitext(label_list)[1].lower()])
    report_others(folder, others)
    if not names:
        raise InputError(f"{folder}: no images")
    labels = read_labels(label_list, names, classes, folder)
    files = FileList.from_names(folder, classes.names, [(names, labels)])
    empty = [classes.names[number] for number in np.flatnonzero(files.class_counts() == 0)]
    if empty:
        remark(f"{label_list}: has no image of {len(empty)} of {len(classes.names)} classes: {list_some(empty)}")
    return files
