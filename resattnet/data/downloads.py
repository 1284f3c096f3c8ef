"""Files from the network: downloaded once, resumed, checked and unpacked safely."""

import contextlib
import fcntl
import functools
import http.client
import os
import sys
import tarfile
import urllib.error
import urllib.request
import uuid
import zlib

from tqdm import tqdm

from ..system.errors import InputError
from ..system.files import digest, writing

CHUNK = 1 << 20
TIMEOUT = 30  # seconds without a byte

_writing = functools.partial(writing, way_out=": free the disk or choose another folder")


class DownloadError(InputError):
    """A file that the network did not give; `reason` is why, without the address and the way out."""

    def __init__(self, url, path, reason):
        super().__init__(f"{url} could not be downloaded ({reason}): run again to go on, or put the file at {path}")
        self.reason = reason


def fetch(url, path, size, sha256=None, md5=None, timeout=TIMEOUT):
    """Download `url` to `path` through `path`.part; a file that is at `path` is left as it is.

    An interrupted download goes on where it stopped if the server serves ranges, and starts again
    if not. Processes that fetch the same file at once wait for the one that came first.

    Parameters
    ----------
    url, path : str
        Address and destination; the folder is made where it is missing.
    size : int
        Length in bytes.
    sha256, md5 : str, optional
        Hexadecimal digests; each one given is checked.
    timeout : float
        Seconds to wait for the server's next bytes.

    Returns
    -------
    str
        `path`.

    Raises
    ------
    DownloadError
        No network, an HTTP error, a cut connection: what has come is kept for the next time; where nothing has,
        the folders that were made for it are removed, so that a misspelt one is not left behind.
    InputError
        A download with the wrong checksum (it is removed), or a disk that takes no more.
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
            with _writing(path):
                os.fsync(part.fileno())
                os.replace(path + ".part", path)
    return path


def extract(archive, folder):
    """Unpack the regular files of a tar archive, plain or compressed, into `folder`.

    All members are checked before the first is written. Each file appears whole or not at all, and
    one that exists already is kept.

    Returns
    -------
    list of str
        Paths of the files written.

    Raises
    ------
    InputError
        A damaged archive; a member with an absolute path or `..`, or that is a link or a device; a
        disk that takes no more.
    """
    with _reading(archive), tarfile.open(archive) as tar:
        members = tar.getmembers()
        for member in members:
            _check_member(archive, member)
        # The end of a gzip file holds its checksum, which tarfile stops short of.
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
def _reading(archive):
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{archive}: not a whole tar archive ({_reason(error)}): delete it and run again") from error


@contextlib.contextmanager
def _locked_part(path):
    """The unbuffered `path`.part, open for appending and ours alone; None once `path` is there."""
    while not os.path.exists(path):
        with _writing(path):
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            part = open(path + ".part", "ab", buffering=0)
        with part:
            _lock(part, path)
            if not _is_at(part, path + ".part"):
                continue  # whoever had it renamed or removed it
            if not os.path.exists(path):
                yield part
                return
            os.remove(path + ".part")
    yield None


def _missing_folders(path):
    """The folders above `path` that are not there yet, innermost first."""
    missing, folder = [], os.path.dirname(os.path.abspath(path))
    while not os.path.exists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing


def _remove_empty(folders):
    """Remove folders, innermost first, up to the first that something else is in."""
    with contextlib.suppress(OSError):
        for folder in folders:
            os.rmdir(folder)


def _lock(part, path):
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Waiting for another process that downloads {path}", file=sys.stderr)
        fcntl.flock(part, fcntl.LOCK_EX)
    except OSError:
        pass  # a file system without locks: the checksum still tells


def _is_at(part, path):
    try:
        return os.path.samestat(os.fstat(part.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _complete(url, part, size, timeout):
    """Bring `part` to `size` bytes; return '' or the reason why that was not possible."""
    have = part.seek(0, os.SEEK_END)
    if have > size:
        have = part.truncate(0)
    while have < size:
        reason = _receive(url, part, have, size, timeout)
        before, have = have, part.seek(0, os.SEEK_END)
        # A connection that was cut is worth another one as long as each brings something.
        if have <= before:
            return reason
    return ""


def _receive(url, part, start, size, timeout):
    """Append to `part`, which has `start` bytes, what one request gives; return why it ended early."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return _receive(url, part, part.truncate(0), size, timeout)
        return _reason(error)
    except (OSError, http.client.HTTPException) as error:
        return _reason(error)
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
        with _writing(part.name):
            part.truncate(start)
        print(f"Downloading {url}: {size - start:,} of {size:,} bytes to go", file=sys.stderr)
        return _append(response, part, start, size)


def _append(response, part, have, size):
    """Append the rest of `size` bytes to `part`; return '' or why they did not all come."""
    name = os.path.basename(part.name)[: -len(".part")]
    with tqdm(desc=name, total=size, initial=have, unit="B", unit_scale=True, disable=None) as bar:
        while have < size:
            try:
                # read() would throw away what had come of a chunk when the connection breaks.
                chunk = response.read1(min(CHUNK, size - have))
            except (OSError, http.client.HTTPException) as error:
                return _reason(error)
            if not chunk:
                return f"the connection was cut after {have:,} of {size:,} bytes"
            with _writing(part.name):
                _write_all(part, chunk)
            have += len(chunk)
            bar.update(len(chunk))
    return ""


def _write_all(file, chunk):
    # An unbuffered file may take less than it is given, where the disk is nearly full.
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _check(url, path, **digests):
    """Compare `path`.part with its digests by algorithm; where one differs, remove it and say so."""
    for algorithm, expected in digests.items():
        if expected is None:
            continue
        found = digest(path + ".part", algorithm)
        if found != expected.lower():
            os.remove(path + ".part")
            raise InputError(
                f"{url}: the download was corrupted ({algorithm.upper()} {found}, expected {expected}) and is removed: run again, or put "
                f"the file at {path}"
            )


def _check_member(archive, member):
    """Refuse what could write outside the folder or make anything but a file."""
    if member.name.startswith("/") or ".." in member.name.split("/") or "\0" in member.name:
        fault = "leads out of the folder"
    elif not (member.isreg() or member.isdir()):
        fault = "is a link or a device"
    else:
        return
    raise InputError(
        f"{archive}: member {member.name!r} {fault}: refused, delete this archive and take the official one"
    )


def _write_whole(path, source):
    """Write a readable `source` to `path` through a temporary file beside it."""
    # Not even two hosts on one file system may share it: hence no process number.
    part = f"{path}.{uuid.uuid4().hex[:8]}.part"
    with _writing(path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        file = open(part, "xb", buffering=0)
    try:
        with file:
            for chunk in iter(lambda: source.read(CHUNK), b""):
                with _writing(path):
                    _write_all(file, chunk)
        with _writing(path):
            os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)


def _reason(error):
    """The cause of a network or file error in a few words, on one line."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        error = error.reason
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
