"""Handle standard streams that are closed or can no longer be written to: a closed pipe or terminal, a full disk."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, Callable, Iterator, Optional, TextIO, TypeVar, cast

_T = TypeVar("_T")
# How the null device stands in for a stream that is closed: what a command cannot read or print is an error, and
# messages vanish.
_STAND_INS = {0: os.O_WRONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}


class LostStream(OSError):
    """A standard stream that a command needs cannot be written to. It is no error of any other file."""


class _Guarded:
    """A standard stream whose errors are `LostStream`s, or are discarded with what else is written to it.

    Parameters
    ----------
    stream : text file
    needed : bool
        Whether an error is raised.

    Attributes
    ----------
    failure : LostStream or None
        The first error. It is kept for callers that do not see it, since argparse suppresses errors.
    """

    def __init__(self, stream: TextIO, needed: bool) -> None:
        self._stream = stream
        self.needed = needed
        self.failure: Optional[LostStream] = None
        self.lost: Optional[OSError] = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return self._attempt(lambda: self._stream.write(text), len(text))

    def flush(self) -> None:
        self._attempt(self._stream.flush, None)

    def _attempt(self, action: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return action()
        except OSError as error:
            if not self.needed:
                discard(self._stream)
                return otherwise
            lost = LostStream(error.errno, error.strerror)
            self.failure = self.failure or lost
            raise lost from error


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Context of a command: if stdout cannot be written to, it raises `LostStream`; stderr discards what is lost.

    Streams that were closed when the process began, as by `>&-`, exist: reading and printing fail, messages vanish.
    """
    fill_descriptors()
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = sys.stdin or open(0, closefd=False)
    sys.stdout = cast(TextIO, _Guarded(sys.stdout or open(1, "w", closefd=False), needed=True))
    sys.stderr = cast(TextIO, _Guarded(sys.stderr or open(2, "w", closefd=False), needed=False))
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def fill_descriptors() -> None:
    """Open the null device in place of each standard stream that is closed, so that no other file gets its number."""
    for number, mode in _STAND_INS.items():
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, mode)
            if null != number:
                os.dup2(null, number)
                os.close(null)


def go_on_without(stream: Any) -> None:
    """From now on discard what cannot be written to a stream, instead of raising, within `guarded`."""
    if isinstance(stream, _Guarded):
        stream.needed = False


@contextlib.contextmanager
def tolerated(stream: Any) -> Iterator[None]:
    """Discard a stream that cannot be written to within the block; `lost_before` then has the error.

    What a stream could not write must not stay in its buffer: a process that is forked flushes it.
    """
    try:
        yield
    except OSError as error:
        discard(stream)
        if isinstance(stream, _Guarded):
            stream.lost = error


def lost_before(stream: Any) -> Optional[OSError]:
    """Return the error for which `tolerated` discarded a stream; None if it did not."""
    return getattr(stream, "lost", None)


def is_terminal(stream: Optional[TextIO]) -> bool:
    """Return whether a standard stream is a terminal. A stream that is closed is None."""
    return stream is not None and stream.isatty()


def flush_or_discard(stream: Optional[TextIO]) -> Optional[OSError]:
    """Flush a standard stream; if that fails, or writing has failed before, redirect it to the null device.

    Without the redirection Python would try again when it ends, print a warning and exit with code 120.

    Returns
    -------
    OSError or None
        The error, if the stream cannot be written to.
    """
    if stream is None:
        return None
    try:
        stream.flush()
        error = getattr(stream, "failure", None)
    except OSError as lost:
        error = lost
    if error:
        discard(stream)
    return error


def discard(stream: Any) -> None:
    """Redirect a standard stream to the null device, and forget that writing to it has failed."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
    if isinstance(stream, _Guarded):
        stream.failure = None
