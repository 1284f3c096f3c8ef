"""Format evaluation results as text tables: what the test command prints."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

import numpy as np

from ..data.corruptions import STRENGTHS
from ..system.text_table import align_columns
from .metrics import Evaluation
from .results import SCORES, ModelResult, compare_with_first

MOST_CLASSES = 16  # a confusion matrix of more classes is wider than a page
MOST_NAMES = 5  # of classes that are left out of a mean
HEAD = 6  # letters of a class name above its column of the confusion matrix

MIRRORED = "with mirrored images (mean of the probabilities of each image and its mirror image)"


def results_text(results: Sequence[ModelResult]) -> str:
    """Return all tables of a single result, or the tables that compare several results."""
    if len(results) == 1:
        (result,) = results
        parts = [headline(result), class_table(result), confusion_table(result)]
        if result.robustness:
            parts.append(robustness_table(result.robustness))
        return "\n\n".join(parts)
    first = results[0]
    parts = [
        f"{first.evaluation.samples} test images of {first.facts['dataset']}",
        _figures_table([_title(result) for result in results], [result.evaluation for result in results]),
    ]
    mirrored = [result.mirrored for result in results if result.mirrored]
    if mirrored:
        parts.append(f"{MIRRORED}\n{_figures_table([result.name for result in results], mirrored)}")
    parts.append(comparison_table(results))
    if first.robustness:
        parts.append(mean_robustness_table([result.name for result in results], [r.robustness or {} for r in results]))
    return "\n\n".join(parts)


def _figures(evaluation: Evaluation) -> List[str]:
    """Return top-1, top-5, loss and ECE as text."""
    figures = (evaluation.top1, evaluation.top5, evaluation.loss, evaluation.reliability.error)
    return [f"{value:.4f}" for value in figures]


def _title(result: ModelResult) -> str:
    """Return the name of a result, and what computed it where that was not MXNet in float32."""
    runtime, precision = result.facts.get("runtime", "mxnet"), result.facts.get("precision", "float32")
    return result.name if (runtime, precision) == ("mxnet", "float32") else f"{result.name} ({runtime}, {precision})"


def headline(result: ModelResult) -> str:
    """Return the figures of a result in two lines; a third line has those with mirrored images."""
    top1, top5, loss, ece = _figures(result.evaluation)
    lines = [
        f"{_title(result)}: {result.evaluation.samples} test images",
        f"top-1 {top1}  top-5 {top5}  loss {loss}  ECE {ece}",
    ]
    if result.mirrored:
        top1, top5, loss, ece = _figures(result.mirrored)
        lines.append(
            f"top-1 with mirrored images {top1}  top-5 {top5}  loss {loss}  ECE {ece} "
            "(mean of the probabilities of each image and its mirror image)"
        )
    return "\n".join(lines)


def class_table(result: ModelResult) -> str:
    """Return a line for each class: images, precision, recall, F1 and its most frequent mistake; then their means.

    A figure that is not defined is "-". The last lines say which classes are left out of the means for that reason.
    """
    rows = [["class", "images", "precision", "recall", "F1", "most often mistaken for"]]
    for scores in result.class_scores:
        taken = scores["taken_for"]
        rows.append(
            [scores["name"], str(scores["images"])]
            + _scores(scores)
            + [f"{taken['class']} ({taken['images']})" if taken else "-"]
        )
    macro = result.macro
    rows.append(["mean", str(result.evaluation.samples), *_scores(macro), ""])
    lines = align_columns(rows, "lrrrrl")
    for left_out, figures, why in (
        (macro["without_images"], "recall and F1", "without test images"),
        (macro["never_predicted"], "precision", "never predicted"),
    ):
        if left_out:
            lines.append(f"left out of the mean {figures}: classes {why} ({_some(left_out)})")
    return "\n".join(lines)


def _scores(scores: Dict[str, Any]) -> List[str]:
    return ["-" if scores[name] is None else f"{scores[name]:.4f}" for name in SCORES]


def _some(names: Sequence[str]) -> str:
    """Return the first of the names, and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def confusion_table(result: ModelResult) -> str:
    """Return the confusion matrix with a line for each true class; for many classes, where to find it instead."""
    classes = result.classes
    if len(classes) > MOST_CLASSES:
        return f"confusion matrix of {len(classes)} classes: only in the files of --output and in --format json"
    rows = [[""] + [name[:HEAD] for name in classes]]
    for name, counts in zip(classes, result.evaluation.confusion):
        rows.append([name] + [str(count) if count else "." for count in counts])
    head = "confusion matrix (rows: true class; columns: predicted class, in the order of the rows; .: none)"
    return "\n".join([head, *align_columns(rows, "l")])


def _figures_table(names: Sequence[str], evaluations: Sequence[Evaluation]) -> str:
    rows = [["file", "top-1", "top-5", "loss", "ECE"]]
    rows += [[name, *_figures(evaluation)] for name, evaluation in zip(names, evaluations)]
    return "\n".join(align_columns(rows, "l"))


def comparison_table(results: Sequence[ModelResult]) -> str:
    """Return a line for each result but the first: the images that only it, or only the first, classifies correctly."""
    rows = [["file", "only this one is right", "only the first is right", "p (McNemar, exact)"]]
    for other, paired in zip(results[1:], compare_with_first(results)):
        rows.append([other.name, str(paired.only_second), str(paired.only_first), f"{paired.p:.3g}"])
    return "\n".join([f"against {results[0].name}, image by image", *align_columns(rows, "l")])


def robustness_table(robustness: Dict[str, Any]) -> str:
    """Return top-1 under each corruption at each strength, and the means.

    Parameters
    ----------
    robustness : dict
        As `robustness.measure_robustness` returns it.
    """
    values = np.array(list(robustness["top1"].values()))
    rows = [["corruption", *map(str, STRENGTHS), "mean"]]
    for name, row in zip([*robustness["top1"], "mean"], np.vstack([values, values.mean(axis=0)])):
        rows.append([name] + [f"{value:.4f}" for value in [*row, row.mean()]])
    head = f"clean top-1 {robustness['clean']:.4f} of {robustness['images']} test images; corrupted, by strength:"
    return "\n".join([head, *align_columns(rows, "l")])


def mean_robustness_table(names: Sequence[str], robustness: Sequence[Dict[str, Any]]) -> str:
    """Return a line for each of several models: clean top-1, and the mean over the strengths of each corruption.

    Parameters
    ----------
    names : sequence of str
        Names of the models.
    robustness : sequence of dict
        For each model, as `robustness.measure_robustness` returns it.
    """
    rows = [["file", "clean", *robustness[0]["top1"], "mean"]]
    for name, measured in zip(names, robustness):
        means = [np.mean(row) for row in measured["top1"].values()]
        rows.append([name] + [f"{value:.4f}" for value in [measured["clean"], *means, measured["mean"]]])
    head = f"top-1 of {robustness[0]['images']} test images under corruptions, mean of five strengths"
    return "\n".join([head, *align_columns(rows, "l")])
