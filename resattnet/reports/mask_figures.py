"""Figures of soft masks, as the paper's figures 1 and 4: images, masks, and the features before and after them."""

from typing import NamedTuple

import numpy as np
from PIL import Image

SHOWN_PIXELS = 160  # the longer side of an image on the sheet
PANEL = 1.35  # inches
BOARD_PANEL, BOARD_DPI = 1.05, 160  # smaller, since TensorBoard first shows a picture 350 pixels wide
TITLE = 26  # letters of a name, at most


class Row(NamedTuple):
    """An image on a sheet.

    Attributes
    ----------
    title : str
        Its name, and what it is where that is known.
    picture : PIL.Image.Image
        In RGB, as it came.
    pixels : uint8 array (H, W, 3)
        As the network is given it.
    """

    title: str
    picture: Image.Image
    pixels: np.ndarray


def upsample(maps, height, width):
    """Bring a float map (h, w) to the size of an image, bilinearly: float32 array (height, width)."""
    return np.asarray(Image.fromarray(np.asarray(maps, np.float32)).resize((width, height), Image.BILINEAR))


def board_pictures(rows, predictions, attentions, channels, cams, network):
    """The sheet of each attention module alone, as images for a board by name; parameters as of `draw`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    pictures = {}
    for attention in attentions:
        canvas = FigureCanvasAgg(draw(rows, predictions, [attention], channels, cams, network, BOARD_PANEL))
        canvas.figure.set_dpi(BOARD_DPI)
        canvas.draw()
        pictures["masks/stage%d/module%d" % attention[1:3]] = np.asarray(canvas.buffer_rgba())[..., :3]
    return pictures


class Column(NamedTuple):
    """A column of maps on a sheet: its title, maps (N, channels shown, h, w) and matplotlib's name of its colours."""

    title: str
    maps: np.ndarray
    colours: str


def columns_of(attentions, channels, formula):
    """The groups of columns that share a scale: for each module its masks; its features before and after."""
    for attention in attentions:
        mask, before, after = (
            maps.mean(axis=1, keepdims=True) if channels is None else maps[:, list(channels)] for maps in attention[3:]
        )
        where = "stage %d, module %d" % attention[1:3]
        yield [Column("%s\nmask M (%d x %d)" % ((where,) + mask.shape[2:]), mask, "viridis")]
        yield [Column(f"{where}\ntrunk T", before, "magma"), Column(f"{where}\n{formula}", after, "magma")]


def draw(rows, predictions, attentions, channels, cams, network, panel=PANEL):
    """A sheet as a matplotlib Figure; the last row of its axes are the scales.

    Parameters
    ----------
    rows : list of Row
    predictions : list of evaluation.Prediction
    attentions : list of masks.Attention
    channels : sequence of int or None
        A line of each image for each; None: the mean over all channels.
    cams : array (N, h, w) or None
        Grad-CAM, to be shown beside them.
    network : NetworkSpec
    panel : float
        Side of an image, in inches.
    """
    from matplotlib.figure import Figure

    groups = list(columns_of(attentions, channels, "(1 + M) T" if network.attention_learning == "arl" else "M T"))
    shown = [None] if channels is None else list(channels)
    if cams is not None:
        groups.insert(0, [Column("Grad-CAM\nof the prediction", np.repeat(cams[:, None], len(shown), 1), "inferno")])
    lines = [(row, place) for row in range(len(rows)) for place in range(len(shown))]
    width = 1 + sum(map(len, groups))
    figure = Figure(figsize=(panel * width, (panel + 0.25) * len(lines) + 0.9), layout="constrained")
    figure.suptitle(
        (
            f"Soft masks of Attention-{network.num_layers}: "
            f"{('mean over the channels' if channels is None else 'channels ' + ', '.join(map(str, channels)))}"
        ),
        fontsize=9,
    )
    grid = figure.add_gridspec(len(lines) + 1, width, height_ratios=[1] * len(lines) + [0.07])
    for line, (row, place) in enumerate(lines):
        _show_picture(figure.add_subplot(grid[line, 0]), rows[row], predictions[row], shown[place])
    first = 1
    for group in groups:
        _show_group(figure, grid, first, group, rows, lines)
        first += len(group)
    return figure


def _shown_size(picture):
    """Height and width of an image on the sheet."""
    width, height = picture.size
    scale = SHOWN_PIXELS / max(width, height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _show_picture(axis, row, prediction, channel):
    height, width = _shown_size(row.picture)
    axis.imshow(np.asarray(row.picture.resize((width, height), Image.BILINEAR)))
    title = row.title if len(row.title) <= TITLE else "..." + row.title[3 - TITLE :]
    axis.set_title(
        f"{title}\n-> {prediction.classes[0]} ({100 * prediction.probabilities[0]:.1f} %)", fontsize=6, parse_math=False
    )
    axis.set(xticks=[], yticks=[])
    if channel is not None:
        axis.set_ylabel(f"channel {channel}", fontsize=6)


def _show_group(figure, grid, first, group, rows, lines):
    """Draw columns of one scale, from column `first` of the grid on, with their bar in its last row."""
    from matplotlib.ticker import MaxNLocator

    low = min(float(column.maps.min()) for column in group)
    high = max(float(column.maps.max()) for column in group)
    for number, column in enumerate(group):
        for line, (row, place) in enumerate(lines):
            axis = figure.add_subplot(grid[line, first + number])
            shown = axis.imshow(
                upsample(column.maps[row, place], *_shown_size(rows[row].picture)),
                cmap=column.colours,
                vmin=low,
                vmax=high,
            )
            axis.set(xticks=[], yticks=[])
            if line == 0:
                axis.set_title(column.title, fontsize=6)
    bar = figure.colorbar(
        shown,
        cax=figure.add_subplot(grid[-1, first : first + len(group)]),
        orientation="horizontal",
        ticks=MaxNLocator(3 * len(group)),
    )
    bar.ax.tick_params(labelsize=6)
