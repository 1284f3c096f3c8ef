"""The page on which a photograph is dropped: one file of HTML that needs no other."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Dict, Iterator, NamedTuple, Tuple

import numpy as np

from ..reports.figure_style import colour
from ..reports.pages import render_page
from .options import ServeOptions
from .pictures import FORMATS
from .served_network import ServedNetwork

SHOWN_CLASSES = 5
STEPS = 9  # colours of a scale; the browser blends between them


class StartPage(NamedTuple):
    """A page, and the headers that it is sent with."""

    html: str
    headers: Dict[str, str]


def render_start_page(network: ServedNetwork, options: ServeOptions) -> StartPage:
    """Return the page of a server."""
    script = render_page("page.js", __package__, {})
    facts = network.facts
    html = render_page(
        "page.html",
        __package__,
        dict(
            title=network.title,
            facts=list(_describe(facts, network)),
            colours=[colour(0)],
            why_no_masks=network.why_no_masks,
            scale=_scale() if network.has_masks else "",
            top=min(SHOWN_CLASSES, len(facts["classes"])),
            formats=", ".join(FORMATS),
            max_bytes=options.max_bytes,
            max_pixels=options.max_pixels,
            classes=facts["classes"],
            script=script,
        ),
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return StartPage(html, headers)


def _describe(facts: Dict[str, Any], network: ServedNetwork) -> Iterator[Tuple[str, str]]:
    """Yield what the head of the page says of the network: a term and its value."""
    height, width = facts["image_size"]
    yield "network", facts["network"]
    yield "trained on", f"{facts['dataset'] or 'unknown data'}, {len(facts['classes'])} classes"
    yield "top-1 on its test images", f"{100 * facts['top1']:.2f} %" if facts["top1"] is not None else "not known"
    yield "sees", f"{width} x {height} pixels"
    yield "computed by", f"{facts['runtime']}, {facts['precision']}"


def _scale() -> str:
    """Return the colours of the masks, from the lowest to the highest value, as CSS."""
    from matplotlib import colormaps

    from ..reports.mask_overlays import COLOURS

    colours = np.uint8(255 * colormaps[COLOURS](np.linspace(0, 1, STEPS))[:, :3] + 0.5)
    return ", ".join(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colours.tolist())
