"""Export a parameter file to one of the formats of the `TARGETS` table."""

from __future__ import annotations

import os
from typing import Tuple

from .comparison import Comparison
from .options import ExportOptions
from .sources import open_source
from .targets import TARGETS


def export_file(path: str, options: ExportOptions) -> Tuple[Tuple[str, ...], Comparison, str]:
    """Write a parameter file in another format.

    The written files are read again and compared with the network before they get their names.

    Parameters
    ----------
    path : str
        The parameter file, or the name of parameters that come with the package.
    options : ExportOptions

    Returns
    -------
    paths : tuple of str
        The written files.
    comparison : Comparison
        Comparison of the written files with the float32 network.
    images_title : str
        Description of the images that they were compared on.

    Raises
    ------
    InputError
        If a file cannot be read or written, a package is missing, or a logit is not finite.
    RuntimeError
        If the logits of the written files differ from those of the network; no file is left.
    """
    target = TARGETS[options.to]
    source = open_source(path, options)
    output = options.output or os.path.splitext(path)[0] + target.suffix
    exported = target.load().export(source, os.path.expanduser(output), target.tolerance)
    return exported.paths, exported.comparison, source.images_title
