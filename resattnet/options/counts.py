"""Limit a number of images to the images that there are."""

from __future__ import annotations

from ..system.errors import remark


def limit_count(name: str, count: int, available: int, what: str) -> int:
    """Return `count`, or the number of images that there are if that is smaller, with a `Remark` that says so.

    Parameters
    ----------
    name : str
        The option that asks for `count` images.
    count, available : int
    what : str
        The images that there are, such as "test images".
    """
    if count <= available:
        return count
    remark(f"`{name}={count}`: all {available} {what} are taken")
    return available
