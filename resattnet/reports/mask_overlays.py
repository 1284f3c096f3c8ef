"""Draw soft masks over their image: the mean over the channels, the channels that vary most, and Grad-CAM."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..models.attention_maps import AttentionMaps
from .mask_figures import PANEL, Sheet, image_title, shown_picture, upsample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS, OPACITY = "viridis", 0.6
CHANNELS = 3  # number of channels that are shown of each mask, unless they are named
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # of red, green and blue
# Inches: between two panels, above a panel for its title, above and below a panel together, above all panels.
_GAP, _ROW_TITLE, _ROW, _HEAD = 0.12, 0.3, 0.5, 0.35
_LEAST_WIDTH = 5.5  # inches, for the text above all panels


class Overlay(NamedTuple):
    """A map (h, w) to draw over an image, and its title."""

    title: str
    values: np.ndarray

    @property
    def low(self) -> float:
        """The lowest value, which has the first colour."""
        return float(self.values.min())

    @property
    def high(self) -> float:
        """The highest value, which has the last colour."""
        return float(self.values.max())

    def blend(self, image: np.ndarray) -> np.ndarray:
        """Return the map over a grey copy of an image, so that all colours are those of the map.

        Parameters
        ----------
        image : uint8 array (H, W, 3)

        Returns
        -------
        float array (H, W, 3)
            From 0 to 1.
        """
        from matplotlib import colormaps

        grey = image @ _LUMINANCE / 255
        shares = (upsample(self.values, *grey.shape) - self.low) / ((self.high - self.low) or 1)
        return (1 - OPACITY) * grey[..., None] + OPACITY * colormaps[COLOURS](shares)[..., :3]


def mean_ranges(mask: np.ndarray) -> np.ndarray:
    """Return by how much the mean over the channels varies within each image: float array (N,) for (N, C, h, w)."""
    return np.ptp(mask.mean(axis=1), axis=(1, 2))


def most_varying(mask: np.ndarray, count: int = CHANNELS) -> List[int]:
    """Return the channels of a mask (C, h, w) with the highest standard deviation over the points, highest first."""
    return np.argsort(-mask.std(axis=(1, 2)), kind="stable")[:count].tolist()


def draw_overlays(sheet: Sheet, panel: float = PANEL) -> Figure:
    """Draw a block for each image: the image and Grad-CAM, and for each module the mean of its mask and some channels.

    Each map is drawn over the image and has a colour scale of its own, from its lowest to its highest value.

    Parameters
    ----------
    sheet : Sheet
    panel : float
        Side of an image, in inches.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    modules, blocks = len(sheet.maps), len(sheet.rows)
    left = 2 if sheet.cams is not None and modules == 1 else 1  # Grad-CAM is below the image if there is a second line
    columns = left + max(len(overlays(maps, 0, sheet.channels)) for maps in sheet.maps)
    across = min(blocks, 2) if modules > 1 else 1
    block_width, block_height = columns * (panel + _GAP) + 2 * _GAP, modules * (panel + _ROW) + _GAP
    width, height = max(across * block_width, _LEAST_WIDTH), -(-blocks // across) * block_height + _HEAD
    figure = Figure(figsize=(width, height))
    # One pair of axes in inches for all panels: axes for each panel would take ten times as long to draw.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.text(width / 2, _HEAD / 2, _note(sheet), ha="center", va="center", fontsize=7)
    for row, (image, prediction) in enumerate(zip(sheet.rows, sheet.predictions)):
        picture = shown_picture(image.picture)
        down, right = divmod(row, across)
        draw = _Panels(axes, picture, panel, right * block_width + 1.5 * _GAP, down * block_height + _HEAD)
        draw.picture(0, 0, picture, image_title(image, prediction))
        if sheet.cams is not None:
            draw.overlay(2 - left, left - 1, Overlay("Grad-CAM\nof the prediction", sheet.cams[row]))
        for line, maps in enumerate(sheet.maps):
            for column, overlay in enumerate(overlays(maps, row, sheet.channels), left):
                draw.overlay(line, column, overlay)
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return figure


def _note(sheet: Sheet) -> str:
    ranges = np.concatenate([mean_ranges(maps.mask) for maps in sheet.maps])
    return (
        f"Soft masks of Attention-{sheet.network.num_layers}. Each map has the scale below it. The mean of a mask over "
        f"its channels varies\nwithin an image by {ranges.min():.2g} to {ranges.max():.2g} here; a mask can have any "
        "value from 0 to 1."
    )


def overlays(maps: AttentionMaps, row: int, shown_channels: Optional[Sequence[int]] = None) -> List[Overlay]:
    """Return what is shown of a module for an image: the mean of its mask, and channels.

    Parameters
    ----------
    maps : AttentionMaps
    row : int
        Number of the image.
    shown_channels : sequence of int, optional
        Default: the channels that vary most.
    """
    mask = maps.mask[row]
    module = f"stage {maps.stage}, module {maps.module}"
    shown = f"{module}\nmean, range {mean_ranges(maps.mask)[row]:.2g}"
    mean = Overlay(shown, mask.mean(axis=0))
    channels = most_varying(mask) if shown_channels is None else shown_channels
    return [mean] + [Overlay(f"channel {channel}", mask[channel]) for channel in channels]


def short_number(value: float) -> str:
    """Return a number in at most six letters for values of masks and of Grad-CAM."""
    return f"{value:.{3 if abs(value) >= 0.1 else 2}g}"


class _Panels(NamedTuple):
    """The panels of an image.

    Attributes
    ----------
    axes : matplotlib.axes.Axes
        In inches, from the upper left corner of the figure.
    image : uint8 array (H, W, 3)
    side : float
        Side of a panel, in inches.
    x, y : float
        The upper left corner of the block of panels.
    """

    axes: Axes
    image: np.ndarray
    side: float
    x: float
    y: float

    def picture(self, line: int, column: int, pixels: np.ndarray, title: str) -> Tuple[float, float]:
        """Draw a picture of the image's shape in a panel; return the middle of its lower edge."""
        middle = self.x + column * (self.side + _GAP) + self.side / 2
        bottom = self.y + line * (self.side + _ROW) + _ROW_TITLE + self.side
        height, width = self.side * np.array(self.image.shape[:2]) / max(self.image.shape[:2])
        extent = (middle - width / 2, middle + width / 2, bottom, bottom - height)
        self.axes.imshow(pixels, extent=extent, aspect="auto")
        self.axes.text(middle, bottom - height - 0.04, title, ha="center", va="bottom", fontsize=6, parse_math=False)
        return middle, bottom

    def overlay(self, line: int, column: int, overlay: Overlay) -> None:
        """Draw a map over a grey copy of the image, and its scale below."""
        from matplotlib import colormaps

        middle, bottom = self.picture(line, column, overlay.blend(self.image), overlay.title)
        half = self.side / 2 - 0.32  # the ends are for the numbers
        extent = (middle - half, middle + half, bottom + 0.15, bottom + 0.07)
        self.axes.imshow(colormaps[COLOURS](np.linspace(0, 1, 64))[None], extent=extent, aspect="auto")
        for place, side, value in ((extent[0] - 0.04, "right", overlay.low), (extent[1] + 0.04, "left", overlay.high)):
            self.axes.text(place, bottom + 0.11, short_number(value), ha=side, va="center", fontsize=6)
