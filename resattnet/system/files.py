"""Files that are whole or not there: written beside their place, flushed, then renamed into it."""

import contextlib
import csv
import hashlib
import json
import os

from .errors import InputError

TEMPORARY = ".tmp"  # one ending: what a killed process left is written over


@contextlib.contextmanager
def writing(what, way_out=""):
    """A context in which `what` is written: an OSError becomes the InputError that says it cannot be, and why.

    The file that could not be is named too, where `what` is not its path. `way_out` is added at the end.
    """
    try:
        yield
    except OSError as error:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
        name = name[: -len(TEMPORARY)] if name.endswith(TEMPORARY) else name
        where = "" if str(what).endswith(name) else f": {name}"
        raise InputError(f"{what} cannot be written ({error.strerror or error}{where}){way_out}") from error


def write_atomically(path, write, keep=None):
    """Have `write(temporary_path)` make a file, flush it to the disk and put it in the place of `path`.

    What stood there before is kept under the name `keep`, if one is given.
    """
    write_together({path: write}, keep)


def write_together(writers, keep=None):
    """`write_atomically` of several files, by path: none is put in its place before all are whole."""
    temporaries = {path: path + TEMPORARY for path in writers}
    try:
        for path, temporary in temporaries.items():
            writers[path](temporary)
            with open(temporary, "rb+") as handle:
                os.fsync(handle.fileno())
        for path, temporary in temporaries.items():
            if keep and os.path.exists(path):
                os.replace(path, keep)
            os.replace(temporary, path)
    finally:
        for temporary in temporaries.values():
            if os.path.exists(temporary):
                os.remove(temporary)


def json_writer(value):
    """What writes a value of JSON types, for `write_atomically`."""

    def write(temporary):
        with open(temporary, "w", encoding="utf-8") as handle:
            json.dump(value, handle, indent=1)

    return write


def write_json(path, value):
    """Write a value of JSON types, atomically."""
    write_atomically(path, json_writer(value))


def write_text(path, text):
    """Write a text as UTF-8, atomically; an InputError that names the file if that cannot be."""

    def write(temporary):
        with open(temporary, "w", encoding="utf-8") as handle:
            handle.write(text)

    with writing(path):
        write_atomically(path, write)


def write_csv(path, rows):
    """Write a table atomically: a dict for each row, at least one; a cell that a row lacks is empty."""

    def write(temporary):
        with open(temporary, "w", newline="", encoding="utf-8") as handle:
            names = list(dict.fromkeys(name for row in rows for name in row))
            writer = csv.DictWriter(handle, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(path, write)


def digest(path, algorithm="sha256"):
    """The digest of a file, in hexadecimal."""
    state = hashlib.new(algorithm)
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            state.update(block)
    return state.hexdigest()
