"""Compare the speeds of contenders that were measured in turns."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .contender import Contender

WARM_UP_ROUNDS = (
    2  # in the first step MXNet plans its memory, in the second oneDNN finds weights in the layouts of the first
)


class Result(NamedTuple):
    """Speeds of one contender.

    Attributes
    ----------
    part, name : str
        Of the contender.
    speeds : list of float
        Images per second in each round.
    ratios_to_first, ratios_to_pytorch : list of float or None
        In each round, the speed divided by that of the first contender of the part, and by that of the PyTorch rival.
    latencies : tuple of float
        Seconds of each call in all rounds, in the part `latency`.
    """

    part: str
    name: str
    speeds: List[float]
    ratios_to_first: List[float]
    ratios_to_pytorch: Optional[List[float]] = None
    latencies: Tuple[float, ...] = ()

    def summary(self) -> Dict[str, Any]:
        """Return the result with medians and ranges, as JSON types."""
        percentiles = (
            {f"p{rank}": 1000 * float(np.percentile(self.latencies, rank)) for rank in (50, 95)}
            if self.latencies
            else None
        )
        return dict(
            self._asdict(),
            milliseconds=percentiles,
            images_per_second=median_and_range(self.speeds),
            ratio_to_first=median_and_range(self.ratios_to_first),
            ratio_to_pytorch=self.ratios_to_pytorch and median_and_range(self.ratios_to_pytorch),
        )


def median_and_range(values: Sequence[float]) -> Dict[str, float]:
    """Return median, minimum and maximum of the values."""
    return {"median": float(np.median(values)), "min": float(min(values)), "max": float(max(values))}


def interleave(turns: Sequence[Callable[[], float]], repeats: int, warm_up: int = WARM_UP_ROUNDS) -> np.ndarray:
    """Run contenders in turns, A B C A B C ..., so that a change of the machine's speed affects all of them alike.

    Parameters
    ----------
    turns : sequence of callables
        Each does its work once and returns its speed.
    repeats : int
        Rounds that are measured, after `warm_up` rounds that are not.

    Returns
    -------
    float array (repeats, len(turns))
    """
    return np.array([[turn() for turn in turns] for _ in range(warm_up + repeats)])[warm_up:]


def compare_speeds(contenders: Sequence[Contender], speeds: np.ndarray) -> List[Result]:
    """Return the results of the contenders of one part.

    Parameters
    ----------
    contenders : sequence of Contender
    speeds : float array (rounds, len(contenders))

    Returns
    -------
    list of Result
    """
    columns = {contender.name: index for index, contender in enumerate(contenders)}
    results = []
    for contender, own in zip(contenders, speeds.T):
        rival = columns.get(contender.rival or "")
        results.append(
            Result(
                contender.part,
                contender.name,
                own.tolist(),
                (own / speeds[:, 0]).tolist(),
                None if rival is None else (own / speeds[:, rival]).tolist(),
            )
        )
    return results
