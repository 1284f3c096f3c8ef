"""Write the logs of a run: TensorBoard events, a text log, a CSV table, and a bar or lines on the terminal."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Callable, Mapping, Optional, Sequence, Set, TextIO

from tqdm import tqdm

from ..system import console, streams
from ..system.durations import format_duration
from ..system.errors import InputError
from ..system.files import write_csv, writing
from ..system.signals import Interrupted
from .board import RunBoard

_BAR = "progress bar"


class RunLog:
    """The logs of a run: `board/<run>/`, `text/<run>.log` and `csv/<run>.csv` in the log folder, and the terminal.

    A context manager that closes the logs, even when an exception or Ctrl-C ends the run; the text log then ends with
    the message. A disk error ends the log that it affects, with a warning, and never the run.

    Parameters
    ----------
    folder : str
        The log folder.
    run : str
        The run's name.
    arguments : mapping
        The run's arguments, for the board's text page and the first line of the text log.

    Attributes
    ----------
    board_dir, text_path, csv_path : str
        Where the logs are.

    Raises
    ------
    InputError
        If a folder for the logs cannot be made.
    """

    def __init__(self, folder: str, run: str, arguments: Mapping[str, Any]) -> None:
        self.board_dir = os.path.join(folder, "board", run)
        self.text_path = os.path.join(folder, "text", run + ".log")
        self.csv_path = os.path.join(folder, "csv", run + ".csv")
        self._forget()
        with writing(f"`log_dir={folder}`"):
            for path in (self.board_dir, os.path.dirname(self.text_path), os.path.dirname(self.csv_path)):
                os.makedirs(path, exist_ok=True)
        self._attempt("text log", self._open_text, arguments)
        lost = streams.lost_before(sys.stdout)
        if lost:
            self._miss("output", lost)
        self._attempt("board", self._open_board, arguments)

    def _forget(self) -> None:
        self._bar: Any = None
        self._failed: Set[str] = set()
        self._text: Optional[TextIO] = None
        self._board: Optional[RunBoard] = None

    def _open_text(self, arguments: Mapping[str, Any]) -> None:
        self._text = open(self.text_path, "a", buffering=1, encoding="utf-8")
        self._write("arguments: " + "  ".join(f"{name}={value}" for name, value in sorted(arguments.items())))

    def _write(self, text: str) -> None:
        if self._text:
            self._text.write(time.strftime("%Y-%m-%d %H:%M:%S ") + text + "\n")

    def _open_board(self, arguments: Mapping[str, Any]) -> None:
        self._board = RunBoard(self.board_dir)
        rows = "".join(f"| {name} | {value} |\n" for name, value in sorted(arguments.items()))
        self._board.text("arguments", "| argument | value |\n|---|---|\n" + rows)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, _kind: object, error: Optional[BaseException], _trace: object) -> None:
        self.end_bar()
        if isinstance(error, (InputError, Interrupted)):  # the command prints its message on the terminal
            self._attempt("text log", self._write, str(error))
        if self._board:
            self._attempt("board", self._board.close)
        if self._text:
            self._attempt("text log", self._text.close)

    def _attempt(self, what: str, action: Callable[..., Any], *args: Any) -> None:
        if what in self._failed:
            return
        try:
            action(*args)
        except OSError as error:
            self._miss(what, error)

    def _miss(self, what: str, error: OSError) -> None:
        """Go on without something that cannot be written, and say so."""
        self._failed.add(what)
        if what == _BAR and self._bar:
            self._bar.disable, self._bar = True, None
        self.warn(f"the {what} cannot be written ({error}); the run continues without it")

    def line(self, text: str, brief: Optional[str] = None) -> None:
        """Write one line to the terminal and the text log.

        Parameters
        ----------
        text : str
        brief : str, optional
            What a quiet terminal gets instead: see `system.console`. Default: nothing.
        """
        shown = brief if console.is_quiet() else text
        if shown is not None:
            self._attempt("output", self._print, shown)
        self._attempt("text log", self._write, text)

    def warn(self, text: str) -> None:
        """Write a line that begins with "warning: ", also to a quiet terminal."""
        self.line(f"warning: {text}", brief=f"warning: {text}")

    def _print(self, text: str) -> None:
        if self._bar:
            self._attempt(_BAR, _write_line, text, sys.stderr)
        if not self._bar:
            _write_line(text, sys.stdout)

    def scalars(self, step: int, values: Mapping[str, Any]) -> None:
        """Write named numbers to the board at a step. They are in the file of the board when this method returns."""
        if self._board:
            self._attempt("board", self._board.scalars, step, values)

    def pictures(self, step: int, images: Mapping[str, Any]) -> None:
        """Write named images, uint8 arrays (H, W, 3), to the board at a step, as `scalars` does."""
        if self._board:
            self._attempt("board", self._board.pictures, step, images)

    def epochs(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows of all epochs so far: the CSV table, and to the board those that it does not have."""
        self.table(rows)
        if self._board:
            self._attempt("board", self._board.epochs, rows)

    def table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the CSV table, one row for each epoch so far.

        The whole table is written each time, so that a resumed run repeats no row. After a disk error, which is said
        once, the next call writes it whole again.
        """
        if not rows:
            return
        try:
            write_csv(self.csv_path, rows)
        except OSError as error:
            if "CSV log" not in self._failed:
                self._failed.add("CSV log")
                self.warn(f"the CSV log cannot be written ({error}); the next epoch tries again")
        else:
            self._failed.discard("CSV log")

    def start_bar(self, label: str, total: int, done: int = 0) -> None:
        """Show a progress bar of `total` steps, of which `done` are done, if stderr is a terminal and not quiet."""
        if not console.is_quiet() and streams.is_terminal(sys.stderr):
            self._attempt(_BAR, self._open_bar, label, total, done)

    def _open_bar(self, label: str, total: int, done: int) -> None:
        self._bar = tqdm(total=total, initial=done, desc=label, unit="step", dynamic_ncols=True, leave=False)

    def advance(self) -> None:
        """Advance the bar by one step."""
        if self._bar:
            self._attempt(_BAR, self._bar.update)

    def interim(self, figures: str, epoch_left: float, run_left: float) -> None:
        """Show figures of the current epoch, one line of text, after the bar; without a bar, write them as a line.

        Parameters
        ----------
        figures : str
        epoch_left, run_left : float
            Seconds that the epoch and the run still take. The bar itself shows those of the epoch's steps.
        """
        run = f"run left {format_duration(run_left)}"
        if self._bar:
            self._bar.set_postfix_str(f"{run}  {figures}", refresh=False)
        else:
            self.line(f"  {figures}  epoch left {format_duration(epoch_left)}  {run}")

    def end_bar(self) -> None:
        """Remove the bar."""
        if self._bar:
            self._attempt(_BAR, self._bar.close)
            self._bar = None


def _write_line(text: str, stream: Optional[TextIO]) -> None:
    """Write a line to a standard stream above the bar; nothing if the stream was closed when the process began."""
    if stream is None:
        return
    try:
        tqdm.write(text, file=stream)
        stream.flush()
    except OSError:
        streams.flush_or_discard(stream)
        raise
