"""A report of runs as one HTML page that needs nothing else: no network, no files, no script."""

import base64
import io
import time

from PIL import Image

from . import figures
from .html_parts import STYLE, duration, escape, folded, table
from .run_report import compare_arguments

PICTURE = 128  # pixels at most of a side of a hard image
FOLDED = 20  # tables of more classes are folded away

# Title, what the axis says, whether it may be logarithmic, columns of the CSV (a second, if there, is dashed), a note.
CHARTS = (
    ("Loss", "cross-entropy, nats", True, ("validation_loss", "train_loss"), "Solid: validation; dashed: training."),
    ("Top-1 of validation", "share of the images", False, ("validation_top1", "validation_ema_top1"), ""),
    ("Learning rate", "learning rate", True, ("learning_rate",), "At the last step of each epoch."),
    ("Speed of training", "images/s", False, ("samples_per_second",), "Validation aside."),
)

# Options with which the training loss is not that of the labels.
OTHER_LOSS = ("mix_up", "cutmix", "epsilon", "label_noise", "teacher")


def _named(number, record):
    """A run's mark, in its colour, and its name."""
    return f'<span class="mark" style="color: var(--run-{number})" aria-hidden="true">{figures.MARKERS[number % len(figures.MARKERS)][1]}</span>{escape(record.label)}'


def _what(record):
    """What a run trains, in a few words."""
    options = record.options
    return f"{options['dataset']}, Attention-{options['num_layers']}, {options['widths']}" if options else ""


def _total(record):
    return f" of {record.options['epochs']}" if record.options else ""


def render(records, options):
    """The page of runs.

    Parameters
    ----------
    records : list of report.RunRecord
        At least one.
    options : reports.options.ReportOptions

    Returns
    -------
    str
    """
    labels = [record.label for record in records]
    title = "Training of " + (" and ".join(labels) if len(labels) < 3 else f"{len(labels)} runs")
    palette = [figures.colour(number) for number in range(len(records))]
    style = STYLE % {
        theme: " ".join(f"--run-{number}: {pair[side]};" for number, pair in enumerate(palette))
        for side, theme in enumerate(("light", "dark"))
    }
    return """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{}</title>
<style>{}</style>
</head>
<body>
<header><h1>{}</h1><p>Written on {}.</p></header>
<main>
{}
</main>
</body>
</html>
""".format(
        escape(title),
        style,
        escape(title),
        time.strftime("%Y-%m-%d %H:%M"),
        "\n".join(
            (_figures(records), _remarks(records), _curves(records), _arguments(records), _outcomes(records, options))
        ),
    )


def _figures(records):
    rows = []
    for number, record in enumerate(records):
        title = f'{_named(number, record)}<br><span class="soft">{escape(_what(record))}</span>'
        for name, row, what in (
            ("best", record.best, "validation"),
            ("last", record.last, "validation"),
            ("best of the moving average", record.best_ema, "validation_ema"),
        ):
            if row:
                rows.append(
                    [
                        title if name == "best" else f'<span class="soft">{escape(record.label)}</span>',
                        name,
                        f"{row['epoch']}{escape(_total(record))}",
                    ]
                    + [f"{row[key]:.4f}" for key in (what + "_top1", what + "_top5", what + "_loss", "train_loss")]
                    + [duration(record.seconds(row))]
                )
        if not record.rows:
            rows.append([title, "no epoch yet"] + [""] * 6)
    return f"<section><h2>Best and last</h2>{table(('run', 'which', 'epoch', 'top-1', 'top-5', 'loss', 'training loss', 'training time'), rows, 'On all validation images, each once. Best: of the highest top-1. Time: of training alone, until that epoch.', range(2, 8))}</section>"


def _remarks(records):
    remarks = [f"<li>{escape(record.label)}: {escape(remark)}</li>" for record in records for remark in record.remarks]
    return f"<section><h2>Remarks</h2><ul>{''.join(remarks)}</ul></section>" if remarks else ""


def _curves(records):
    if not any(record.rows for record in records):
        return ""
    legend = "".join(
        f'<li>{_named(number, record)} <span class="soft">{escape(_what(record))}</span></li>'
        for number, record in enumerate(records)
    )
    softened = [record.label for record in records if record.options and any(map(record.options.get, OTHER_LOSS))]
    averaged = [record.label for record in records if record.best_ema]
    charts = []
    for number, (title, label, log_scale, columns, note) in enumerate(CHARTS):
        lines = [
            (run, [row["epoch"] for row in record.rows], [row[column] for row in record.rows], place > 0)
            for run, record in enumerate(records)
            for place, column in enumerate(columns)
            if record.rows and column in record.rows[0]
        ]
        if "train_loss" in columns and softened:
            note += (
                f" The training loss of {', '.join(softened)} is against mixed, smoothed or noisy labels or a "
                "teacher: compare only its validation loss."
            )
        if "validation_ema_top1" in columns and averaged:
            note += (
                f"Dashed: the moving average of the parameters of {', '.join(averaged)}, with batch "
                "normalisation's running statistics as those have them."
            )
        charts.append(
            f"<figure><h3>{title}</h3>{figures.to_svg(figures.curves(lines, label, log_scale), f'chart{number}', _described(title, records, columns[0]), len(records))}<figcaption>{escape(note)}</figcaption></figure>"
        )
    return (
        f'<section><h2>Curves</h2><ul class="legend">{legend}</ul><div class="charts">{"".join(charts)}</div></section>'
    )


