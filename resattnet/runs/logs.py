"""What a run says while it goes on: TensorBoard events, a text log, a CSV table, and a bar or lines on the terminal."""

import os
import sys
import time

from tqdm import tqdm

from ..system import streams
from ..system.errors import InputError
from ..system.files import write_csv, writing
from ..system.mxnet import check_protobuf
from ..system.signals import Interrupted


class _DirectEvents:
    """In the place of MXBoard's writer thread: writes each event at once, where its error can be seen.

    The thread of MXBoard 0.1.0 dies of a write error and training then hangs on its full queue; whatever
    is in the queue when the program leaves without closing it is lost.
    """

    def __init__(self, logdir, suffix):
        from mxboard.event_file_writer import EventsWriter

        self._logdir = logdir
        os.makedirs(logdir, exist_ok=True)
        self._events = EventsWriter(os.path.join(logdir, "events"), verbose=False)
        self._events.init_with_suffix(suffix)

    def get_logdir(self):
        return self._logdir

    def add_event(self, event):
        self._events.write_event(event)

    def flush(self):
        self._events.flush()

    def close(self):
        self._events.close()


def open_board(logdir):
    """An MXBoard `SummaryWriter` in a folder, whose events are in the file once `flush` has returned."""
    check_protobuf()
    from mxboard import SummaryWriter

    # The process number keeps a resumed run from writing over the file of a run ended in the same second.
    events = _DirectEvents(logdir, f".{os.getpid()}")
    board = SummaryWriter(logdir, verbose=False)
    board._file_writer.close()
    board._file_writer._event_writer = events
    return board


def put_text(board, name, text):
    """Give an open board a text, in Markdown, under a name."""
    from mxboard.summary import text_summary

    summary = text_summary(name, text)
    # MXBoard 0.1.0 sets the node's name only, and TensorBoard takes the tag for the title.
    summary.value[0].tag = name
    board._file_writer.add_summary(summary, 0)
    board.flush()


def put_pictures(board, step, images):
    """Give an open board named images, uint8 arrays (H, W, 3), at a step."""
    for name, image in images.items():
        board.add_image(name, image.transpose(2, 0, 1), step)
    board.flush()


class RunLog:
    """The logs of one run: `log/board/<run>/`, `log/text/<run>.log`, `log/csv/<run>.csv`, and the terminal.

    A context manager; it is closed also when an exception or Ctrl-C ends the run, whose line is in the text log too. An
    error of a log's disk ends that log with a warning, never the run.

    Parameters
    ----------
    folder : str
        `--log-dir`.
    run : str
        The run's name.
    arguments : dict
        The run's arguments, for the board's text page and the head of the text log.

    Raises
    ------
    InputError
        If a folder for them cannot be made.
    """

    def __init__(self, folder, run, arguments):
        self.board_dir = os.path.join(folder, "board", run)
        self.text_path = os.path.join(folder, "text", run + ".log")
        self.csv_path = os.path.join(folder, "csv", run + ".csv")
        self._bar = None
        self._failed = set()
        self._text = self._board = None
        with writing(f"--log-dir {folder}"):
            for path in (self.board_dir, os.path.dirname(self.text_path), os.path.dirname(self.csv_path)):
                os.makedirs(path, exist_ok=True)
        self._attempt("text log", self._open_text, arguments)
        self._attempt("board", self._open_board, arguments)

    def _open_text(self, arguments):
        self._text = open(self.text_path, "a", buffering=1, encoding="utf-8")
        self._write("arguments: " + "  ".join("{}={}".format(*item) for item in sorted(arguments.items())))

    def _write(self, text):
        self._text.write(time.strftime("%Y-%m-%d %H:%M:%S ") + text + "\n")

    def _open_board(self, arguments):
        self._board = open_board(self.board_dir)
        rows = "".join("| {} | {} |\n".format(*item) for item in sorted(arguments.items()))
        put_text(self._board, "arguments", "| argument | value |\n|---|---|\n" + rows)

    def __enter__(self):
        return self

    def __exit__(self, _kind, error, _trace):
        self.end_bar()
        if self._text and isinstance(error, (InputError, Interrupted)):  # what the script says last, on the terminal
            self._attempt("text log", self._write, str(error))
        self._attempt("board", lambda: self._board.close())
        self._attempt("text log", lambda: self._text.close())

    def _attempt(self, what, action, *args):
        if what in self._failed:
            return
        try:
            action(*args)
        except OSError as error:
            self._failed.add(what)
            self.line(f"warning: the {what} cannot be written ({error}); the run goes on without it")

    def line(self, text):
        """Say one line, on the terminal and in the text log."""
        self._attempt("output", self._print, text)
        if self._text:
            self._attempt("text log", self._write, text)

    def _print(self, text):
        stream = sys.stderr if self._bar else sys.stdout
        try:
            tqdm.write(text, file=stream)
            stream.flush()
        except OSError:
            streams.flush_or_discard(stream)
            raise

    def scalars(self, step, values):
        """Put named numbers on the board at a step, and see that they are in its file."""
        if self._board:
            self._attempt("board", self._put_scalars, step, values)

    def _put_scalars(self, step, values):
        for name, value in values.items():
            self._board.add_scalar(name, float(value), step)
        self._board.flush()

    def pictures(self, step, images):
        """Put named images, uint8 arrays (H, W, 3), on the board at a step, and see that they are in its file."""
        if self._board:
            self._attempt("board", put_pictures, self._board, step, images)

    def table(self, rows):
        """Write the CSV: one row, a dict, per epoch so far; whole, so that a resumed run's has no row twice."""
        if rows:
            self._attempt("CSV log", write_csv, self.csv_path, rows)

    def start_bar(self, label, total, done=0):
        """Show a bar of so many steps, on a terminal."""
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=done, desc=label, unit="step", dynamic_ncols=True, leave=False)

    def advance(self):
        """Move the bar by a step."""
        if self._bar:
            self._bar.update()

    def interim(self, figures):
        """Say how an epoch goes: beside the bar, or where there is none as a line; `figures` is one line."""
        if self._bar:
            self._bar.set_postfix_str(figures, refresh=False)
        else:
            self.line("  " + figures)

    def end_bar(self):
        """Take the bar away."""
        if self._bar:
            self._bar.close()
            self._bar = None
