"""Download files: once, with resumption, and with a check of their digests."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import http.client
import os
import sys
import urllib.error
import urllib.request
from typing import Any, BinaryIO, Iterator, List, Optional, Union

from ..system.console import progress_bar, say
from ..system.errors import InputError
from ..system.files import digest, is_open_at, writing

CHUNK = 1 << 20
TIMEOUT = 30  # seconds to wait for a byte

writing_file = functools.partial(writing, advice=": free the disk or choose another folder")


class DownloadError(InputError):
    """A file could not be downloaded. `reason` says why, without the address and the way out."""

    def __init__(self, url: str, path: str, reason: str) -> None:
        super().__init__(f"{url} could not be downloaded ({reason}): run again to resume, or put the file at {path}")
        self.reason = reason


def fetch(
    url: str,
    path: Union[str, os.PathLike],
    size: int,
    sha256: Optional[str] = None,
    md5: Optional[str] = None,
    timeout: float = TIMEOUT,
) -> str:
    """Download `url` to `path` by way of `path`.part. A file that exists at `path` is kept.

    An interrupted download resumes if the server supports ranges, and starts again if not. Processes that fetch the
    same file at the same time wait for the first of them.

    Parameters
    ----------
    url, path : str
        Address and destination. The folder is made if it does not exist.
    size : int
        Length in bytes.
    sha256, md5 : str, optional
        Hexadecimal digests. Each one that is given is checked.
    timeout : float
        Seconds to wait for the server's next bytes.

    Returns
    -------
    str
        `path`.

    Raises
    ------
    DownloadError
        If there is no network, the server answers with an error, or the connection is cut. Bytes that were received
        are kept for the next attempt. If there are none, the folders that were made for them are removed, so that a
        misspelt folder is not left behind.
    InputError
        If the checksum of the download is wrong (the download is removed), or the disk is full.
    """
    path = os.fspath(path)
    made = _missing_folders(path)
    with _locked_part(path) as part:
        if part is not None:
            reason = _complete(url, part, size, timeout)
            if reason:
                if not part.tell():
                    os.remove(part.name)
                    _remove_empty(made)
                raise DownloadError(url, path, reason)
            _check(url, path, sha256=sha256, md5=md5)
            with writing_file(path):
                os.fsync(part.fileno())
                os.replace(path + ".part", path)
    return path


@contextlib.contextmanager
def _locked_part(path: str) -> Iterator[Optional[BinaryIO]]:
    """Open `path`.part for appending, unbuffered and for this process alone. None if `path` exists by then."""
    while not os.path.exists(path):
        with writing_file(path):
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            part = open(path + ".part", "ab", buffering=0)
        with part:
            _lock(part, path)
            if not is_open_at(part, path + ".part"):
                continue  # the process that had it has renamed or removed it
            if not os.path.exists(path):
                yield part
                return
            os.remove(path + ".part")
    yield None


def _missing_folders(path: str) -> List[str]:
    """Return the folders above `path` that do not exist, innermost first."""
    missing, folder = [], os.path.dirname(os.path.abspath(path))
    while not os.path.exists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing


def _remove_empty(folders: List[str]) -> None:
    """Remove folders, innermost first, up to the first that is not empty."""
    with contextlib.suppress(OSError):
        for folder in folders:
            os.rmdir(folder)


def _lock(part: BinaryIO, path: str) -> None:
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"Waiting for another process that downloads {path}", sys.stderr)
        fcntl.flock(part, fcntl.LOCK_EX)
    except OSError:
        pass  # a file system without locks: the checksum shows whether all is well


def _complete(url: str, part: BinaryIO, size: int, timeout: float) -> str:
    """Download until `part` has `size` bytes. Return '' or the reason why that was not possible."""
    have = part.seek(0, os.SEEK_END)
    if have > size:
        have = part.truncate(0)
    while have < size:
        reason = _receive(url, part, have, size, timeout)
        before, have = have, part.seek(0, os.SEEK_END)
        # After a cut connection, connect again as long as each connection brings new bytes.
        if have <= before:
            return reason
    return ""


def _receive(url: str, part: BinaryIO, start: int, size: int, timeout: float) -> str:
    """Append the answer to one request to `part`, which has `start` bytes. Return '' or why it ended early."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return _receive(url, part, part.truncate(0), size, timeout)
        return one_line_reason(error)
    except (OSError, http.client.HTTPException) as error:
        return one_line_reason(error)
    with response:
        if response.getcode() == 206:
            given = response.headers.get("Content-Range", "")
            if not given.startswith(f"bytes {start}-"):
                return _receive(url, part, part.truncate(0), size, timeout)
        else:
            start = 0
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and start + int(length) != size:
            return f"the server has {start + int(length):,} bytes, expected {size:,}"
        with writing_file(part.name):
            part.truncate(start)
        say(f"Downloading {url}: {size - start:,} of {size:,} bytes to go", sys.stderr)
        return _append(response, part, start, size)


def _append(response: Any, part: BinaryIO, have: int, size: int) -> str:
    """Append the rest of `size` bytes to `part`. Return '' or why some are missing."""
    name = os.path.basename(part.name)[: -len(".part")]
    with progress_bar(desc=name, total=size, initial=have, unit="B", unit_scale=True) as bar:
        while have < size:
            try:
                # read() would discard the bytes received of a chunk if the connection breaks.
                chunk = response.read1(min(CHUNK, size - have))
            except (OSError, http.client.HTTPException) as error:
                return one_line_reason(error)
            if not chunk:
                return f"the connection was cut after {have:,} of {size:,} bytes"
            with writing_file(part.name):
                write_all(part, chunk)
            have += len(chunk)
            bar.update(len(chunk))
    return ""


def write_all(file: Any, chunk: bytes) -> None:
    """Write all of a chunk to an unbuffered file."""
    # An unbuffered file may write fewer bytes than it is given if the disk is nearly full.
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _check(url: str, path: str, **digests: Optional[str]) -> None:
    """Compare `path`.part with its digests by algorithm. If one differs, remove the file and raise InputError."""
    for algorithm, expected in digests.items():
        if expected is None:
            continue
        found = digest(path + ".part", algorithm)
        if found != expected.lower():
            os.remove(path + ".part")
            raise InputError(
                f"{url}: the download was corrupted ({algorithm.upper()} {found}, expected {expected}) and was "
                f"removed: run again, or put the file at {path}"
            )


def one_line_reason(error: Any) -> str:
    """Return the cause of a network or file error in a few words, on one line."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        error = error.reason
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
