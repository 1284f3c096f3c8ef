"""The standard streams of a process, which may be gone before it is: a closed pipe or terminal, a full disk."""

import os


def flush_or_discard(stream):
    """Flush a standard stream, and have it lead nowhere if it cannot be written to any more.

    Else Python would try again as it ends, complain, and leave with 120.

    Returns
    -------
    OSError or None
        Why it cannot be written to.
    """
    try:
        stream.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return error
    return None
