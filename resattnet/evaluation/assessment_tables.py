"""Assessments as text: the tables that `scripts/cifar10_test.py` prints."""

import numpy as np

from ..data.corruptions import STRENGTHS
from .assessment import class_rows, compare_results

COUNTED_CLASSES = 16  # of more, a matrix is wider than a page
HEAD = 6  # letters of a class over its column

MIRRORED = "with mirrored images (mean of the probabilities of each image and its mirror image)"


def outcome_text(assessments):
    """What assessments say, as text: of one all its tables, of several how they compare.

    Parameters
    ----------
    assessments : list of assessment.Assessment

    Returns
    -------
    str
    """
    if not assessments[1:]:
        parts = [part(assessments[0]) for part in (headline, class_table, confusion_table)]
        return "\n\n".join(parts + [robustness_table(found.robustness) for found in assessments if found.robustness])
    parts = [
        f"{assessments[0].evaluation.samples} test images of {assessments[0].facts['dataset']}",
        figures_table(assessments),
    ]
    if assessments[0].mirrored:
        parts.append(f"{MIRRORED}\n{figures_table([found.mirrored for found in assessments])}")
    parts.append(comparison_table(assessments))
    if assessments[0].robustness:
        parts.append(means_table(assessments))
    return "\n\n".join(parts)


def _columns(rows):
    """Rows of texts as lines in columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0])] + [text.rjust(width) for text, width in zip(row[1:], widths[1:])])
        for row in rows
    )


def _figures(found):
    return [
        f"{value:.4f}"
        for value in (found.evaluation.top1, found.evaluation.top5, found.evaluation.loss, found.reliability.error)
    ]


def headline(found):
    """The figures of an assessment in two lines; a third has those with the mirrored images."""
    lines = [
        f"{found.name}: {found.evaluation.samples} test images",
        "top-1 {}  top-5 {}  loss {}  ECE {}".format(*tuple(_figures(found))),
    ]
    if found.mirrored:
        lines.append(
            "top-1 with mirrored images {}  top-5 with them {}  loss with them {}  ECE with them {} (mean of "
            "the probabilities of each image and its mirror image)".format(*tuple(_figures(found.mirrored)))
        )
    return "\n".join(lines)


def class_table(found):
    """A line for each class: images, precision, recall, F1, and what it is most often taken for."""
    rows = class_rows(found)
    lines = _columns(
        [["class", "images", "precision", "recall", "F1"]]
        + [
            [row["name"], str(row["images"])] + [f"{row[name]:.4f}" for name in ("precision", "recall", "f1")]
            for row in rows
        ]
    ).split("\n")
    taken = [f"{row['taken_for']['class']} ({row['taken_for']['images']})" if row["taken_for"] else "-" for row in rows]
    return "\n".join(map("  ".join, zip(lines, ["most often taken for"] + taken)))


def confusion_table(found):
    """The confusion matrix, a row for each true class; of many classes only where it is."""
    classes = found.test_set.classes
    if len(classes) > COUNTED_CLASSES:
        return f"confusion matrix: of {len(classes)} classes only in the files of --output and in --format json"
    return "confusion matrix (rows: true, columns: predicted, as the rows; .: none)\n" + _columns(
        [[""] + [name[:HEAD] for name in classes]]
        + [
            [name] + [str(count) if count else "." for count in row]
            for name, row in zip(classes, found.evaluation.confusion)
        ]
    )


def figures_table(assessments):
    """A line for each of several assessments: top-1, top-5, loss and ECE."""
    return _columns(
        [["file", "top-1", "top-5", "loss", "ECE"]] + [[found.name] + _figures(found) for found in assessments]
    )


def comparison_table(assessments):
    """A line for each assessment but the first: the images that only it or only the first gets right."""
    return f"against {assessments[0].name}, image by image\n" + _columns(
        [["file", "only it is right", "only the first", "p (McNemar, exact)"]]
        + [
            [other.name, str(paired.only_second), str(paired.only_first), f"{paired.p:.3g}"]
            for other, paired in zip(assessments[1:], compare_results(assessments))
        ]
    )


def robustness_table(measured):
    """Top-1 under each corruption at each strength, and the means; `measured` as `robustness.robustness` gives it."""
    values = np.array(list(measured["top1"].values()))
    head = ["corruption"] + list(map(str, STRENGTHS)) + ["mean"]
    rows = [
        [name] + [f"{value:.4f}" for value in list(row) + [row.mean()]]
        for name, row in zip(list(measured["top1"]) + ["mean"], np.vstack([values, values.mean(axis=0)]))
    ]
    return (
        f"clean top-1 {measured['clean']:.4f} of {measured['images']} test images; corrupted, by strength:\n"
        + _columns([head] + rows)
    )


def means_table(assessments):
    """A line for each of several assessments: clean top-1, and under each corruption the mean over its strengths."""
    first = assessments[0].robustness
    return f"top-1 of {first['images']} test images under corruptions, mean of five strengths\n" + _columns(
        [["file", "clean"] + list(first["top1"]) + ["mean"]]
        + [
            [found.name]
            + [
                f"{value:.4f}"
                for value in [found.robustness["clean"]]
                + [np.mean(row) for row in found.robustness["top1"].values()]
                + [found.robustness["mean"]]
            ]
            for found in assessments
        ]
    )
