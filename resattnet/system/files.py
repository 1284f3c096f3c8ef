"""Write files atomically: under a temporary name, flushed to the disk, then renamed to their own."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import json
import os
from typing import IO, Any, Callable, Iterator, List, Mapping, Optional, Sequence

from .errors import InputError, reason

TEMPORARY = ".tmp"  # a fixed ending, so that the next process overwrites the file that a killed one left

Writer = Callable[[str], Any]  # writes a file at the path that it is given


@contextlib.contextmanager
def writing(what: str, advice: str = "") -> Iterator[None]:
    """Context in which an `OSError` becomes the `InputError` "`what` cannot be written (reason)".

    Parameters
    ----------
    what : str
        What is written: a path, or an option such as "`output=assessed`". If it does not end with the path of the file
        that could not be written, the message has that path too.
    advice : str
        End of the message, such as "; free the disk".
    """
    try:
        yield
    except OSError as error:
        path = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
        if path.endswith(TEMPORARY):
            path = path[: -len(TEMPORARY)]
        where = "" if str(what).rstrip("`").endswith(path) else f": {path}"
        raise InputError(f"{what} cannot be written ({reason(error)}{where}){advice}") from error


def write_atomically(path: str, write: Writer, keep: Optional[str] = None) -> None:
    """Write a file so that there is always either the old file or the complete new one.

    Parameters
    ----------
    path : str
    write : callable
        Writes the file at the temporary path that it is called with.
    keep : str, optional
        New name of the file that was at `path` before. Default: that file is replaced.
    """
    write_together({path: write}, keep)


def write_together(writers: Mapping[str, Writer], keep: Optional[str] = None) -> None:
    """Write several files as `write_atomically` does; none is put in its place before all are whole.

    Parameters
    ----------
    writers : mapping of str to callable
        The function that writes the file of each path.
    keep : str, optional
        See `write_atomically`.
    """
    temporaries = {path: path + TEMPORARY for path in writers}
    with replacing(temporaries, keep):
        for path, temporary in temporaries.items():
            writers[path](temporary)


@contextlib.contextmanager
def replacing(temporaries: Mapping[str, str], keep: Optional[str] = None) -> Iterator[None]:
    """Context that writes temporary files: at its end they are flushed and renamed; after an error they are removed.

    If the process is killed or a rename fails between two renames, the files that were not renamed keep their temporary
    names, so that a reader can complete the set.

    Parameters
    ----------
    temporaries : mapping of str to str
        The temporary path of each file, by its path.
    keep : str, optional
        See `write_atomically`.
    """
    renamed = False
    try:
        yield
        for temporary in temporaries.values():
            with open(temporary, "rb+") as handle:
                os.fsync(handle.fileno())
        for path, temporary in temporaries.items():
            if keep and os.path.exists(path):
                os.replace(path, keep)
            os.replace(temporary, path)
            renamed = True
    finally:
        for temporary in temporaries.values():
            if not renamed and os.path.exists(temporary):
                os.remove(temporary)


def json_writer(value: Any) -> Writer:
    """Return a function that writes a value of JSON types, for `write_atomically`."""

    def write(temporary: str) -> None:
        with open(temporary, "w", encoding="utf-8") as handle:
            json.dump(value, handle, indent=1)

    return write


def digest_values(values: Mapping[str, Any], without: str) -> str:
    """Return the SHA-256 of an object of JSON types, in hexadecimal, leaving out the name `without` that holds it.

    It depends neither on the order of the names nor on the layout of the file.
    """
    others = {name: value for name, value in values.items() if name != without}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()


def write_json(path: str, value: Any) -> None:
    """Write a value of JSON types atomically."""
    write_atomically(path, json_writer(value))


def write_text(path: str, text: str) -> None:
    """Write a text as UTF-8, atomically.

    Raises
    ------
    InputError
        If the file cannot be written.
    """

    def write(temporary: str) -> None:
        with open(temporary, "w", encoding="utf-8") as handle:
            handle.write(text)

    with writing(path):
        write_atomically(path, write)


def write_csv(path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table as CSV, atomically.

    Parameters
    ----------
    path : str
    rows : sequence of mappings
        The cells of each row by column, at least one row. A cell that a row does not have is left empty.
    """

    def write(temporary: str) -> None:
        with open(temporary, "w", newline="", encoding="utf-8") as handle:
            names = list(dict.fromkeys(name for row in rows for name in row))
            writer = csv.DictWriter(handle, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(path, write)


def is_open_at(handle: IO[Any], path: str) -> bool:
    """Return whether an open file is the one at `path`: False once that was removed, renamed or replaced."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), os.stat(path))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
            return False
        raise


def list_folder(folder: str) -> List[str]:
    """Return the names in a folder; none if it is missing or this user may not read it."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def digest(path: str, algorithm: str = "sha256") -> str:
    """Return the hash of a file, in hexadecimal."""
    state = hashlib.new(algorithm)
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            state.update(block)
    return state.hexdigest()
