"""Unpack tar archives safely."""

from __future__ import annotations

import contextlib
import os
import tarfile
import uuid
import zlib
from typing import Any, Iterator, List, Union

from ..system.errors import InputError
from .downloads import CHUNK, one_line_reason, write_all, writing_file


def extract(archive: str, folder: Union[str, os.PathLike]) -> List[str]:
    """Unpack the regular files of a tar archive, plain or compressed, into `folder`.

    All members are checked before the first is written. Each file appears whole or not at all. A file that exists
    already is kept.

    Returns
    -------
    list of str
        Paths of the files that were written.

    Raises
    ------
    InputError
        If the archive is damaged, a member has an absolute path or `..`, a member is a link or a device, or the disk
        is full.
    """
    with _reading(archive), tarfile.open(archive) as tar:
        members = tar.getmembers()
        for member in members:
            _check_member(archive, member)
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


@contextlib.contextmanager
def _reading(archive: str) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(
            f"{archive}: not a complete tar archive ({one_line_reason(error)}): delete it and run again"
        ) from error


def _check_member(archive: str, member: tarfile.TarInfo) -> None:
    """Raise InputError for a member that could write outside the folder, or is not a file or a folder."""
    if member.name.startswith("/") or ".." in member.name.split("/") or "\0" in member.name:
        fault = "leads out of the folder"
    elif not (member.isreg() or member.isdir()):
        fault = "is a link or a device"
    else:
        return
    raise InputError(
        f"{archive}: member {member.name!r} {fault}: refused, delete this archive and take the official one"
    )


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
