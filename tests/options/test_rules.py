"""Tests for options classes and their rules: groups, validation, and merging new options into older ones."""

from dataclasses import dataclass
from typing import Optional, Tuple

import pytest

from resattnet.options import command_line
from resattnet.options.fields import Options, assignment, flag_value, option, redefine
from resattnet.options.rules import BelongsTo, Conflict, Need, When, Within, merge_values
from resattnet.system.errors import InputError


@dataclass(frozen=True)
class Oven(Options):
    heading = "oven"

    heat: int = option(180, "degrees", low=50, above=None, high=250)
    gas: bool = option(False, "1: gas")


@dataclass(frozen=True)
class Kitchen(Oven):
    heading = "kitchen"

    heat: Optional[int] = redefine(Oven, "heat", None, unset="50 % of the highest")
    minutes: int = option(30, "time")
    turns: Optional[Tuple[int, ...]] = option(None, "minutes at which it is turned")
    fan: bool = option(False, "1: fan")
    cake: str = option("plain", "cake", choices=("plain", "cheese", "none"))
    icing: Optional[str] = option(None, "icing")

    rules = (
        Conflict(When("gas"), When("fan"), When("heat", above=200), reason="the flame goes out"),
        Within(
            "turns", above=lambda values: values["minutes"] // 10, below="minutes", reason="from {above} to {below}"
        ),
        Need(When("icing"), When("cake", "cheese"), When("fan")),
        BelongsTo("minutes", ("cake",)),
    )


def merged(own=(), **given):
    before = vars(Kitchen(**dict(own)))
    return Kitchen(**merge_values(before, given, Kitchen.rules, Kitchen.defaults()))


def test_values_are_written_for_errors_and_for_flags():
    assert [flag_value(value) for value in (True, (80, 120), None, 0.1)] == ["1", "80,120", "none", "0.1"]
    assert assignment("mix_up", True) == "`mix_up=True`" and assignment("lr_steps", [80, 120]) == "`lr_steps=80,120`"
    assert assignment("params", None) == "`params=none`" and assignment("params", "") == "`params=''`"


@pytest.mark.parametrize(
    "given, message",
    [
        (dict(gas=True, fan=True), "^gas=True fan=True: the flame goes out; give one of them$"),
        (dict(gas=True, fan=True, heat=220), "^gas=True fan=True heat=220: the flame goes out; give one of them$"),
        (dict(turns=(3, 20)), "^turns=3,20: from 3 to 30$"),
        (dict(turns=(4, 30)), "^turns=4,30: from 3 to 30$"),
        (dict(icing="pink"), "^icing=pink has no effect without cake=cheese or fan=True$"),
        (dict(heat=251), "^heat=251: give a number at most 250$"),
        (dict(cake="fruit"), "^cake=fruit: choose from plain, cheese, none$"),
    ],
)
def test_the_check_names_what_breaks_a_rule(given, message):
    with pytest.raises(InputError, match=message):
        Kitchen(**given)


def test_the_merge_replaces_what_was_not_given():
    assert not merged(dict(gas=True), fan=True).gas and not merged(dict(fan=True), gas=True).fan
    assert merged(dict(heat=220), gas=True).heat is None
    assert merged(dict(turns=(4, 20)), minutes=12).turns == (4,)
    assert merged(dict(turns=(20,)), minutes=12).turns is None
    assert merged(dict(icing="pink", cake="cheese"), cake="plain").icing is None
    assert merged(dict(icing="pink", cake="cheese", fan=True), cake="plain").icing == "pink"
    assert merged(dict(minutes=50), cake="cheese").minutes == 30
    assert merged(dict(minutes=50), cake="plain", heat=100).minutes == 50


def test_two_given_options_are_left_to_the_check():
    with pytest.raises(InputError, match="^gas=True fan=True: "):
        merged(gas=True, fan=True)
    with pytest.raises(InputError, match="^turns=4,20: "):
        merged(turns=(4, 20), minutes=12)


def test_the_help_has_a_field_under_the_heading_of_the_class_that_declares_it_first():
    parser = command_line.ArgumentParser(prog="cook")
    command_line.add_options(parser, Kitchen)
    text = parser.format_help()
    oven, kitchen = text.split("\noven:\n")[1].split("\nkitchen:\n")
    assert "--heat HEAT" in oven and "degrees (default: 50 % of the highest)" in oven and "--gas [{0,1}]" in oven
    assert "--cake {plain,cheese,none}" in kitchen and "time (default: 30)" in kitchen
    assert vars(parser.parse_args(["--turns", "4,20", "--gas", "1"])) == dict(turns=(4, 20), gas=True)
