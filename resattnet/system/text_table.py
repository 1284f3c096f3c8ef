"""Align the columns of a table in plain text."""

from __future__ import annotations

from typing import List, Sequence

_GAP = "  "  # between two columns


def align_columns(rows: Sequence[Sequence[str]], align: str = "") -> List[str]:
    """Return one line of text for each row, with the cells of each column aligned.

    Parameters
    ----------
    rows : sequence of sequences of str
        The cells, with the same number of them in each row. A heading is a row like any other.
    align : str
        One letter for each column, "l" (left) or "r" (right). Columns without a letter are aligned to the right.

    Returns
    -------
    list of str
        Lines without trailing spaces.
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    letters = align.ljust(len(widths), "r")
    return [_GAP.join(_pad(*cell) for cell in zip(row, widths, letters)).rstrip() for row in rows]


def _pad(text: str, width: int, letter: str) -> str:
    return text.ljust(width) if letter == "l" else text.rjust(width)
