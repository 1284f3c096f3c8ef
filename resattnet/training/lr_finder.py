"""Find a learning rate by a range test (arXiv 1506.01186): raise it step by step until the loss diverges."""

from __future__ import annotations

import itertools
import math
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..run_options.optimizer_options import OPTIMIZERS

STEPS = 100  # of a test that does not end before
BELOW, ABOVE = 1e-4, 1e2  # the first and the last rate, relative to the default of the optimizer
DECAY = 0.8  # of the mean loss by which the test ends
FIRST = 10  # steps by whose losses the end is judged
RISE, NOISE = 1.1, 5.0  # the end: times their mean, and standard deviations of a mean loss above it
SPREAD = 2.0  # standard deviation in steps of the curve's smoothing
REACH = 3  # standard deviations that the smoothing goes to each side
LEAST_FALL = 0.01  # of the loss, relative to its beginning, for which a rate is suggested


class RangeTest(NamedTuple):
    """The result of a range test.

    Attributes
    ----------
    rates : float64 array (N,)
        Learning rate of each step, rising.
    losses : float64 array (N,)
        Mean loss of the batch of each step, before its update.
    diverged : bool
        Whether the loss diverged at the last step.
    """

    rates: np.ndarray
    losses: np.ndarray
    diverged: bool

    @property
    def smoothed(self) -> np.ndarray:
        """The losses, each averaged with its neighbours."""
        return smooth(self.losses)

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss is lowest."""
        return float(self.rates[np.argmin(self.smoothed)])

    @property
    def suggestion(self) -> Optional[float]:
        """The rate at which the smoothed loss falls fastest, per factor of the rate; None if it never falls."""
        curve = self.smoothed
        end = int(np.argmin(curve)) + 1
        if end < 3 or curve[end - 1] > curve[0] - LEAST_FALL * abs(curve[0]):
            return None
        return float(self.rates[np.argmin(np.gradient(curve[:end], np.log(self.rates[:end])))])

    def rows(self) -> List[Dict[str, Any]]:
        """Return the steps as rows of a table."""
        steps = zip(self.rates.tolist(), self.losses.tolist(), self.smoothed.tolist())
        return [
            {"step": number, "learning_rate": rate, "loss": loss, "smoothed_loss": mean}
            for number, (rate, loss, mean) in enumerate(steps)
        ]


def smooth(values: np.ndarray) -> np.ndarray:
    """Return values averaged with their neighbours by a Gaussian window, which is cut at both ends of the values."""
    offsets = np.arange(-math.ceil(REACH * SPREAD), math.ceil(REACH * SPREAD) + 1)
    window = np.exp(-0.5 * (offsets / SPREAD) ** 2)
    weights = np.convolve(np.ones(len(values)), window)
    reach = len(offsets) // 2
    return (np.convolve(values, window) / weights)[reach : reach + len(values)]


def rates_to_test(optimizer: str) -> np.ndarray:
    """Return the rates of a test, float64 (N,), equally spaced by their logarithm around the optimizer's default."""
    usual = OPTIMIZERS[optimizer].lr
    return np.geomspace(usual * BELOW, usual * ABOVE, STEPS)


def range_test(rates: Sequence[float], losses: Iterable[float]) -> RangeTest:
    """Take steps at rising rates until the loss diverges.

    Parameters
    ----------
    rates : sequence of float
    losses : iterable of float
        Takes a step, and returns its loss, each time that a value is asked for. No step is taken after the end.

    Returns
    -------
    RangeTest
        Without the last step if its loss is not finite.
    """
    tested: List[Tuple[float, float]] = []
    mean, limit = 0.0, math.inf
    for count, (rate, loss) in enumerate(zip(rates, losses), start=1):
        if not math.isfinite(loss):
            return _result(tested, diverged=True)
        tested.append((rate, loss))
        mean = DECAY * mean + (1 - DECAY) * loss
        if count == FIRST:
            limit = _limit(np.array([loss for _, loss in tested]))
        if mean / (1 - DECAY**count) > limit:
            return _result(tested, diverged=True)
    return _result(tested, diverged=False)


def _limit(first: np.ndarray) -> float:
    """Return the mean loss above which the loss has diverged, from the losses of the first steps."""
    noise = first.std() * math.sqrt((1 - DECAY) / (1 + DECAY))  # of an exponential mean of independent losses
    return float(max(RISE * first.mean(), first.mean() + NOISE * noise))


def _result(tested: Sequence[Tuple[float, float]], diverged: bool) -> RangeTest:
    rates, losses = np.array(tested, np.float64).reshape(-1, 2).T
    return RangeTest(rates, losses, diverged)


def step_losses(step: Any, loader: Any, advance: Callable[[], None] = lambda: None) -> Iterable[float]:
    """Train on the batches of a loader, epoch after epoch, and yield the mean loss of each.

    Parameters
    ----------
    step : TrainingStep
    loader : loader
    advance : callable
        Called after each step.
    """
    meter = step.meter
    for images, labels in itertools.chain.from_iterable(loader.epoch(number) for number in itertools.count()):
        before = meter.loss, meter.samples
        step(images, labels)
        meter.collect()
        advance()
        yield (meter.loss - before[0]) / (meter.samples - before[1])
