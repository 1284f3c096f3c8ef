"""The numbers of ImageNet's classes: its development kit has their synsets in a file of MATLAB."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Sequence

import numpy as np

from ..system.errors import InputError, list_some, reason

_META = "meta.mat"  # of the development kit: the synset of each number


def synsets_of_ids(path: str, ids: Sequence[str]) -> List[str]:
    """Return the synset of each ILSVRC2012 ID; the IDs are not in the order of the synsets.

    Parameters
    ----------
    path : str
        The list that has the IDs; `meta.mat` is read beside it.
    ids : sequence of str
        Whole numbers from 1.

    Raises
    ------
    InputError
        If `meta.mat` is missing, cannot be read or has not all the IDs.
    """
    synsets = _read_meta(path, os.path.join(os.path.dirname(path), _META))
    unknown = [number for number in dict.fromkeys(ids) if int(number) not in synsets]
    if unknown:
        raise InputError(f"{path}: {_META} has no class with the ILSVRC2012 IDs {list_some(unknown)}")
    return [synsets[int(number)] for number in ids]


def _read_meta(path: str, meta: str) -> Dict[int, str]:
    """Return the synset of each ILSVRC2012 ID in the `meta.mat` of ImageNet's development kit."""
    if not os.path.isfile(meta):
        raise InputError(
            f"{path}: its numbers are ILSVRC2012 IDs, whose classes are in {_META} of the same development kit: put it "
            "beside the list, or give another list of `val_labels`"
        )
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise InputError(
            f"{meta}: SciPy is needed to read it ({reason(error)}): python -m pip install scipy"
        ) from error
    try:
        rows: Any = loadmat(meta, squeeze_me=True)["synsets"]
        return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in np.atleast_1d(rows)}
    except Exception as error:  # for damaged files SciPy raises more kinds of errors than it documents
        raise InputError(f"{meta}: not the table of ImageNet's synsets ({reason(error)})") from error