def _described(title, records, column):
    """What a chart shows, in words."""
    return "{} by epoch. {}".format(
        title,
        " ".join(
            (
                f"{record.label}: from {record.rows[0][column]:.4g} after epoch 1 to {record.last[column]:.4g} after "
                f"epoch {record.last['epoch']}."
            )
            for record in records
            if record.rows
        ),
    )


def _arguments(records):
    differing, common = compare_arguments(records)
    content = ""
    if differing:
        content += table(
            ["argument"] + [record.label for record in records],
            [[f"<code>{escape(flag)}</code>"] + list(map(escape, values)) for flag, values in differing.items()],
        )
    elif records[1:] and common:
        content += "<p>They differ in none.</p>"
    if common:
        content += folded(
            f"{len(common)} arguments{' that all of them share' * bool(records[1:])}",
            table(
                ("argument", "value"),
                [[f"<code>{escape(flag)}</code>", escape(value)] for flag, value in common.items()],
            ),
        )
    return f"<section><h2>Arguments</h2>{content or '<p>No run has a state to read them from.</p>'}</section>"


# ---- the best parameters on the test images ----


def _outcomes(records, options):
    head = "<section><h2>The best parameters on the test images</h2>%s</section>"
    if not options.evaluate:
        return head % "<p>Left out, as <code>--evaluate 0</code> asked: confusions, classes and the hardest images.</p>"
    runs = [(number, record) for number, record in enumerate(records) if record.result]
    if not runs:
        return head % "<p>None could be evaluated: see the remarks above.</p>"
    return head % (_classes(runs) + "".join(_outcome(number, record, options.hardest) for number, record in runs))


def _classes(runs):
    """Accuracy of each class, the runs of the same classes side by side."""
    content = ""
    groups = {}
    for number, record in runs:
        groups.setdefault(record.result.classes, []).append((number, record))
    for classes, group in groups.items():
        rows = []
        for index, name in enumerate(classes):
            images = [int(record.result.evaluation.confusion[index].sum()) for _, record in group]
            shares = [record.result.evaluation.class_accuracy[index] for _, record in group]
            rows.append(
                [escape(name), " / ".join(map(str, dict.fromkeys(images)))]
                + [
                    (
                        f'{share:.4f}<span class="track"><span class="bar" style="width: {100 * share:.1f}%; '
                        f'background: var(--run-{number})"></span></span>'
                    )
                    if count
                    else "no images"
                    for (number, _), share, count in zip(group, shares, images)
                ]
            )
        content += folded(
            f"{len(classes)} classes of {', '.join((record.label for _, record in group))}",
            table(
                ["class", "images"] + [record.label for _, record in group],
                rows,
                "Share of a class's images that is recognised.",
                (1,),
            ),
            len(classes) <= FOLDED,
        )
    return "<h3>Accuracy by class</h3>" + content


def _outcome(number, record, count):
    measured, classes, hardest = record.result.evaluation, record.result.classes, record.result.hardest_images(count)
    name = f"run{number}"
    wrong = [
        [escape(classes[true]), escape(classes[predicted]), str(count)]
        for true, predicted, count in measured.mistakes()
    ]
    confusion = figures.to_svg(
        figures.confusion_matrix(measured.confusion, classes),
        name,
        (
            f"Confusion matrix of {record.label}: {measured.confusion.trace()} of {measured.samples} images on the "
            "diagonal. "
            f"{'Most frequent: ' + '; '.join((f'{classes[true]} taken for {classes[predicted]}, {count}' for true, predicted, count in measured.mistakes(3)))}"
        ),
    )
    return """<article class="card"><h3>{title}</h3>
<p>Best parameters, {samples} test images: top-1 {top1:.4f}, top-5 {top5:.4f}, loss {loss:.4f}.</p>
<div class="outcome{many}"><figure>{confusion}<figcaption>Images by true and predicted class. Blue: right, by the share
of the class; orange: mistakes, by the root of theirs. Empty: none.</figcaption></figure>
<div><h4>Most often mistaken</h4>{wrong}</div></div>{hardest}</article>""".format(
        title=_named(number, record),
        samples=measured.samples,
        top1=measured.top1,
        top5=measured.top5,
        loss=measured.loss,
        many=" many" * (len(classes) > FOLDED),
        confusion=confusion,
        wrong=table(("true", "taken for", "images"), wrong, "", (2,)) if wrong else "<p>Nothing.</p>",
        hardest=_hardest(hardest) if hardest else "",
    )


def _hardest(images):
    items = "".join(
        (
            f'<li><figure><img src="{_png(image.image)}" alt="Test image {image.index}, {escape(image.true)}"><figcaption><strong>{escape(image.true)}</strong><br>{("right:" if image.true == image.predicted else "taken for")} '
            f"{escape(image.predicted)}<br>at {image.probability:.4f}<br>loss {image.loss:.3f}<br>no. {image.index}</figcaption></figure></li>"
        )
        for image in images
    )
    return (
        "<h4>Hardest images</h4><p>Those of the highest loss: the true class, what it was taken for and how "
        f'probable that seemed; its number in the test set, from 0.</p><ul class="hard">{items}</ul>'
    )


def _png(pixels):
    """An image as the address of an <img>."""
    picture, file = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((PICTURE, PICTURE))
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
