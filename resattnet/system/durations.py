"""Write durations for people."""

from __future__ import annotations


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
