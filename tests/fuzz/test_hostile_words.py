"""Test that no command line, however odd, ends in a traceback: exit code 2 and one line, or success."""

import os
import random

import pytest

from helpers import tries
from helpers.words import outcome
from resattnet.commands import COMMANDS, load_command
from resattnet.options.argument_parser import ArgumentParser
from resattnet.system.errors import one_line

NAMES = [
    *(
        "",
        " ",
        "-",
        "--",
        "---",
        "--=",
        "-=",
        "=",
        ".",
        "..",
        "/",
        "~",
        "a b",
        "a=b",
        "`",
        "a`b",
        "%",
        "%s",
        "%(prog)s",
        "{}",
        "{0}",
    ),
    *(
        "a\nb",
        "a\rb",
        "\x1b[31m",
        "\x7f",
        "\u2028",
        "\udcff",
        "a\udce9\udc80",
        "\ud800",
        "é",
        "x" * 5000,
        "none",
        "\\n",
    ),
]
NUMBERS = [
    *(
        "0",
        "1",
        "-1",
        "2",
        "-0",
        "+1",
        "1_0",
        "0x10",
        "1e3",
        "1e-10",
        "1e-320",
        "-1e-320",
        "1e308",
        "1e999",
        "-1e999",
        "nan",
        "inf",
    ),
    *(
        "-inf",
        "2147483648",
        "9" * 25,
        "9" * 5000,
        "1,2",
        "1,,2",
        ",",
        "1,-2",
        "1,1",
        "3,2",
        "٣",
        "0.1",
        ".5",
        "5.",
        "yes",
    ),
]
LINES_OF_A_COMMAND = 2000 if tries.FULL else 60


def flags_of(name):
    parser = ArgumentParser(name)
    load_command(name).add_arguments(parser)
    return [flag for flag in parser._option_string_actions if flag not in ("-h", "--help", "--version")]


def hostile_lines(name):
    """Yield lists of words: flags of the command and others, with and without values that they were not made for."""
    rng = random.Random(name)
    flags = flags_of(name) or ["--none"]
    for _ in range(LINES_OF_A_COMMAND):
        words = []
        for _ in range(rng.randint(1, 4)):
            flag, value = rng.choice(flags), rng.choice(rng.choice((NAMES, NUMBERS)))
            kind = rng.randrange(7)
            flag = [flag, flag, flag, flag, flag[:-1], "--no-" + flag.lstrip("-"), value][kind]
            words += [flag, value] if rng.random() < 0.5 else [f"{flag}={value}"] if rng.random() < 0.6 else [flag]
        yield words


def assert_one_line_or_success(name, words):
    with tries.time_limit(f"{name} {words}"):
        code, errors = outcome(name, words)
    tries.count("command lines", refused=code == 2)
    assert code in (0, 2), words
    if code == 2:
        assert errors.endswith("\n") and one_line(errors[:-1]) == errors[:-1], words
        assert errors.startswith(f"resattnet {name}: ") and "Traceback" not in errors
    else:
        assert errors == "", words


@pytest.mark.parametrize("name", COMMANDS)
def test_hostile_words_are_refused_in_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in hostile_lines(name):
        assert_one_line_or_success(name, words)
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_each_flag_takes_each_hostile_value(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = {"predict": ["x.jpg"], "report": ["run"], "show-masks": ["x.jpg"]}.get(name, [])
    if name in ("predict", "serve", "show-masks", "test", "export"):
        more = ["--params=x", *more]
    for flag in flags_of(name):
        for value in ("--", "", "a\nb", "\udcff", "1e-320", "1e308", "-1", "9" * 25):
            assert_one_line_or_success(name, [f"{flag}={value}", *more])
            assert_one_line_or_success(name, [*more, flag, value])


def test_a_flag_given_two_dashes_is_named():
    for flag in ("--name", "--lr", "-b", "--mix-up", "--gpus"):
        assert outcome("train", [f"{flag}=--"]) == (2, f"resattnet train: {flag} --: give a value\n")
