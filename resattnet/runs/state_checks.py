"""Check what a state or a CSV log says of a run: names, types and ranges of its fields and figures."""

from __future__ import annotations

import math
import reprlib
from typing import Any, Callable, Dict, Mapping

# Columns that the rows and the CSV of every run have; there may be others.
FIGURES = (
    "epoch",
    "learning_rate",
    "train_loss",
    "validation_loss",
    "validation_top1",
    "validation_top5",
    "samples_per_second",
    "seconds",
)
LARGEST = 1e39  # no figure of a run is larger: losses and rates are computed in float32
_RATIOS = ("_top1", "_top5", "_accuracy", "_accuracy_heavier_label")


def is_whole(value: Any, low: int = 0) -> bool:
    """Return whether a value is a whole number of at least `low`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def is_number(value: Any) -> bool:
    """Return whether a value is a number; it may be infinite or NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_row(row: Any) -> None:
    """Raise ValueError if the figures of an epoch, by column, cannot be right."""
    if not isinstance(row, dict) or not is_whole(row.get("epoch"), 1):
        raise ValueError(f"a row has no epoch: {reprlib.repr(row)}")
    missing = [name for name in FIGURES if name not in row]
    if missing:
        raise ValueError(f"epoch {row['epoch']} has no {', '.join(missing)}")
    for name, value in row.items():
        where = f"{name} of epoch {row['epoch']}"
        if name in ("epoch", "step"):
            _require(is_whole(value), where, value)
        elif name.endswith(_RATIOS):
            _require(_is_ratio(value), where, value)
        else:  # the loss of a network that diverges may be infinite
            _require(is_number(value) and not LARGEST < abs(value) < math.inf, where, value)


def check_progress(progress: Mapping[str, Any]) -> None:
    """Raise ValueError if a field of a state's progress has a wrong type or value.

    Parameters
    ----------
    progress : mapping
        Fields of `progress.Progress`; states of earlier versions lack some of them.
    """
    for name, is_right in _FIELDS.items():
        if name in progress or name in ("epoch", "step"):
            _require(is_right(progress.get(name)), name, progress.get(name))
    for row in progress.get("history", ()):
        check_row(row)
    epoch, batch, step = (progress.get(name, 0) for name in ("epoch", "batch", "step"))
    length = progress.get("epoch_steps", 0)
    _require(batch <= (length or step), "batch", batch)
    _require(not length or step == epoch * length + batch, "step", step)
    epochs = [row["epoch"] for row in progress.get("history", ())]
    last = epoch + 1 if batch and epochs and epochs[-1] > epoch else epoch  # a run may end within an epoch
    _require(not epochs or epochs == list(range(last + 1 - len(epochs), last + 1)), "the epochs of history", epochs)
    for name in ("best", "best_ema"):
        best = progress.get(name)
        _require(best is None or best["epoch"] <= last, name, best)


def _require(is_right: bool, name: str, value: Any) -> None:
    if not is_right:
        raise ValueError(f"{name} is {reprlib.repr(value)}")


def _is_best(value: Any) -> bool:
    return isinstance(value, dict) and is_whole(value.get("epoch"), 1) and _is_ratio(value.get("top1"))


def _is_ratio(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1


def _are_totals(value: Any) -> bool:
    """Return whether a value can be the sums of a `training.meters.Meter`."""
    if not isinstance(value, dict) or not set(value) <= {"loss", "hits", "samples", "seconds"}:
        return False
    counts = all(is_whole(value.get(name, 0)) for name in ("hits", "samples"))
    sums = all(is_number(value.get(name, 0)) and abs(value.get(name, 0)) < math.inf for name in ("loss", "seconds"))
    return counts and sums and value.get("hits", 0) <= value.get("samples", 0) and value.get("seconds", 0) >= 0


def _is_change(value: Any) -> bool:
    return isinstance(value, dict) and is_whole(value.get("step")) and isinstance(value.get("options"), dict)


def _optional(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_right(value)


def _list_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(is_right, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


_FIELDS: Dict[str, Callable[[Any], bool]] = {
    "epoch": is_whole,
    "batch": is_whole,
    "step": is_whole,
    "epoch_steps": is_whole,
    "totals": _are_totals,
    "best": _optional(_is_best),
    "best_ema": _optional(_is_best),
    "teacher": _optional(_is_text),
    "started_from": _optional(_is_text),
    "history": _list_of(_is_object),
    "machines": _list_of(_is_text),
    "changes": _list_of(_is_change),
    "data": _optional(_is_object),
    "test": _optional(_is_object),
    "processes": lambda value: is_whole(value, 1),
}
