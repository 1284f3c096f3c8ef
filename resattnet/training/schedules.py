"""Learning-rate schedules: pure functions of the step, composed from GluonCV's."""

import contextlib
import importlib

from PIL import ImageFile

from ..system.errors import InputError
from ..system.mxnet import hide_module, mx


@contextlib.contextmanager
def importing_gluoncv():
    """A context to import GluonCV in, without what its import does to others.

    It refuses to stand beside PyTorch 2, which is hidden from it, and makes Pillow take cut images for whole ones.
    """
    truncated = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        with hide_module("torch"):
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = truncated


def gluoncv_schedulers():
    """GluonCV's module of schedulers."""
    with importing_gluoncv():
        return importlib.import_module("gluoncv.utils.lr_scheduler")


def learning_rate_schedule(kind, lr, steps, warmup_steps=0, decay_steps=(), restarts=(), restart_factor=1.0):
    """Learning rate at each step of a run: linear warm-up, then cosines to zero or division by ten.

    Parameters
    ----------
    kind : {'cosine', 'step'}
    lr : float
        The highest learning rate.
    steps : int
        Steps of the whole run; the last one is the schedule's end.
    warmup_steps : int
        Step k of the warm-up, from 0, has lr (k + 1) / warmup_steps.
    decay_steps : sequence of int
        For 'step': from each of these steps of the run on, lr is a tenth.
    restarts : sequence of int
        For 'cosine': at each of these steps of the run, after the warm-up, another cosine begins (SGDR, arXiv
        1608.03983).
    restart_factor : float
        The highest learning rate of each cosine over that of the one before.

    Returns
    -------
    gluoncv.utils.LRSequential
        Called with a step counted from 0, gives the learning rate.

    Raises
    ------
    InputError
        If restarts do not rise, or one is not between the warm-up and the end or not of a cosine.
    """
    schedulers = gluoncv_schedulers()
    LRScheduler, LRSequential = schedulers.LRScheduler, schedulers.LRSequential
    warmup_steps = min(warmup_steps, steps)
    begins, parts = [warmup_steps] + list(restarts) + [steps], []
    if restarts and (kind != "cosine" or not all(begin < end for begin, end in zip(begins, begins[1:]))):
        raise InputError(
            f"restarts at steps {list(restarts)}: give rising ones of a cosine, after the warm-up, "
            f"of {warmup_steps} steps, and before {steps}"
        )

    def cosine(highest, length):
        return (
            LRScheduler("cosine", base_lr=highest, target_lr=0, niters=length)
            if length > 1
            else LRScheduler("constant", base_lr=highest, niters=1)
        )

    if warmup_steps > 1:
        parts.append(LRScheduler("linear", base_lr=lr / warmup_steps, target_lr=lr, niters=warmup_steps))
    elif warmup_steps:
        parts.append(LRScheduler("constant", base_lr=lr, niters=1))
    rest = steps - warmup_steps
    if rest and kind == "step":
        parts.append(
            LRScheduler("step", base_lr=lr, niters=rest, step_iter=[step - warmup_steps for step in decay_steps])
        )
    elif rest:
        parts += [
            cosine(lr * restart_factor**cycle, end - begin)
            for cycle, (begin, end) in enumerate(zip(begins, begins[1:]))
        ]
    return LRSequential(parts)


class OptimizerSchedule(mx.lr_scheduler.LRScheduler):
    """A schedule as an MXNet optimizer asks for it: it counts its updates from 1, we count steps from 0."""

    def __init__(self, schedule):
        super().__init__()
        self._schedule = schedule

    def __call__(self, num_update):
        return self._schedule(max(num_update - 1, 0))
