"""Compact lists of image files with their labels, for folders with any number of images."""

from __future__ import annotations

import hashlib
import os
from typing import Iterable, List, Sequence, Tuple, Union

import numpy as np

from ..system.errors import InputError, reason

_CHUNK = 4096  # names that are hashed at once


class FileList:
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
        joined: List[bytes] = []
        lengths: List[np.ndarray] = [np.empty(0, np.int32)]
        labels: List[np.ndarray] = [np.empty(0, np.int32)]
        for names, of_group in groups:
            joined.append(b"".join(names))
            lengths.append(np.fromiter(map(len, names), np.int32, len(names)))
            labels.append(np.full(len(names), of_group, np.int32))
        each = np.concatenate(lengths)
        ends = np.cumsum(each, dtype=np.int64)
        return cls(root, classes, b"".join(joined), ends - each, each, np.concatenate(labels))

    def __len__(self) -> int:
        return len(self.labels)

    def path(self, number: int) -> str:
        """Return the path of a file. Bytes of it that are not UTF-8 are as `os.fsdecode` has them."""
        return os.path.join(self.root, os.fsdecode(self._name(number)))

    def _name(self, number: int) -> bytes:
        begin = int(self._begins[number])
        return self._names[begin : begin + int(self._lengths[number])]

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

    def class_counts(self) -> np.ndarray:
        """Return the number of files of each class, int64 (classes,)."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)

    def fingerprint(self) -> str:
        """Return the SHA-256 of names, sizes in bytes and labels of all files in their order, in hexadecimal.

        The sizes show that a file was replaced by another one of the same name, without reading it. They cost a call
        of the operating system for each file, after which the file system has in memory what opening the file needs.
        Neither the folder `root` nor the class names count.

        Raises
        ------
        InputError
            If a file is gone.
        """
        state = hashlib.sha256()
        prefix = os.path.join(os.fsencode(self.root), b"")
        for begin in range(0, len(self), _CHUNK):
            names = [self._name(number) for number in range(begin, min(begin + _CHUNK, len(self)))]
            try:
                sizes = [os.stat(prefix + name).st_size for name in names]
            except OSError as error:
                raise InputError(f"{os.fsdecode(error.filename)}: cannot be read ({reason(error)})") from error
            # Neither a separator nor a size can be taken for a part of a name: a name has no zero byte.
            state.update(b"\0".join(names) + b"\0")
            state.update(np.array(sizes, "<i8"))
            state.update(np.ascontiguousarray(self.labels[begin : begin + len(names)], "<i4"))
        return state.hexdigest()
