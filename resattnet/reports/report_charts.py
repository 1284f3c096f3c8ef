"""Draw the charts on the page of a report: the figures of several runs by epoch."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from .curves import Curve, draw_curves
from .figure_style import to_svg
from .run_report import ReportedRun


class Chart(NamedTuple):
    """A chart of the page.

    Attributes
    ----------
    title, label : str
        Heading of the chart, and name of the values.
    log_scale : bool
        Whether the axis of the values may be logarithmic.
    columns : tuple of str
        Columns of the CSV. The first is drawn as a solid line and the others as dashed lines.
    note : str
        Explanation below the chart.
    """

    title: str
    label: str
    log_scale: bool
    columns: Tuple[str, ...]
    note: str


CHARTS = (
    Chart(
        "Loss",
        "cross-entropy, nats",
        True,
        ("validation_loss", "train_loss"),
        "Solid: validation; dashed: training.",
    ),
    Chart(
        "Top-1 on the validation images",
        "fraction of the images",
        False,
        ("validation_top1", "validation_ema_top1"),
        "",
    ),
    Chart("Learning rate", "learning rate", True, ("learning_rate",), "At the last step of each epoch."),
    Chart("Training speed", "images/s", False, ("samples_per_second",), "Without validation."),
)

# Options with which the training loss is not the loss against the labels of the data set.
_OTHER_TRAINING_LOSS = ("mix_up", "cutmix", "epsilon", "label_noise", "teacher")


def render_charts(runs: Sequence[ReportedRun]) -> List[Dict[str, Any]]:
    """Return title, SVG and notes of each of `CHARTS`, for the page of a report."""
    charts = []
    for number, chart in enumerate(CHARTS):
        curves = [
            Curve(index, [row["epoch"] for row in run.rows], [row[column] for row in run.rows], dashed=line > 0)
            for index, run in enumerate(runs)
            for line, column in enumerate(chart.columns)
            if run.rows and column in run.rows[0]
        ]
        figure = draw_curves(curves, chart.label, chart.log_scale)
        charts.append(
            {
                "title": chart.title,
                "svg": to_svg(figure, f"chart{number}", _chart_in_words(chart, runs), len(runs)),
                "notes": list(_chart_notes(chart, runs)),
            }
        )
    return charts


def _chart_notes(chart: Chart, runs: Sequence[ReportedRun]) -> Iterator[str]:
    if chart.note:
        yield chart.note
    if "train_loss" in chart.columns:
        other = [run.label for run in runs if run.options and any(map(run.options.get, _OTHER_TRAINING_LOSS))]
        if other:
            yield (
                f"The training loss of {', '.join(other)} is against mixed, smoothed or noisy labels or a teacher: "
                "compare only its validation loss."
            )
    if "validation_ema_top1" in chart.columns:
        averaged = [run.label for run in runs if run.best_ema]
        if averaged:
            yield (
                f"Dashed: the moving average of the parameters of {', '.join(averaged)}, with the running statistics "
                "of batch normalisation of the parameters themselves."
            )


def _chart_in_words(chart: Chart, runs: Sequence[ReportedRun]) -> str:
    column = chart.columns[0]
    sentences = [f"{chart.title} by epoch."]
    for run in runs:
        if run.rows:
            first, last = run.rows[0], run.rows[-1]
            sentences.append(
                f"{run.label}: from {first[column]:.4g} after epoch 1 to {last[column]:.4g} after epoch "
                f"{last['epoch']}."
            )
    return " ".join(sentences)
