"""Colours of figures, and ways to save a figure: as a PNG file, or as SVG for a page that is light or dark."""

from __future__ import annotations

import colorsys
import html
import io
import re
from typing import TYPE_CHECKING, Tuple

from ..system.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The colours of Okabe and Ito, which remain distinct for people with colour blindness: a darker shade of each for a
# light background and a lighter shade for a dark background.
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
# Markers of runs, as matplotlib calls them and as characters.
MARKERS = (("o", "●"), ("s", "■"), ("^", "▲"), ("D", "◆"), ("v", "▼"), ("P", "✚"), ("X", "✖"), ("*", "★"))
RIGHT, WRONG = (0.0, 0.45, 0.70), (0.84, 0.37, 0.0)  # RGB in 0..1: correct and wrong predictions
DPI = 150  # of files


def colour(run: int) -> Tuple[str, str]:
    """Return the colours of a run, given by its number, on a light and on a dark background, as `#rrggbb`."""
    if run < len(_COLOURS):
        return _COLOURS[run]
    hue = 0.618034 * run % 1
    return _hex_colour(hue, 0.37), _hex_colour(hue, 0.7)


def _hex_colour(hue: float, lightness: float) -> str:
    channels = (round(255 * channel) for channel in colorsys.hls_to_rgb(hue, lightness, 0.6))
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def save(figure: Figure, path: str) -> None:
    """Write a figure as PNG, atomically, at its own resolution or at `DPI` if that is higher.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    write_atomically(
        path, lambda temporary: figure.savefig(temporary, format="png", dpi=max(DPI, figure.dpi), bbox_inches="tight")
    )


def to_svg(figure: Figure, name: str, label: str, runs: int = 0) -> str:
    """Return a figure as an SVG element that fills the width of its place on a page.

    Black becomes the text colour of the page, and the colour of run N the CSS variable `--run-N`.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    name : str
        Letters and digits. It makes the identifiers of the drawing unique on the page.
    label : str
        Description for readers who do not see the figure.
    runs : int
        Number of runs that have a colour.
    """
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(
            file, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    text = file.getvalue()
    box = re.search(r'viewBox="[^"]+"', text)
    assert box, "matplotlib writes a viewBox"
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"#000000\b", "currentColor", body)
    for run in range(runs):
        body = body.replace(colour(run)[0], f"var(--run-{run})")
    return f'<svg role="img" aria-label="{html.escape(label)}" {box.group()}>{body}'
