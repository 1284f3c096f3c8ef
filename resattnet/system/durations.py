"""Write durations for people, and read what people write."""

from __future__ import annotations

import math
import re

UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}  # seconds of each unit, in the order in which they are written
_DURATION = re.compile("".join(rf"(?:(\d+(?:\.\d+)?)\s*{unit}\s*)?" for unit in UNITS))


def format_duration(seconds: float) -> str:
    """Return a duration as text, such as "59.4 s", "2 min 08 s", "1 h 00 min" or "4 d 07 h"."""
    rounded = round(seconds)
    if rounded < 60:
        return f"{seconds:.1f} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24:02d} h"


def parse_duration(text: str) -> float:
    """Return the seconds of a duration as people write it: "8h", "90m", "3600s", "1h30m", "1.5h" or "2d".

    A number without a unit is refused: programs take it for seconds, minutes or hours.

    Raises
    ------
    ValueError
        If the text is not a duration above 0; the message says how to write one.
    """
    parts = _DURATION.fullmatch(text.strip().lower())
    seconds = sum(float(part) * unit for part, unit in zip(parts.groups(), UNITS.values()) if part) if parts else 0.0
    if not 0 < seconds < math.inf:
        raise ValueError("give a duration with its units, such as 8h, 90m, 3600s or 1h30m")
    return seconds
