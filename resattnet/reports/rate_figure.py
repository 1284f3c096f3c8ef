"""Draw the losses of a learning-rate range test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..training.lr_finder import RangeTest
from .figure_style import colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_range_test(test: RangeTest, title: str) -> Figure:
    """Draw the loss of each step by its learning rate, the smoothed loss, and the suggested rate.

    Parameters
    ----------
    test : RangeTest
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(test.rates, test.losses, ".", color="0.6", markersize=4, label="each step")
    axes.plot(test.rates, test.smoothed, color=colour(0)[0], linewidth=1.6, label="smoothed")
    if test.suggestion is not None:
        label = f"suggested: {test.suggestion:.2g}"
        axes.axvline(test.suggestion, color=colour(1)[0], linestyle="--", linewidth=1.2, label=label)
    # The last steps before the divergence would flatten all others.
    low, high = test.smoothed.min(), test.losses[: max(1, len(test.losses) // 2)].max()
    margin = 0.1 * (high - low) or 0.1
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(low - margin, high + 3 * margin))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="lower left")
    axes.set_title(title, fontsize="medium", parse_math=False)
    return figure
