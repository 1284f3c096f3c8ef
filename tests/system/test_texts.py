"""Test suggestions, aligned columns and one-line reasons, which messages of all subpackages use."""

import pytest

from resattnet.system.errors import InputError, reason
from resattnet.system.suggestions import nearest_names, suggest
from resattnet.system.text_table import align_columns


@pytest.mark.parametrize(
    "choices, phrase",
    [
        ([], ""),
        (["zzz"], ""),
        (["thin56", "zzz"], "did you mean thin56?"),
        (["thin56-plain", "thin56", "thin92"], "did you mean thin56, thin92 or thin56-plain?"),
        (["thin56", "thin56"], "did you mean thin56?"),
    ],
)
def test_similar_names_are_suggested_nearest_first(choices, phrase):
    assert suggest("thin5", choices) == phrase


def test_a_suggestion_has_at_most_count_names_and_no_less_similar_ones():
    assert nearest_names("fog", ["fog1", "fog2", "frog", "fogg"], count=2) == ["frog", "fogg"]
    assert nearest_names("fog", ["frost"], cutoff=0.6) == []


def test_a_suggestion_can_show_paths_in_place_of_names():
    assert suggest("rn", {"run": "models/run"}, shown={"run": "models/run"}) == "did you mean models/run?"


def test_columns_are_aligned_to_the_right_unless_they_say_left():
    rows = [("name", "top-1", "note"), ("a", "0.9", "x"), ("long name", "0.85", "")]
    assert align_columns(rows, "lrl") == ["name       top-1  note", "a            0.9  x", "long name   0.85"]
    assert align_columns(rows[:2]) == ["name  top-1  note", "   a    0.9     x"]
    assert align_columns([]) == []


@pytest.mark.parametrize(
    "error, words",
    [
        (OSError(28, "No space left on device", "a.csv"), "No space left on device"),
        (OSError("broken\n  stream"), "broken stream"),
        (ValueError("two\nlines"), "two lines"),
        (ValueError(), "ValueError"),
        (InputError("`lr=-1`: give a number above 0"), "lr=-1: give a number above 0"),
    ],
)
def test_the_reason_of_an_error_is_one_line(error, words):
    assert reason(error) == words
