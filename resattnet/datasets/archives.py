"""Unpack tar archives safely."""

from __future__ import annotations

import contextlib
import os
import tarfile
import uuid
from typing import Any, Iterator, List, Optional, Union

from ..system.errors import InputError
from ..system.input_files import check_regular
from .downloads import CHUNK, one_line_reason, write_all, writing_file

_REFUSED = "refused, delete this archive and take the official one"


def extract(archive: str, folder: Union[str, os.PathLike], limit: Optional[int] = None) -> List[str]:
    """Unpack the regular files of a tar archive, plain or compressed, into `folder`.

    All members are checked before the first is written. Each file appears whole or not at all. A file that exists
    already is kept.

    Parameters
    ----------
    archive, folder : str
    limit : int, optional
        Largest number of bytes of all members together.

    Returns
    -------
    list of str
        Paths of the files that were written.

    Raises
    ------
    InputError
        If the archive is damaged, a member has an absolute path or `..`, a member is a link or a device or has holes,
        the members have more than `limit` bytes, or the disk is full.
    """
    with _reading(archive), _open(archive) as tar:
        members, size = [], 0
        for member in tar:
            _check_member(archive, member)
            members.append(member)
            size += member.size
            if limit is not None and size > limit:
                raise InputError(f"{archive}: its files have more than {limit:,} bytes: {_REFUSED}")
        # A gzip file ends with its checksum, and tarfile does not read that far.
        while tar.fileobj.read(CHUNK):
            pass
        written = []
        for member in members:
            path = os.path.join(folder, *member.name.split("/"))
            if member.isreg() and not os.path.exists(path):
                _write_whole(path, tar.extractfile(member))
                written.append(path)
    return written


def _open(archive: str) -> tarfile.TarFile:
    check_regular(archive)
    return tarfile.open(archive)


@contextlib.contextmanager
def _reading(archive: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # for damaged bytes tarfile raises more kinds of errors than it documents
        raise InputError(
            f"{archive}: not a complete tar archive ({one_line_reason(error)}): delete it and run again"
        ) from error


def _check_member(archive: str, member: tarfile.TarInfo) -> None:
    """Raise InputError for a member that could write outside the folder, or is not a file or a folder."""
    if member.name.startswith("/") or ".." in member.name.split("/") or "\0" in member.name:
        fault = "leads out of the folder"
    elif not (member.isreg() or member.isdir()):
        fault = "is a link or a device"
    elif member.issparse():
        fault = "is a sparse file"
    elif not 0 <= member.size:
        fault = f"has {member.size} bytes"
    else:
        return
    raise InputError(f"{archive}: member {member.name!r} {fault}: {_REFUSED}")


def _write_whole(path: str, source: Any) -> None:
    """Write a readable `source` to `path` by way of a temporary file beside it."""
    # Two hosts on one file system must not share the name: hence no process number in it.
    part = f"{path}.{uuid.uuid4().hex[:8]}.part"
    with writing_file(path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        file = open(part, "xb", buffering=0)
    try:
        with file:
            for chunk in iter(lambda: source.read(CHUNK), b""):
                with writing_file(path):
                    write_all(file, chunk)
        with writing_file(path):
            os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)
