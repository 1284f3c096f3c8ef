"""Draw values by epoch: the curves of one or several runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from ..runs.progress import row_accuracy_name
from .figure_style import MARKERS, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_SPAN = 30  # if the first loss is more than this multiple of the last, a linear axis flattens the curve


class Curve(NamedTuple):
    """A line of a figure.

    Attributes
    ----------
    run : int
        Number of the run, which gives colour and marker.
    epochs, values : sequence of float
    dashed : bool
        Whether the line is dashed; else it is solid.
    """

    run: int
    epochs: Sequence[float]
    values: Sequence[float]
    dashed: bool = False


def draw_curves(curves: Sequence[Curve], label: str, log_scale: bool = False) -> Figure:
    """Draw curves on the same axes.

    Parameters
    ----------
    curves : sequence of Curve
    label : str
        Name of the values.
    log_scale : bool
        Whether the axis of the values is logarithmic if all values are positive and the largest is more than
        `LOG_SPAN` times the smallest.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    for run, epochs, values, dashed in curves:
        axes.plot(
            epochs,
            values,
            "--" if dashed else "-",
            color=colour(run)[0],
            linewidth=1.6,
            markersize=5,
            marker=MARKERS[run % len(MARKERS)][0],
            markevery=max(1, len(epochs) // 10),
            markerfacecolor="none" if dashed else None,
        )
    finite = [value for curve in curves for value in curve.values if np.isfinite(value)]
    if log_scale and finite and 0 < LOG_SPAN * min(finite) < max(finite):
        _set_log_scale(axes)
        label += ", log scale"
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _set_log_scale(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def draw_errors(stages: Sequence[Tuple[str, Sequence[Mapping[str, Any]]]], title: str) -> Figure:
    """Draw validation and training error in % of consecutive runs, each of which starts from the one before.

    The epochs are counted through all runs. A line marks where each run after the first begins, and has its name.

    Parameters
    ----------
    stages : sequence of (str, sequence of mapping)
        Name of each run and its rows, as in its CSV.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    curves, starts, first = [], [], 0
    for _, rows in stages:
        epochs = [first + row["epoch"] for row in rows]
        for column, dashed in (("validation_top1", False), ("train_" + row_accuracy_name(rows[0]), True)):
            curves.append(Curve(0, epochs, [100 * (1 - row[column]) for row in rows], dashed))
        starts.append(first)
        first += len(rows)
    figure = draw_curves(curves, "error, %")
    (axes,) = figure.axes
    for (name, _), start in list(zip(stages, starts))[1:]:
        axes.axvline(start + 0.5, color="0.5", linewidth=0.8)
        axes.annotate(
            f" {name}",
            (start + 0.5, 0.99),
            xycoords=("data", "axes fraction"),
            va="top",
            fontsize=7,
            color="0.4",
            parse_math=False,
        )
    axes.legend(axes.lines[:2], ["validation", "training"], frameon=False)
    axes.set_title(title, fontsize="medium", parse_math=False)
    return figure
