"""Write TensorBoard event files with MXBoard, working around the faults of its version 0.1.0."""

from __future__ import annotations

import itertools
import os
from typing import Any, Dict, List, Mapping

from .progress import row_accuracy_name

# Cards with training and validation in one chart: TensorBoard draws the curves of a tag in several folders together.
LOSS, ACCURACY = "loss/train_and_validation", "accuracy/train_and_validation"

_NUMBERS = itertools.count()


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
    from ..machine.mxnet import check_protobuf  # not at the top: MXBoard's import loads MXNet

    check_protobuf()
    from mxboard import SummaryWriter

    # With these numbers in its name, the file of a resumed run does not overwrite that of a run that ended within the
    # same second, in another process or in this one.
    events = DirectEvents(logdir, f".{os.getpid()}.{next(_NUMBERS)}")
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


class RunBoard:
    """The board of a run: its folder, with a sub-folder for each curve that shares a card with others.

    Parameters
    ----------
    folder : str
        Made if it does not exist.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._boards: Dict[str, Any] = {}
        self._board("")

    def _board(self, curve: str) -> Any:
        if curve not in self._boards:
            self._boards[curve] = open_board(os.path.join(self.folder, curve) if curve else self.folder)
        return self._boards[curve]

    def text(self, name: str, text: str) -> None:
        """Write a Markdown text under a name."""
        put_text(self._board(""), name, text)

    def scalars(self, step: int, values: Mapping[str, Any], curve: str = "") -> None:
        """Write numbers by tag at a step, into the folder of the run or that of a curve."""
        board = self._board(curve)
        for tag, value in values.items():
            board.add_scalar(tag, float(value), step)
        board.flush()

    def pictures(self, step: int, images: Mapping[str, Any]) -> None:
        """Write images by name at a step; see `put_pictures`."""
        put_pictures(self._board(""), step, images)

    def epochs(self, rows: List[Mapping[str, Any]]) -> None:
        """Write the last of the rows of all epochs so far; all of them if the board has no curves over epochs yet.

        A run that began with another log folder, or with a version that had other tags, so has whole curves.
        """
        begun = os.path.isdir(os.path.join(self.folder, "validation"))
        for row in rows[-1:] if begun else rows:
            for curve, values in epoch_curves(row).items():
                self.scalars(row["step"], values, curve)

    def close(self) -> None:
        """Close the files."""
        for board in self._boards.values():
            board.close()


def epoch_curves(row: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    """Return an epoch's row as numbers by tag for each curve, which is a sub-folder of the run's; "": the run's own."""
    accuracy = row_accuracy_name(row)
    curves: Dict[str, Dict[str, Any]] = {"": {}, "train": {LOSS: row["train_loss"]}}
    # With mixup the name of the curve says what the accuracy is counted against, as that of the column does.
    curves.setdefault("train" + accuracy[len("accuracy") :], {})[ACCURACY] = row["train_" + accuracy]
    for what in ("validation", "validation_ema"):
        if what + "_loss" in row:
            curves[what] = {LOSS: row[what + "_loss"], ACCURACY: row[what + "_top1"]}
            curves[""][f"accuracy/{what}_top5"] = row[what + "_top5"]
    return curves


def step_scalars(loss: float, accuracy_name: str, accuracy: float, rate: float, speed: float) -> Dict[str, float]:
    """Return the figures of an epoch so far by tag; `accuracy_name` as `progress.accuracy_name` returns it.

    TensorBoard opens the alphabetically first groups: the tags put loss and accuracy there, side by side.
    """
    return {
        "loss/train": loss,
        "accuracy/train" + accuracy_name[len("accuracy") :]: accuracy,
        "progress/learning_rate": rate,
        "progress/samples_per_second": speed,
    }
