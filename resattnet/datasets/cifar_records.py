"""The records of CIFAR's binary files: label bytes, then the R, G and B planes of an image."""

from __future__ import annotations

import os
from typing import Sequence

import numpy as np

from ..system.errors import InputError
from ..system.input_files import check_regular

SIDE = 32  # pixels: height and width of an image
AGAIN = "delete it and run again to unpack or download it again"


def read_records(path: str, label_bytes: Sequence[int], count: int) -> np.ndarray:
    """Read and check the records of one binary file.

    Parameters
    ----------
    path : str
    label_bytes : sequence of int
        Number of values of each of a record's leading label bytes.
    count : int
        Number of records that there must be.

    Returns
    -------
    uint8 array (count, record length)

    Raises
    ------
    InputError
        If the file cannot be read, has another length, or has a label out of range.
    """
    length = len(label_bytes) + 3 * SIDE * SIDE
    try:
        check_regular(path)
        found, expected = os.path.getsize(path), count * length
        if found != expected:
            fault = "truncated" if found < expected else "too long"
            raise InputError(f"{path}: {found:,} bytes, expected {expected:,}: {fault}; {AGAIN}")
        records = np.fromfile(path, np.uint8).reshape(count, length)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    for column, values in enumerate(label_bytes):
        wrong = np.flatnonzero(records[:, column] >= values)
        if len(wrong):
            raise InputError(
                f"{path}: record {wrong[0]:,} has label {records[wrong[0], column]}, expected 0 to {values - 1}: "
                f"the file is damaged or belongs to another set; {AGAIN}"
            )
    return records
