"""Fill in the HTML templates of the package, and name what its pages show."""

from __future__ import annotations

import base64
import io
from typing import Any, Mapping

import numpy as np
from PIL import Image

from ..models.spec import NetworkSpec


def render_page(template: str, package: str, values: Mapping[str, Any]) -> str:
    """Return an HTML page.

    Parameters
    ----------
    template : str
        File in the folder `templates` of the package, which may include `style.css` of this room.
    package : str
    values : mapping
        The variables of the template. Texts are escaped.
    """
    import jinja2  # imported here because only pages need it

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in dict.fromkeys((package, __package__))]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def network_name(network: Mapping[str, Any]) -> str:
    """Return depth, widths and, where they are not bottlenecks, the units of a network.

    Parameters
    ----------
    network : mapping
        Fields of `NetworkSpec`, or the options of a run.
    """
    unit = network.get("unit", NetworkSpec.unit)  # the options of older runs have none
    units = "" if unit == NetworkSpec.unit else f", {unit} units"
    return f"Attention-{network['num_layers']}, {network['widths']}{units}"


def picture_address(pixels: np.ndarray, side: int, kind: str = "PNG") -> str:
    """Return an image uint8 (H, W, 3) as a file in a `data:` URL.

    Parameters
    ----------
    pixels : uint8 array (H, W, 3)
    side : int
        Larger images are shrunk to it.
    kind : {'PNG', 'JPEG'}
    """
    picture, file = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((side, side))
    picture.save(file, kind)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(file.getvalue()).decode()
