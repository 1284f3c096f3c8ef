"""Render a report of runs as one HTML page that needs no network, no other file and no script.

This module prepares the data of the page; the HTML and the style sheet are in `templates/`.
"""

from __future__ import annotations

import time
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from ..evaluation.results import ModelResult
from ..system.durations import format_duration
from .evaluation_figures import confusion_matrix
from .figure_style import MARKERS, colour, to_svg
from .options import ReportOptions
from .pages import network_name, picture_address, render_page
from .report_charts import render_charts
from .run_report import ReportedRun, compare_arguments

PICTURE_SIDE = 128  # pixels; larger images are shrunk to this size
FOLDED_CLASSES = 20  # a table of more classes is folded


def render(runs: Sequence[ReportedRun], options: ReportOptions) -> str:
    """Return the page of runs, as HTML.

    Parameters
    ----------
    runs : sequence of ReportedRun
        At least one.
    options : ReportOptions
    """
    labels = [run.label for run in runs]
    named = " and ".join(labels) if len(labels) < 3 else f"{len(labels)} runs"
    differing, common = compare_arguments(runs)
    evaluated = [_Evaluated(number, run, run.result) for number, run in enumerate(runs) if run.result]
    values = dict(
        title=f"Training of {named}",
        written=time.strftime("%Y-%m-%d %H:%M"),
        colours=[colour(number) for number in range(len(runs))],
        labels=labels,
        runs=[_describe_run(number, run) for number, run in enumerate(runs)],
        remarks=[(run.label, remark) for run in runs for remark in run.remarks],
        charts=render_charts(runs) if any(run.rows for run in runs) else [],
        differing=differing,
        common=common,
        evaluate=options.evaluate,
        class_tables=_class_tables(evaluated),
        results=[_describe_result(*each, options) for each in evaluated],
    )
    return render_page("report.html", __package__, values)


def _describe_run(number: int, run: ReportedRun) -> Dict[str, Any]:
    """Return what the page shows of a run in its table and legends."""
    options = run.options
    network = f"{run.dataset}, {network_name(options)}" if options else ""
    return {
        "number": number,
        "mark": MARKERS[number % len(MARKERS)][1],
        "label": run.label,
        "network": network,
        "total": options["epochs"] if options else None,
        "epochs": list(_describe_epochs(run)),
        "headline": list(_headline(run)),
    }


def _headline(run: ReportedRun) -> Iterator[Tuple[str, str]]:
    """Yield the figures of a run that a reader looks for first, and their names."""
    best, last, options = run.best, run.last, run.options
    if best and last:
        yield "best top-1", f"{best['validation_top1']:.4f}, at epoch {best['epoch']}"
        yield "error", f"{100 * (1 - best['validation_top1']):.2f} %"
        if run.best_ema:
            top1 = run.best_ema["validation_ema_top1"]
            yield "moving average", f"{top1:.4f}, at epoch {run.best_ema['epoch']} (error {100 * (1 - top1):.2f} %)"
    done = last["epoch"] if last else 0
    yield "epochs", f"{done} of {options['epochs']}" if options else str(done)
    if last:
        yield "training time", format_duration(run.seconds(last))
    if options:
        yield "network", network_name(options)
        yield "data", run.dataset + (f", {run.result.evaluation.samples} test images" if run.result else "")


def _describe_epochs(run: ReportedRun) -> Iterator[Dict[str, Any]]:
    """Yield the best and the last epoch of a run, and the best of the moving average."""
    for which, row, prefix in (
        ("best", run.best, "validation"),
        ("last", run.last, "validation"),
        ("best of the moving average", run.best_ema, "validation_ema"),
    ):
        if row:
            yield {
                "which": which,
                "number": row["epoch"],
                "figures": [row[name] for name in (f"{prefix}_top1", f"{prefix}_top5", f"{prefix}_loss", "train_loss")],
                "time": format_duration(run.seconds(row)),
            }


# The best parameters on the test images


class _Evaluated(NamedTuple):
    """A run whose best parameters were evaluated, with its number on the page."""

    number: int
    run: ReportedRun
    result: ModelResult


def _class_tables(evaluated: Sequence[_Evaluated]) -> List[Dict[str, Any]]:
    """Return tables of the accuracy by class, one for all runs with the same classes."""
    groups: Dict[Tuple[str, ...], List[_Evaluated]] = {}
    for each in evaluated:
        groups.setdefault(each.result.classes, []).append(each)
    return [
        {
            "title": f"{len(classes)} classes of {', '.join(each.run.label for each in group)}",
            "open": len(classes) <= FOLDED_CLASSES,
            "labels": [each.run.label for each in group],
            "rows": [_class_row(label, name, group) for label, name in enumerate(classes)],
        }
        for classes, group in groups.items()
    ]


def _class_row(label: int, name: str, group: Sequence[_Evaluated]) -> Dict[str, Any]:
    images = [int(each.result.evaluation.confusion[label].sum()) for each in group]
    accuracies = [each.result.evaluation.class_accuracy[label] for each in group]
    return {
        "name": name,
        "images": " / ".join(map(str, dict.fromkeys(images))),
        "cells": [
            (each.number, accuracy if count else None) for each, accuracy, count in zip(group, accuracies, images)
        ],
    }


def _describe_result(number: int, run: ReportedRun, result: ModelResult, options: ReportOptions) -> Dict[str, Any]:
    """Return what the page shows of the best parameters of a run."""
    evaluation, classes = result.evaluation, result.classes
    mistakes = [(classes[true], classes[predicted], count) for true, predicted, count in evaluation.mistakes()]
    words = (
        f"Confusion matrix of {run.label}: {evaluation.confusion.trace()} of {evaluation.samples} images on the "
        "diagonal."
    )
    if mistakes:
        frequent = "; ".join(f"{true} taken for {predicted}, {count}" for true, predicted, count in mistakes[:3])
        words += f" Most frequent mistakes: {frequent}"
    return {
        "run": _describe_run(number, run),
        "samples": evaluation.samples,
        "top1": evaluation.top1,
        "top5": evaluation.top5,
        "loss": evaluation.loss,
        "many_classes": len(classes) > FOLDED_CLASSES,
        "svg": to_svg(confusion_matrix(evaluation.confusion, classes), f"run{number}", words),
        "mistakes": mistakes,
        "hardest": [
            (image, picture_address(image.image, PICTURE_SIDE))
            for image in result.hardest_images(options.hardest, options.hardest_of)
        ],
        "hardest_of": options.hardest_of,
    }
