"""Draw the measures of a trained network: its confusion matrix and its reliability diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

import numpy as np

from .figure_style import RIGHT, WRONG

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..evaluation.metrics import Reliability

COUNTED_CLASSES = 40  # with more classes a cell has no room for its count


def confusion_matrix(confusion: np.ndarray, classes: Sequence[str], title: str = "") -> Figure:
    """Draw a heat map of counts: correct predictions in blue, mistakes in orange.

    Parameters
    ----------
    confusion : int array (K, K)
        Samples of each true class (row) by predicted class (column).
    classes : sequence of str
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        Without the counts if there are more than `COUNTED_CLASSES` classes.
    """
    from matplotlib.figure import Figure

    total, counted = len(classes), len(classes) <= COUNTED_CLASSES
    side = 2 + (0.42 if counted else 0.13) * total
    size = 9 if counted else 6
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(total, dtype=bool)
    cells = np.empty((total, total, 4))
    cells[..., :3] = np.where(diagonal[..., None], RIGHT, WRONG)
    # Mistakes are few: the square root makes them visible.
    cells[..., 3] = np.where(diagonal, 0.9 * shares, np.sqrt(shares))
    axes.imshow(cells, interpolation="none")
    if counted:
        for row, column in zip(*np.nonzero(confusion)):
            axes.text(
                column,
                row,
                str(confusion[row, column]),
                ha="center",
                va="center",
                fontsize=size - 1,
                color="white" if cells[row, column, 3] > 0.6 else "black",
            )
    axes.set_xticks(
        range(total), classes, rotation=90 if max(map(len, classes)) > 3 else 0, fontsize=size, parse_math=False
    )
    rows = [name if count else f"{name} (no images)" for name, count in zip(classes, confusion.sum(axis=1))]
    axes.set_yticks(range(total), rows, fontsize=size, parse_math=False)
    axes.set(xlabel="predicted class", ylabel="true class")
    figure.suptitle(title, fontsize=9, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def reliability_diagram(reliability: Reliability, title: str = "") -> Figure:
    """Draw accuracy against confidence in bins (Guo et al., arXiv 1706.04599), and the share of images in each bin.

    Blue is the accuracy, its lighter part where it exceeds the mean confidence: the network is under-confident. Orange
    is the amount by which the accuracy falls short of the mean confidence: the network is over-confident.

    Parameters
    ----------
    reliability : Reliability
    title : str
        What was measured.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    bins = len(reliability.counts)
    edges, width, filled = np.arange(bins) / bins, 1 / bins, reliability.counts > 0
    accuracy, confidence = reliability.accuracy[filled], reliability.confidence[filled]
    low = np.minimum(accuracy, confidence)
    figure = Figure(figsize=(5, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (3, 1)})
    for height, bottom, shade, label in (
        (low, 0, RIGHT, "accuracy"),
        (accuracy - low, low, RIGHT + (0.4,), "under-confident: accuracy above confidence"),
        (confidence - low, low, WRONG + (0.6,), "over-confident: confidence above accuracy"),
    ):
        upper.bar(edges[filled], height, width, bottom, align="edge", color=shade, edgecolor="white", label=label)
    upper.plot((0, 1), (0, 1), "--", color="black", linewidth=1, label="calibrated: accuracy equals confidence")
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    upper.set_title(f"expected calibration error (ECE) {reliability.error:.4f}", fontsize=9)
    figure.suptitle(f"Reliability of {title}" if title else "Reliability", fontsize=9, parse_math=False)
    upper.legend(loc="upper left", fontsize=8)
    shares = reliability.counts / reliability.counts.sum()
    lower.bar(edges, shares, width, align="edge", color="0.5", edgecolor="white")
    lower.set(xlabel="confidence (probability of the predicted class)", ylabel="share of images")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
