"""Open the images of a training run of any size: a folder of image files, or one of record files."""

from __future__ import annotations

import os
from typing import Any, Optional

from .image_folders import open_image_folder
from .image_splits import ImageFolder
from .record_folders import has_records, open_record_folder


def open_images(data_dir: str, data_format: Optional[str] = None, **splits: Any) -> ImageFolder:
    """List the images of both splits of a folder.

    Parameters
    ----------
    data_dir : str
    data_format : str, optional
        One of `datasets.options.FOLDER_FORMATS`. Default: record files if the folder has any, and no folder of
        training images.
    **splits
        See `image_folders.open_image_folder` and, for record files, `record_folders.open_record_folder`.

    Raises
    ------
    InputError
        If a split, its images or its labels are missing or damaged, or the classes of the splits differ.
    """
    folder = os.path.expanduser(os.fspath(data_dir))
    if data_format is None:
        train_folder = os.path.join(folder, splits.get("train_split") or "train")
        is_record = os.path.isfile(folder) and folder.endswith(".rec")
        data_format = "rec" if is_record or has_records(folder) and not os.path.isdir(train_folder) else "files"
    if data_format == "rec":
        splits.pop("val_labels", None)
        return open_record_folder(data_dir, **splits)
    return open_image_folder(data_dir, **splits)
