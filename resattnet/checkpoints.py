"""Whole states of a run, on disk: all that it takes to go on as if it had never stopped.

A run's folder holds the two newest ones, `last.state` and `previous.state`, in NumPy's npz format.
"""
import contextlib
import dataclasses
import fcntl
import json
import os
from typing import NamedTuple

import numpy as np

from .errors import InputError
from .files import TEMPORARY, write_atomically, writing

_HEADER = "progress"
_LOCK = "training" + TEMPORARY  # what is left of it after a kill locks nothing
BEST = {"best": "validation_top1", "best_ema": "validation_ema_top1"}  # fields of `Progress`: what each is the best by


@dataclasses.dataclass
class Progress:
    """How far a run is: what a state holds beside its arrays, of JSON types.

    Attributes
    ----------
    epoch, batch, step : int
        Whole epochs done, batches done of the next one, steps done in all.
    epoch_steps : int
        Steps of an epoch; 0 before it is known.
    totals : dict
        The meter's sums of the epoch begun.
    best : dict or None
        `epoch` and `top1` of the best validation so far whose parameters are kept.
    best_ema : dict or None
        The same of the moving average.
    teacher : str or None
        SHA-256 of the teacher's parameters.
    started_from : str or None
        SHA-256 of the parameters that it began with, where they were not random.
    history : list of dict
        The row of each whole epoch.
    machines : list of str
        What it was computed on and with, each once, in order.
    changes : list of dict
        Of each time that it went on with other options: the `step`, and the `options` as they were until then, those
        that changed.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    epoch_steps: int = 0
    totals: dict = dataclasses.field(default_factory=dict)
    best: dict = None
    best_ema: dict = None
    teacher: str = None
    started_from: str = None
    history: list = dataclasses.field(default_factory=list)
    machines: list = dataclasses.field(default_factory=list)
    changes: list = dataclasses.field(default_factory=list)

    def note(self, row):
        """Begin the next epoch, after the one of this row."""
        self.history.append(row)
        self.epoch, self.batch = row["epoch"], 0

    def surpasses(self, which, row):
        """Whether an epoch's row is better than the best so far; `which` is a key of `BEST`."""
        best, top1 = getattr(self, which), BEST[which]
        return top1 in row and (best is None or row[top1] > best["top1"])

    def keep(self, which, row):
        """Have an epoch's row be the best so far, once its parameters are kept."""
        setattr(self, which, {"epoch": row["epoch"], "top1": row[BEST[which]]})

    def go_on_with(self, options, before):
        """Note which options, as of `TrainingOptions.effective`, were others until now."""
        changed = {name: value for name, value in before.items() if options[name] != value}
        if changed:
            self.changes.append({"step": self.step, "options": changed})

    def count_by(self, epoch_steps):
        """Go on where it is with epochs of so many steps, as other batches make them; True if they were others.

        The steps before are counted as if they had been of the new batches: the schedule goes on where it was.
        """
        before = self.epoch_steps or (self.step - self.batch) // max(self.epoch, 1) or epoch_steps
        self.epoch_steps = epoch_steps
        if before == epoch_steps:
            return False
        self.batch = min(round(self.batch * epoch_steps / before), epoch_steps)
        self.step = self.epoch * epoch_steps + self.batch
        return True


class State(NamedTuple):
    """A whole state of a run, as read.

    Attributes
    ----------
    arrays : dict of str to array
        As `snapshots.state_arrays` gives them.
    progress : dict
        Arguments of `Progress`.
    options : dict
        Arguments of `options.TrainingOptions`.
    folder : str
        The run's folder.
    """

    arrays: dict
    progress: dict
    options: dict
    folder: str


def never_saved(folder):
    """Whether a folder is there, of a run that was killed before its first state was whole."""
    return os.path.isdir(folder) and all(name.endswith(TEMPORARY) for name in os.listdir(folder))


def make_run_folder(model_dir, run):
    """Make the folder of a new run and return its path; an InputError if there is one of that name, or none can be."""
    folder = os.path.join(model_dir, run)
    try:
        os.makedirs(folder)
    except FileExistsError:
        if never_saved(folder):
            raise InputError("%s is there already, of a run that was killed before its first state was whole: remove "
                             "it, or give another --name" % folder)
        raise InputError("%s is there already: go on with it by --resume %s, or give another --name" % (folder, folder))
    except OSError as error:
        raise InputError("--model-dir %s: %s cannot be made (%s)" % (model_dir, folder, error.strerror)) from error
    return folder


@contextlib.contextmanager
def alone(folder):
    """A context in which no other process trains the run of a folder.

    The lock is the process's: it ends with it, however it ends, and processes that it forks have no part in it.

    Raises
    ------
    InputError
        If another process does, or the folder cannot be written to.
    """
    path = os.path.join(folder, _LOCK)
    with writing(folder):
        handle = open(path, "a")
    with handle:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise InputError("%s: another process trains this run; wait for it, or stop it first" % folder) from error
        except OSError:
            pass  # a file system without locks
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)


def save_state(folder, arrays, progress):
    """Write a whole state as `last.state`; the one before becomes `previous.state`.

    Parameters
    ----------
    folder : str
    arrays : dict of str to array
    progress : dict
        Of JSON types: the fields of `Progress`, and `options`.
    """
    header = np.frombuffer(json.dumps(progress).encode(), np.uint8)

    def write(temporary):
        with open(temporary, "wb") as handle:
            np.savez(handle, **{_HEADER: header}, **arrays)

    write_atomically(os.path.join(folder, "last.state"), write, keep=os.path.join(folder, "previous.state"))


def load_state(path, with_arrays=True):
    """Read a whole state.

    Parameters
    ----------
    path : str
        A run's folder, or one of its states.
    with_arrays : bool
        Otherwise they are left unread, and `State.arrays` is empty.

    Returns
    -------
    State

    Raises
    ------
    InputError
        If there is none, or it is of another version, or damaged; then the message names the last whole one.
    """
    folder = path
    if not os.path.isdir(path):
        folder = os.path.dirname(path) or "."
    else:
        states = [os.path.join(path, name + ".state") for name in ("last", "previous")]
        path = next((state for state in states if os.path.exists(state)), states[0])
    if not os.path.exists(path):
        raise InputError("%s: no state of a run is there to resume" % path)
    if not path.endswith(".state"):
        raise InputError("%s is no state of a run: give the run's folder, or the last.state in it" % path)
    try:
        arrays, progress = _read_state(path, with_arrays)
    except Exception as error:  # NumPy, zipfile and tokenize raise more kinds for damaged bytes than they name
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError("%s is damaged (%s): %s" % (path, reason, _whole_states(folder, path)))
    options = progress.pop("options")
    unknown = sorted(set(progress) - {spec.name for spec in dataclasses.fields(Progress)})
    if unknown:
        raise InputError("%s is of another version of resattnet: %s unknown here" % (path, ", ".join(unknown)))
    return State(arrays, progress, options, folder)


def _read_state(path, with_arrays=True):
    # Opened here, since NumPy leaves a file that is no archive open.
    with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as state:
        arrays = {name: state[name] for name in state.files if with_arrays or name == _HEADER}
    return arrays, json.loads(arrays.pop(_HEADER).tobytes().decode())


def _whole_states(folder, damaged):
    for name in ("last.state", "previous.state"):
        path = os.path.join(folder, name)
        if path != damaged and os.path.exists(path):
            try:
                progress = _read_state(path)[1]
            except Exception:  # as above
                continue
            return "resume the last whole one, %s (epoch %d, step %d)" % (path, progress["epoch"], progress["step"])
    return "no other whole one is in %s" % folder
