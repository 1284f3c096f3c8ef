"""Open and parse files that may be damaged, or may not be what their names say."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from typing import Any, Dict, List, Tuple, Union

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_DEPTH = 50  # levels of objects and lists; what this package writes has less than 10
_TOO_DEEP = "it is nested too deeply"


def check_regular(path: str) -> None:
    """Raise OSError if a path is a named pipe, a socket or a device, which could keep a reader waiting for ever.

    The standard streams and pipes that a shell opens, below /dev and /proc, are allowed: something writes to them. A
    missing file and a folder are left to the reader, which has its own message.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    for is_kind, kind in _KINDS:
        if is_kind(mode) and not (kind == "a named pipe" and os.path.abspath(path).startswith(("/dev/", "/proc/"))):
            raise OSError(errno.EINVAL, f"it is {kind}, not a file", path)


def read_bytes(path: str) -> bytes:
    """Return the contents of a regular file; see `check_regular`."""
    check_regular(path)
    with open(path, "rb") as handle:
        return handle.read()


def read_text(path: str, encoding: str = "utf-8") -> str:
    """Return the text of a regular file, with its ends of lines as they are; see `check_regular`."""
    return read_bytes(path).decode(encoding)


def parse_json(text: Union[str, bytes], finite: bool = True) -> Any:
    """Return the value of a JSON text, UTF-8 if it is bytes.

    Parameters
    ----------
    text : str or bytes
    finite : bool
        Whether infinite numbers and NaN are refused.

    Raises
    ------
    ValueError
        If the text is not JSON, is nested too deeply, or has a name twice in one object.
    """
    decoded = text if isinstance(text, str) else text.decode("utf-8")
    try:
        value = json.loads(decoded, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_values(value, finite, _DEPTH)
    return value


def read_json(path: str, finite: bool = True) -> Any:
    """Return the value of a JSON file; see `parse_json` and `check_regular`.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        As `parse_json`.
    """
    return parse_json(read_bytes(path), finite)


def _check_values(value: Any, finite: bool, depth: int) -> None:
    if depth < 0:
        raise ValueError(_TOO_DEEP)
    if isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            _check_values(part, finite, depth - 1)
    elif finite and isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it has a number that is not finite")


def _unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a name twice")
    return found
