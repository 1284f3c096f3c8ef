"""Handle standard streams that can no longer be written to: a closed pipe or terminal, a full disk."""

from __future__ import annotations

import os
from typing import IO, Optional


def flush_or_discard(stream: IO[str]) -> Optional[OSError]:
    """Flush a standard stream; if that fails, redirect it to the null device.

    Without the redirection Python would try again when it ends, print a warning and exit with code 120.

    Returns
    -------
    OSError or None
        The error, if the stream cannot be written to.
    """
    try:
        stream.flush()
    except OSError as error:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        return error
    return None
