"""Draw grids of images: a sheet with captions, and mosaics with titles, columns and rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence, Tuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def image_sheet(
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    title: str = "",
    frames: Sequence[Tuple[float, float, float]] = (),
    columns: int = 6,
) -> Figure:
    """Draw images in rows, each with a caption under it.

    Parameters
    ----------
    images : sequence of uint8 array (H, W, 3)
        There may be none.
    captions : sequence of str
    title : str
        Title of the sheet.
    frames : sequence of RGB colours, optional
        Colour of each image's frame.
    columns : int
        Images in a row.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    rows = max(-(-len(images) // columns), 1)
    figure = Figure(figsize=(1.6 * columns, 2.1 * rows + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=9, parse_math=False)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    longest = max((len(line) for caption in captions for line in caption.split("\n")), default=1)
    size = max(5, min(8, 210 / longest))  # so that neighbouring captions do not overlap
    for axes, image, caption in zip(grid, images, captions):
        axes.imshow(image, interpolation="none")
        axes.text(0.5, -0.04, caption, transform=axes.transAxes, ha="center", va="top", fontsize=size, parse_math=False)
    for axes, colour in zip(grid, frames):
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color(colour)
        axes.spines[:].set_linewidth(3)
    return figure


def mosaics(
    panels: Sequence[Tuple[str, np.ndarray]], columns: Sequence[str], rows: Sequence[str], per_row: int = 4
) -> Figure:
    """Draw grids of images side by side, all with the same columns and rows.

    Parameters
    ----------
    panels : sequence of (str, uint8 array (R, C, H, W, 3))
        Title and images of each grid.
    columns, rows : sequence of str
        Labels under the columns and beside the rows.
    per_row : int
        Largest number of grids side by side.

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
        _draw_mosaic(axes, title, images, columns, rows)
    return figure


def _draw_mosaic(axes: Axes, title: str, images: np.ndarray, columns: Sequence[str], rows: Sequence[str]) -> None:
    height, width = np.add(images.shape[2:4], 1)
    framed = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=255)
    axes.set_axis_on()
    axes.imshow(np.concatenate(np.concatenate(framed, axis=1), axis=1), interpolation="none")
    axes.set_title(title, fontsize=7, parse_math=False)
    axes.set_xticks(width * (np.arange(len(columns)) + 0.5) - 1, columns, fontsize=7, parse_math=False)
    axes.set_yticks(height * (np.arange(len(rows)) + 0.5) - 1, rows, fontsize=7, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
