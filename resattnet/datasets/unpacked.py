"""Digests of the files that were unpacked from an archive: kept beside the files, and checked when these are read."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Dict, List, NamedTuple, Sequence

from ..system.errors import InputError, reason
from ..system.files import digest, write_json
from ..system.input_files import read_json
from .downloads import writing_file

NAME = "unpacked.json"  # in the folder of the files


class Unpacked(NamedTuple):
    """A file as it was unpacked: its SHA-256, and that of the archive."""

    sha256: str
    archive_sha256: str


def read_digests(folder: str) -> Dict[str, Unpacked]:
    """Return what is known of the files in a folder, by name; nothing if they were not unpacked by this package.

    Raises
    ------
    InputError
        If the list of the digests is damaged.
    """
    path = os.path.join(folder, NAME)
    try:
        return {str(name): Unpacked(str(one), str(archive)) for name, (one, archive) in read_json(path).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged ({reason(error)}): delete it and the files beside it, and run again"
        ) from error


def keep_digests(folder: str, written: Sequence[str], archive: str) -> None:
    """Add the files `written` into a folder, unpacked from an archive, to the list of the folder's digests."""
    new = [path for path in written if os.path.dirname(os.path.abspath(path)) == os.path.abspath(folder)]
    if not new:
        return
    source = digest(archive)
    known = dict(read_digests(folder), **{os.path.basename(path): Unpacked(digest(path), source) for path in new})
    with writing_file(os.path.join(folder, NAME)):
        write_json(os.path.join(folder, NAME), known)


def check_digest(path: str, contents: Any, known: Dict[str, Unpacked], advice: str) -> None:
    """Raise InputError if the contents of a file, a buffer, are not those that were unpacked.

    Parameters
    ----------
    path : str
    contents : buffer
    known : dict of str to Unpacked
        As `read_digests` returns it. A file that it does not name is not checked.
    advice : str
        End of the message.
    """
    one = known.get(os.path.basename(path))
    if one and hashlib.sha256(contents).hexdigest() != one.sha256:
        raise InputError(
            f"{path}: its SHA-256 is not that of the file that was unpacked: it was damaged or changed; {advice}"
        )


def remarks(title: str, folder: str, names: Sequence[str], archive_sha256: str) -> List[str]:
    """Return what cannot be said of the files of a data set: lines for the log of a run.

    Parameters
    ----------
    title : str
        The data set.
    folder : str
    names : sequence of str
        The files of the data set.
    archive_sha256 : str
        SHA-256 of the official archive.
    """
    known = read_digests(folder)
    unknown = [name for name in names if name not in known]
    foreign = sorted({one.archive_sha256 for name, one in known.items() if name in names} - {archive_sha256})
    found = []
    if unknown:
        which = "its files" if len(unknown) == len(names) else ", ".join(unknown)
        found.append(f"{title} in {folder}: {which} cannot be checked, since resattnet did not unpack them")
    if foreign:
        found.append(
            f"{title} in {folder}: unpacked from an archive that is not the official one (SHA-256 {foreign[0]})"
        )
    return found
