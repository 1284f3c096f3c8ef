"""Write TensorBoard event files with MXBoard, working around the faults of its version 0.1.0."""

from __future__ import annotations

import os
from typing import Any, Mapping


class DirectEvents:
    """Replacement of MXBoard's writer thread that writes each event at once, so that errors reach the caller.

    The thread of MXBoard 0.1.0 ends on a write error, after which training hangs as soon as the thread's queue is full.
    Events still in the queue when the process ends without closing it are lost.

    Parameters
    ----------
    logdir : str
        Folder of the event file. It is made if it does not exist.
    suffix : str
        End of the file's name.
    """

    def __init__(self, logdir: str, suffix: str) -> None:
        from mxboard.event_file_writer import EventsWriter

        self._logdir = logdir
        os.makedirs(logdir, exist_ok=True)
        self._events = EventsWriter(os.path.join(logdir, "events"), verbose=False)
        try:
            self._events.init_with_suffix(suffix)
        except ValueError as error:  # what MXBoard makes of the OSError of a file that cannot be opened
            raise OSError(str(error)) from error

    def get_logdir(self) -> str:
        """Return the folder of the event file."""
        return self._logdir

    def add_event(self, event: Any) -> None:
        """Write an event."""
        self._events.write_event(event)

    def flush(self) -> None:
        """Write what is buffered to the file."""
        self._events.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._events.close()


def open_board(logdir: str) -> Any:
    """Return an MXBoard `SummaryWriter` for a folder, whose events are in the file once `flush` has returned.

    Raises
    ------
    MXNetUnavailable
        If MXBoard cannot be used here.
    """
    from ..system.mxnet import check_protobuf  # not at the top: MXBoard's import loads MXNet

    check_protobuf()
    from mxboard import SummaryWriter

    # With the process number in its name, the file of a resumed run does not overwrite that of a run that ended within
    # the same second.
    events = DirectEvents(logdir, f".{os.getpid()}")
    board = SummaryWriter(logdir, verbose=False)
    board._file_writer.close()
    board._file_writer._event_writer = events
    return board


def put_text(board: Any, name: str, text: str) -> None:
    """Write a Markdown text to an open board under a name."""
    from mxboard.summary import text_summary

    summary = text_summary(name, text)
    # MXBoard 0.1.0 sets the name of the node only, while TensorBoard shows the tag as the title.
    summary.value[0].tag = name
    board._file_writer.add_summary(summary, 0)
    board.flush()


def put_pictures(board: Any, step: int, images: Mapping[str, Any]) -> None:
    """Write named images, uint8 arrays (H, W, 3), to an open board at a step."""
    for name, image in images.items():
        board.add_image(name, image.transpose(2, 0, 1), step)
    board.flush()
