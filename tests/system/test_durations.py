"""Tests for durations as text."""

import pytest

from resattnet.system.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0.0 s"),
        (1.25, "1.2 s"),
        (59.4, "59.4 s"),
        (59.6, "1 min 00 s"),
        (128, "2 min 08 s"),
        (3599.7, "1 h 00 min"),
        (7325, "2 h 02 min"),
        (86399, "1 d 00 h"),
        (4 * 86400 + 6.9 * 3600, "4 d 07 h"),
        (86400 * 2 - 100, "2 d 00 h"),
    ],
)
def test_durations_are_readable(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("8h", 28800),
        ("90m", 5400),
        ("3600s", 3600),
        ("1h30m", 5400),
        ("1 h 30 m", 5400),
        ("1.5H", 5400),
        ("2d", 172800),
        ("1d2h3m4.5s", 86400 + 7200 + 180 + 4.5),
    ],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["8", "", "h", "30m1h", "1h30", "-1h", "0s", "1e3s", "inf", "9" * 400 + "d"])
def test_what_is_no_duration_is_refused(text):
    """A number alone may be seconds, minutes or hours."""
    with pytest.raises(ValueError, match="^give a duration with its units, such as 8h, 90m, 3600s or 1h30m$"):
        parse_duration(text)
