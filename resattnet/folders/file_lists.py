"""Compact lists of image files with their labels, for folders with any number of images."""

from __future__ import annotations

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Iterable, List, Sequence, Tuple, Union

import numpy as np

from ..system.errors import InputError, reason
from ..system.input_files import read_bytes
from .labelled_list import LabelledList

_CHUNK = 4096  # names that are hashed at once
_THREADS = 16  # for the sizes of files: on a network file system, each has to be waited for


class FileList(LabelledList):
    """Image files and their labels.

    The names are one bytes object, and arrays say where each of them begins and ends. 1.28 million names of ImageNet
    take 60 MB, and processes that are forked share them.

    `from_names` makes a list, and `take` a part of one.

    Attributes
    ----------
    root : str
        Folder that the names are relative to.
    classes : tuple of str
        Name of each class.
    labels : int32 array (N,)
        Class of each file.
    """

    def __init__(
        self,
        root: str,
        classes: Tuple[str, ...],
        names: bytes,
        begins: np.ndarray,
        lengths: np.ndarray,
        labels: np.ndarray,
    ) -> None:
        self.root, self.classes, self.labels = root, classes, labels
        self._names, self._begins, self._lengths = names, begins, lengths

    @classmethod
    def from_names(
        cls,
        root: str,
        classes: Tuple[str, ...],
        groups: Iterable[Tuple[Sequence[bytes], Union[int, np.ndarray]]],
    ) -> FileList:
        """Make a list of groups of names.

        Parameters
        ----------
        root : str
            Folder that the names are relative to.
        classes : tuple of str
            Name of each class.
        groups : iterable of (sequence of bytes, int or int array (n,))
            Names as the file system has them, and the label of all or of each. One group is in memory at a time.
        """
        joined = io.BytesIO()  # it gives its bytes away without a copy
        lengths: List[np.ndarray] = [np.empty(0, np.int32)]
        labels: List[np.ndarray] = [np.empty(0, np.int32)]
        for names, of_group in groups:
            joined.write(b"".join(names))
            lengths.append(np.fromiter(map(len, names), np.int32, len(names)))
            labels.append(np.full(len(names), of_group, np.int32))
        each = np.concatenate(lengths)
        ends = np.cumsum(each, dtype=np.int64)
        return cls(root, classes, joined.getvalue(), ends - each, each, np.concatenate(labels))

    def path(self, number: int) -> str:
        """Return the path of a file. Bytes of it that are not UTF-8 are as `os.fsdecode` has them."""
        begin = int(self._begins[number])
        return os.path.join(self.root, os.fsdecode(self._names[begin : begin + int(self._lengths[number])]))

    def read(self, number: int) -> bytes:
        """Return the contents of a file.

        Raises
        ------
        OSError
            If the file cannot be read, or is none.
        """
        return read_bytes(self.path(number))

    def take(self, rows: np.ndarray) -> FileList:
        """Return the list of some files, in the order of `rows`. The names stay shared in memory.

        Parameters
        ----------
        rows : int array (n,) or bool array (N,)
            Numbers of files, or which files.
        """
        return FileList(
            self.root, self.classes, self._names, self._begins[rows], self._lengths[rows], self.labels[rows]
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 of names, sizes in bytes and labels of all files in their order, in hexadecimal.

        The sizes show that a file was replaced by another one of the same name, without reading it. They cost a call
        of the operating system for each file, which training on the file would need anyway. Neither the folder `root`
        nor the class names count.

        Raises
        ------
        InputError
            If a file is gone.
        """
        state = hashlib.sha256()
        with ThreadPoolExecutor(_THREADS) as pool:
            for part in pool.map(self._names_and_sizes, range(0, len(self), _CHUNK)):
                state.update(part)
        state.update(np.ascontiguousarray(self.labels, "<i4"))
        return state.hexdigest()

    def _names_and_sizes(self, begin: int) -> bytes:
        """Return the names and then the sizes of the files of a chunk, in bytes that no other names and sizes give."""
        rows = slice(begin, begin + _CHUNK)
        spans = zip(self._begins[rows].tolist(), self._lengths[rows].tolist())
        names = [self._names[start : start + length] for start, length in spans]
        prefix = os.path.join(os.fsencode(self.root), b"")
        try:
            sizes = [os.stat(prefix + name).st_size for name in names]
        except OSError as error:
            raise InputError(f"{os.fsdecode(error.filename)}: cannot be read ({reason(error)})") from error
        return b"\0".join(names) + b"\0" + np.array(sizes, "<i8").tobytes()
