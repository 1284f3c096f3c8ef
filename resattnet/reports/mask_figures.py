"""Draw soft masks as in figures 1 and 4 of the paper: images, masks, and the features before and after the masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from ..models.attention_maps import AttentionMaps
from ..models.spec import NetworkSpec
from ..prediction.logits import Prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_PIXELS = 160  # longer side of an image on the sheet
PANEL = 1.35  # inches
BOARD_PANEL, BOARD_DPI = 1.05, 160  # smaller, because TensorBoard first shows a picture 350 pixels wide
TITLE_LENGTH = 26  # letters of an image's title, at most


class Row(NamedTuple):
    """An image on a sheet.

    Attributes
    ----------
    title : str
        Name of the image, and its class where it is known.
    picture : PIL.Image.Image
        The image in RGB, at its own size.
    pixels : uint8 array (H, W, 3)
        The image at the size that the network takes.
    """

    title: str
    picture: Image.Image
    pixels: np.ndarray


class Sheet(NamedTuple):
    """What a sheet of soft masks shows.

    Attributes
    ----------
    rows : sequence of Row
    predictions : sequence of Prediction
        Prediction for each image.
    maps : sequence of AttentionMaps
        Maps of each attention module for all images.
    network : NetworkSpec
    channels : sequence of int or None
        Channels to show. None: the mean over all channels in `draw_arrays`, which has a line for each channel; the
        channels that vary most in `mask_overlays.draw_overlays`, which shows the mean in any case.
    cams : float array (N, h, w) or None
        Grad-CAM of each image, to show too.
    """

    rows: Sequence[Row]
    predictions: Sequence[Prediction]
    maps: Sequence[AttentionMaps]
    network: NetworkSpec
    channels: Optional[Sequence[int]] = None
    cams: Optional[np.ndarray] = None

    @property
    def lines(self) -> List[Tuple[int, int]]:
        """Number of the image and place in `shown_channels` of each line of the sheet."""
        return [(row, place) for row in range(len(self.rows)) for place in range(len(self.shown_channels))]

    @property
    def shown_channels(self) -> List[Optional[int]]:
        """Channel of each line of an image; None: the mean over all channels."""
        return [None] if self.channels is None else list(self.channels)


class _Column(NamedTuple):
    """A column of maps: its title, the maps (N, shown channels, h, w), and the name of a matplotlib colour map."""

    title: str
    maps: np.ndarray
    colours: str


def upsample(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale a map (h, w) to the size of an image, bilinearly: float32 array (height, width)."""
    return np.asarray(Image.fromarray(np.asarray(maps, np.float32)).resize((width, height), Image.BILINEAR))


def module_pictures(sheet: Sheet, draw: Callable[[Sheet, float], Figure]) -> Dict[str, np.ndarray]:
    """Return the sheet of each attention module alone, for a TensorBoard log.

    Parameters
    ----------
    sheet : Sheet
    draw : callable
        `draw_arrays` or `mask_overlays.draw_overlays`.

    Returns
    -------
    dict of str to uint8 array (H, W, 3)
        By the name of the module on the board.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    pictures = {}
    for maps in sheet.maps:
        canvas = FigureCanvasAgg(draw(sheet._replace(maps=[maps]), BOARD_PANEL))
        canvas.figure.set_dpi(BOARD_DPI)
        canvas.draw()
        pictures[f"masks/stage{maps.stage}/module{maps.module}"] = np.asarray(canvas.buffer_rgba())[..., :3]
    return pictures


def draw_arrays(sheet: Sheet, panel: float = PANEL) -> Figure:
    """Draw the arrays alone: a line for each image and channel, and under the columns their colour scales.

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

    groups, lines = list(_column_groups(sheet)), sheet.lines
    width = 1 + sum(map(len, groups))
    figure = Figure(figsize=(panel * width, (panel + 0.25) * len(lines) + 0.9), layout="constrained")
    shown = "mean over the channels"
    if sheet.channels is not None:
        shown = f"channels {', '.join(map(str, sheet.channels))}"
    figure.suptitle(f"Soft masks of Attention-{sheet.network.num_layers}: {shown}", fontsize=9)
    grid = figure.add_gridspec(len(lines) + 1, width, height_ratios=[1] * len(lines) + [0.07])
    for line, (row, place) in enumerate(lines):
        axes = figure.add_subplot(grid[line, 0])
        _show_picture(axes, sheet.rows[row], sheet.predictions[row], sheet.shown_channels[place])
    first = 1
    for group in groups:
        _show_group(figure, grid, first, group, sheet)
        first += len(group)
    return figure


