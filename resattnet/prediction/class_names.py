"""Read other names for the classes of a network."""

from __future__ import annotations

import os
from typing import Tuple

from ..system.errors import InputError, reason
from ..system.input_files import read_text


def read_class_names(names_path: str, path: str, classes: int) -> Tuple[str, ...]:
    """Return the names of the classes of a network from a text file with one name on each line.

    Parameters
    ----------
    names_path : str
    path : str
        File of the network, for the message.
    classes : int
        Number of its classes.
    """
    try:
        text = read_text(os.path.expanduser(names_path), "utf-8-sig")
        names = tuple(line.strip() for line in text.strip().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"`classes={names_path}` cannot be read ({reason(error)})") from error
    if len(names) != classes:
        raise InputError(
            f"`classes={names_path}` has {len(names)} names, the network of {path} has {classes} classes; give one "
            "name on each line"
        )
    return names
