"""Tests for durations as text."""

import pytest

from resattnet.system.durations import format_duration


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