def _column_groups(sheet: Sheet) -> Iterator[List[_Column]]:
    """Yield the groups of columns that share a colour scale.

    They are Grad-CAM; for each module its mask; and for each module the features before and after the mask.
    """
    formula = "(1 + M) T" if sheet.network.attention_learning == "arl" else "M T"
    if sheet.cams is not None:
        cams = np.repeat(sheet.cams[:, None], len(sheet.shown_channels), axis=1)
        yield [_Column("Grad-CAM\nof the prediction", cams, "inferno")]
    for maps in sheet.maps:
        mask, before, after = (_shown_maps(array, sheet.channels) for array in (maps.mask, maps.before, maps.after))
        height, width = mask.shape[2:]
        module = f"stage {maps.stage}, module {maps.module}"
        yield [_Column(f"{module}\nmask M ({height} x {width})", mask, "viridis")]
        yield [_Column(f"{module}\ntrunk T", before, "magma"), _Column(f"{module}\n{formula}", after, "magma")]


def _shown_maps(maps: np.ndarray, channels: Optional[Sequence[int]]) -> np.ndarray:
    """Return the shown channels of maps (N, C, h, w), or the mean over all channels as a single one."""
    return maps.mean(axis=1, keepdims=True) if channels is None else maps[:, list(channels)]


def _shown_size(picture: Image.Image, side: int = SHOWN_PIXELS) -> Tuple[int, int]:
    """Return height and width of an image on the sheet."""
    width, height = picture.size
    scale = side / max(width, height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def shown_picture(picture: Image.Image, side: int = SHOWN_PIXELS) -> np.ndarray:
    """Return an image at its size on the sheet, where its longer side is `side`: uint8 array (height, width, 3)."""
    height, width = _shown_size(picture, side)
    return np.asarray(picture.resize((width, height), Image.BILINEAR))


def image_title(row: Row, prediction: Prediction) -> str:
    """Return the title of an image, shortened, and below it the predicted class."""
    title = row.title if len(row.title) <= TITLE_LENGTH else "..." + row.title[3 - TITLE_LENGTH :]
    return f"{title}\n-> {prediction.classes[0]} ({100 * prediction.probabilities[0]:.1f} %)"


def _show_picture(axes: Any, row: Row, prediction: Prediction, channel: Optional[int]) -> None:
    axes.imshow(shown_picture(row.picture))
    axes.set_title(image_title(row, prediction), fontsize=6, parse_math=False)
    axes.set(xticks=[], yticks=[])
    if channel is not None:
        axes.set_ylabel(f"channel {channel}", fontsize=6)


def _show_group(figure: Figure, grid: Any, first: int, group: Sequence[_Column], sheet: Sheet) -> None:
    """Draw the columns of a group, from column `first` of the grid on, and their colour scale in its last row."""
    from matplotlib.ticker import MaxNLocator

    low = min(float(column.maps.min()) for column in group)
    high = max(float(column.maps.max()) for column in group)
    for number, column in enumerate(group):
        for line, (row, place) in enumerate(sheet.lines):
            axes = figure.add_subplot(grid[line, first + number])
            shown = axes.imshow(
                upsample(column.maps[row, place], *_shown_size(sheet.rows[row].picture)),
                cmap=column.colours,
                vmin=low,
                vmax=high,
            )
            axes.set(xticks=[], yticks=[])
            if line == 0:
                axes.set_title(column.title, fontsize=6)
    bar = figure.colorbar(
        shown,
        cax=figure.add_subplot(grid[-1, first : first + len(group)]),
        orientation="horizontal",
        ticks=MaxNLocator(3 * len(group)),
    )
    bar.ax.tick_params(labelsize=6)
