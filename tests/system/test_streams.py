"""Tests for guarded standard streams: what is an error of the stream, and what of a file."""

import os
import sys

import pytest

from resattnet.options import command_line
from resattnet.system import streams


class Full:
    """A stream to which nothing can be written."""

    def __init__(self, error):
        self._error = error

    def write(self, text):
        raise self._error

    def flush(self):
        pass

    def fileno(self):
        return os.open(os.devnull, os.O_WRONLY)


def fill(monkeypatch):
    """Replace stdout and stderr, in the test itself: pytest sets its own again after the fixtures."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Full(OSError(28, "No space left on device")))


def test_stdout_raises_and_stderr_discards(monkeypatch):
    fill(monkeypatch)
    with streams.guarded():
        with pytest.raises(streams.LostStream, match="No space left"):
            print("result")
        print("message", file=sys.stderr)
        assert isinstance(streams.flush_or_discard(sys.stdout), streams.LostStream)
        assert streams.flush_or_discard(sys.stdout) is None


def test_stdout_that_is_not_needed_discards(monkeypatch):
    fill(monkeypatch)
    with streams.guarded():
        streams.go_on_without(sys.stdout)
        print("line")
        assert streams.flush_or_discard(sys.stdout) is None


def test_a_lost_stream_is_not_mistaken_for_another_file(capfd):
    """Another file on a full disk is a bug if no message names it."""
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space left on device"):
        command_line.run(lambda: full.write(b"x"))
    with pytest.raises(SystemExit) as end:
        command_line.run(lambda: print("result"))
    assert end.value.code is None and capfd.readouterr().out == "result\n"


def test_streams_that_were_closed_at_the_start_are_no_terminals(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert not streams.is_terminal(sys.stderr) and streams.flush_or_discard(sys.stdout) is None
    with streams.guarded():
        print("message", file=sys.stderr)
    assert (sys.stdin, sys.stdout, sys.stderr) == (None, None, None)
