"""Drawings, as matplotlib figures: save one as PNG, or have `to_svg` make it part of a page, light or dark."""

import colorsys
import io
import re

import numpy as np

from ..system.files import write_atomically

# Okabe and Ito's, which people who see few colours tell apart, darker or lighter where the background asks for it.
_COLOURS = (
    ("#0072b2", "#56b4e9"),
    ("#c44e00", "#ff8c42"),
    ("#00805f", "#2fc79b"),
    ("#a8558a", "#e08cc0"),
    ("#8a6d00", "#f0d442"),
    ("#4b4ba8", "#a3a3ff"),
    ("#a02020", "#ff7070"),
    ("#5c5c5c", "#c0c0c0"),
)
MARKERS = (("o", "●"), ("s", "■"), ("^", "▲"), ("D", "◆"), ("v", "▼"), ("P", "✚"), ("X", "✖"), ("*", "★"))
_RIGHT, _WRONG = (0.0, 0.45, 0.70), (0.84, 0.37, 0.0)  # hues of a confusion matrix
COUNTED_CLASSES = 40  # more of them leave no room for a count in each cell
DPI = 150  # of files
LOG_SPAN = 30  # the first epoch's loss would press all others into a line


def colour(index):
    """The colour of the run of that number on a light and on a dark background, as `#rrggbb`."""
    if index < len(_COLOURS):
        return _COLOURS[index]
    hue = 0.618034 * index % 1
    return tuple(
        "#{:02x}{:02x}{:02x}".format(*tuple(round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, 0.6)))
        for lightness in (0.37, 0.7)
    )


def curves(lines, label, log_scale=False):
    """Figures by epoch, on the same axes.

    Parameters
    ----------
    lines : list of (int, sequence, sequence, bool)
        Number of the run, which gives colour and marker; epochs; values; whether the line is dashed.
    label : str
        What the values are.
    log_scale : bool
        Their axis is logarithmic where they are all positive and span more than `LOG_SPAN`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    for run, epochs, values, dashed in lines:
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
    drawn = [value for _, _, values, _ in lines for value in values if np.isfinite(value)]
    if log_scale and drawn and 0 < LOG_SPAN * min(drawn) < max(drawn):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
        label += ", log scale"
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def confusion_matrix(confusion, classes):
    """A heat map of counts; blue is what is right, orange what is taken for something else.

    Parameters
    ----------
    confusion : int array (K, K)
        Samples of each true class (row) by predicted class (column).
    classes : sequence of str

    Returns
    -------
    matplotlib.figure.Figure
        Of more than `COUNTED_CLASSES` classes without the counts.
    """
    from matplotlib.figure import Figure

    total, counted = len(classes), len(classes) <= COUNTED_CLASSES
    side = 2 + (0.42 if counted else 0.13) * total
    size = 9 if counted else 6
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    cells = np.empty((total, total, 4))
    cells[..., :3] = np.where(np.eye(total, dtype=bool)[..., None], _RIGHT, _WRONG)
    # Mistakes are few: the root shows where they are.
    cells[..., 3] = np.where(np.eye(total, dtype=bool), 0.9 * shares, np.sqrt(shares))
    axes.imshow(cells, interpolation="none")
    for row, column in zip(*np.nonzero(confusion)) if counted else ():
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
    axes.set_yticks(range(total), classes, fontsize=size, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def image_sheet(images, captions, columns=6):
    """Images in rows, each with a caption under it.

    Parameters
    ----------
    images : uint8 array (N, H, W, 3)
        At least one.
    captions : sequence of str

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.6 * columns, 2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    longest = max(len(line) for caption in captions for line in caption.split("\n"))
    size = max(5, min(8, 210 / longest))  # so that neighbours do not touch
    for axes, image, caption in zip(grid, images, captions):
        axes.imshow(image, interpolation="none")
        axes.text(0.5, -0.04, caption, transform=axes.transAxes, ha="center", va="top", fontsize=size, parse_math=False)
    return figure


def mosaics(panels, columns, rows, per_row=4):
    """Grids of images side by side, all with the same columns and rows.

    Parameters
    ----------
    panels : list of (str, uint8 array (R, C, H, W, 3))
        Titles and images.
    columns, rows : sequence of str
        What is written under and beside them.
    per_row : int
        Grids beside each other, at most.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    per_row = min(per_row, len(panels))
    down = -(-len(panels) // per_row)
    figure = Figure(
        figsize=(per_row * (0.42 * len(columns) + 0.9), down * (0.42 * len(rows) + 0.7)), layout="constrained"
    )
    grid = figure.subplots(down, per_row, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, (title, images) in zip(grid, panels):
        height, width = np.add(images.shape[2:4], 1)
        framed = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=255)
        axes.set_axis_on()
        axes.imshow(np.concatenate(np.concatenate(framed, axis=1), axis=1), interpolation="none")
        axes.set_title(title, fontsize=7, parse_math=False)
        axes.set_xticks(width * (np.arange(len(columns)) + 0.5) - 1, columns, fontsize=7, parse_math=False)
        axes.set_yticks(height * (np.arange(len(rows)) + 0.5) - 1, rows, fontsize=7, parse_math=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def reliability_diagram(measured):
    """The share that is right against the probability of the predicted class, and how the samples lie over it.

    Blue is the share, the light part what of it is beyond the mean probability; orange is what it lacks of that.

    Parameters
    ----------
    measured : evaluation.Reliability

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    bins = len(measured.counts)
    edges, width, full = np.arange(bins) / bins, 1 / bins, measured.counts > 0
    accuracy, confidence = measured.accuracy[full], measured.confidence[full]
    low = np.minimum(accuracy, confidence)
    figure = Figure(figsize=(5, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (3, 1)})
    for height, bottom, shade, label in (
        (low, 0, _RIGHT, "right"),
        (accuracy - low, low, _RIGHT + (0.4,), "right beyond their probability"),
        (confidence - low, low, _WRONG + (0.6,), "probable beyond what is right"),
    ):
        upper.bar(edges[full], height, width, bottom, align="edge", color=shade, edgecolor="white", label=label)
    upper.plot((0, 1), (0, 1), "--", color="black", linewidth=1, label="calibrated")
    upper.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1), title=f"ECE {measured.error:.4f}")
    upper.legend(loc="upper left", fontsize=8)
    lower.bar(edges, measured.counts / measured.counts.sum(), width, align="edge", color="0.5", edgecolor="white")
    lower.set(xlabel="probability of the predicted class", ylabel="share of images")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def save(figure, path):
    """Write a figure as PNG, atomically, at its own resolution or the higher one of `DPI`."""
    write_atomically(
        path, lambda temporary: figure.savefig(temporary, format="png", dpi=max(DPI, figure.dpi), bbox_inches="tight")
    )


def to_svg(figure, name, label, runs=0):
    """A figure as an SVG element for a page, as wide as its place.

    Black becomes the page's text colour, and each run's colour the CSS variable `--run-N`.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    name : str
        Of letters; each drawing of a page has another.
    label : str
        What it shows, for those who do not see it.
    runs : int
        How many runs have a colour.

    Returns
    -------
    str
    """
    import html

    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(
            file, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    text = file.getvalue()
    box = re.search(r'viewBox="[^"]+"', text).group()
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"#000000\b", "currentColor", body)
    for run in range(runs):
        body = body.replace(colour(run)[0], f"var(--run-{run})")
    return f'<svg role="img" aria-label="{html.escape(label)}" {box}>{body}'
