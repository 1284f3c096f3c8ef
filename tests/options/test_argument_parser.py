"""Test how command lines are read: switches without a value, aliases, hints for unknown flags, one line of error."""

import re

import pytest

from helpers.words import outcome
from resattnet.commands import COMMANDS, load_command, parse
from resattnet.options import spellings
from resattnet.options.argument_parser import ArgumentParser
from resattnet.options.command_line import parse_options, switch
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError, one_line


def parsers():
    for name in COMMANDS:
        parser = ArgumentParser(name)
        load_command(name).add_arguments(parser)
        yield name, parser


PARSERS = dict(parsers())


@pytest.mark.parametrize("name", COMMANDS)
def test_no_flag_can_be_abbreviated(name):
    flags = [flag for flag in PARSERS[name]._option_string_actions if flag.startswith("--")]
    for flag in flags:
        if flag[:-1] not in flags and len(flag) > 3:
            for words in ([flag[:-1] + "=1"], [flag[:-1], "1"]):
                code, line = outcome(name, words)
                assert code == 2 and f"unrecognized arguments: {flag[:-1]}" in line, (words, line)


def test_a_recipe_cannot_abbreviate_either():
    with pytest.raises(InputError, match="^recipe x: unrecognized arguments: --label 0.1; --label-noise is the"):
        parse_options(["--label", "0.1"], TrainingOptions, "recipe x")


@pytest.mark.parametrize(
    "command, line",
    [
        ("train --label 0.1", "unrecognized arguments: --label 0.1; --label-noise is the fraction of wrong labels"),
        (
            "train --model r18",
            "unrecognized arguments: --model r18; --num-layers is the depth of the network",
        ),
        ("train --mixup 0.2", "--mixup 0.2: give 0 or 1; --alpha is the parameter of the Beta distribution"),
        ("train --learning_rate=1", "unrecognized arguments: --learning_rate=1; --lr is the highest learning rate"),
        ("train --freeze stem,,tail", "--freeze stem,,tail: give names separated by commas"),
        ("train --freeze block1", "--freeze block1: choose from stem, stage1, stage2, stage3, tail, features"),
        (
            "train --freeze-backbone",
            "unrecognized arguments: --freeze-backbone; --freeze names the parts that are not trained",
        ),
        ("train --batc 3", "unrecognized arguments: --batc 3; did you mean --batch-size?"),
        ("train -epochs 3", "unrecognized arguments: -epochs 3; did you mean --epochs?"),
        ("predict --topk 3", "unrecognized arguments: --topk; --top is the number of classes to name"),
        ("train --zzz", "unrecognized arguments: --zzz"),
        ("predict", "the following arguments are required: --params, IMAGE"),
    ],
)
def test_an_unknown_flag_has_a_hint(command, line):
    name, *words = command.split()
    assert outcome(name, words) == (2, f"resattnet {name}: {line}\n")


def test_each_hint_is_given_by_a_command():
    shown = set()
    for _, parser in PARSERS.items():
        for names, _ in spellings._MEANINGS:
            for word in names.split():
                if f"--{word}" not in parser._option_string_actions:
                    shown.add(spellings.meaning("--" + word, parser._option_string_actions))
    assert {hint for _, hint in spellings._MEANINGS} <= shown
    flags = {flag for parser in PARSERS.values() for flag in parser._option_string_actions}
    for _, hint in spellings._MEANINGS:
        assert set(re.findall(r"--[a-z0-9-]+", hint)) <= flags


@pytest.mark.parametrize("name", COMMANDS)
def test_every_switch_may_be_bare_or_negated(name):
    required = {
        "predict": ["--params", "x", "photo.jpg"],
        "report": ["run"],
        "show-masks": ["--params", "x", "photo.jpg"],
    }
    more = required.get(name, ["--params", "x"] if name in ("serve", "test", "export") else [])
    for action in PARSERS[name]._actions:
        if action.type is switch:
            for flag in action.option_strings:
                assert parse(name, [flag, *more])[action.dest] is True
                assert parse(name, [flag, "0", *more])[action.dest] is False
                assert parse(name, [*more, flag])[action.dest] is True
                if flag.startswith("--"):
                    assert parse(name, [f"--no-{flag[2:]}", *more])[action.dest] is False
                    code, line = outcome(name, [f"--no-{flag[2:]}=1", *more])
                    assert (code, line) == (2, f"resattnet {name}: --no-{flag[2:]} 1: this flag takes no value\n")


def test_a_bare_switch_leaves_the_positional_arguments():
    assert parse("show-masks", ["--params", "x", "--grad-cam", "photo.jpg"]) == dict(
        params="x", grad_cam=True, images=["photo.jpg"]
    )
    assert parse("show-masks", ["--params", "x", "--grad-cam", "0", "a", "b"])["images"] == ["a", "b"]
    assert parse("benchmark", ["--profile", "train", "epoch"]) == dict(profile=True, parts=["train", "epoch"])
    assert parse("reproduce", ["--write", "digits", "--quiet"])["names"] == ["digits"]
    assert parse("report", ["--no-evaluate", "run"]) == dict(evaluate=False, runs=["run"])
    assert parse("show-masks", ["--params", "x", "--", "--grad-cam"])["images"] == ["--grad-cam"]
    code, line = outcome("show-masks", ["--params", "x", "--grad-cam", "yes", "photo.jpg"])
    assert (code, line) == (2, "resattnet show-masks: --grad-cam yes: give 0 or 1\n")


def test_bare_corruptions_are_all_of_them():
    assert parse("test", ["--corruptions", "--params", "x"])["corruptions"] == "1"
    assert parse("test", ["--params", "x", "--corruptions", "noise,blur"])["corruptions"] == "noise,blur"


def test_pretrained_without_a_name_leaves_the_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for words, params, images in (
        (["photo.jpg"], "packaged", ["photo.jpg"]),
        (["folder"], "packaged", ["folder"]),
        (["-"], "packaged", ["-"]),
        (["cifar10_attention56_thin", "photo.jpg"], "cifar10_attention56_thin", ["photo.jpg"]),
        (["models/run/best.params", "photo.jpg"], "models/run/best.params", ["photo.jpg"]),
    ):
        assert parse("predict", ["--pretrained", *words]) == dict(params=params, images=images)
    assert parse("train", ["--pretrained"])["params"] == "packaged"
    assert TrainingOptions(params="packaged", widths="thin").params == "cifar10_attention56_thin"
    known = r"there are cifar10_attention56_thin \(num_layers=56 widths=thin unit=bottleneck\)$"
    for other in (dict(), dict(widths="thin", unit="resnext"), dict(widths="tiny", unit="basic")):
        with pytest.raises(InputError, match="^params: no packaged parameters fit the network; " + known):
            TrainingOptions(params="packaged", **other)


VALUES = {"mix_up": "1", "params": "x", "lr_schedule": "step", "lr_steps": "80,120", "workers": "2", "accumulate": "3"}


@pytest.mark.parametrize("name", spellings.ALIASES)
def test_an_alias_sets_the_same_option_and_is_named_by_errors(name):
    value = VALUES.get(name, "0.1")
    own = parse("train", ["--" + name.replace("_", "-"), value])
    for alias in spellings.ALIASES[name]:
        assert parse("train", [alias, value]) == parse("train", [f"{alias}={value}"]) == own
        wrong = "" if name == "params" else "x"
        code, line = outcome("train", [f"{alias}={wrong}"])
        assert code == 2 and line.startswith(f"resattnet train: {alias} {wrong or repr(wrong)}"), line


@pytest.mark.parametrize(
    "words, line",
    [
        (
            "--lr-decay-epoch 80 --lr-mode cosine",
            "--lr-decay-epoch 80 --lr-mode cosine: the cosine schedule has no steps",
        ),
        (
            "--dtype float16 --num-gpus 0",
            "--dtype float16 --num-gpus 0: MXNet has no float16 matrix product on the CPU; ",
        ),
        ("--dtype float16 --float16 0", "--float16 0 --dtype float16: give one of them"),
        ("--float16 --num-gpus 0", "--float16 1 --num-gpus 0: "),
        ("--epsilon 2", "--epsilon 2.0: give a number below 1"),
        ("--recipe paper-56 --smoothing 2", "--smoothing 2.0: give a number below 1"),
    ],
)
def test_errors_of_rules_name_the_flag_that_was_given(words, line):
    code, errors = outcome("train", words.split())
    assert code == 2 and errors.startswith(f"resattnet train: {line}")


def test_aliases_are_in_the_help_once_and_not_in_the_usage():
    text = " ".join(PARSERS["train"].format_help().split())
    for aliases in spellings.ALIASES.values():
        assert text.count(f"also {', '.join(aliases)}") == 1
        assert all(f"[{alias} " not in text for alias in aliases)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_its_version_without_mxnet(name, capsys):
    assert outcome(name, ["--version"])[0] == 0
    assert re.fullmatch(r"resattnet \S+, Python 3\.\d+\.\S+, MXNet .+\n", capsys.readouterr().out)


def test_a_text_is_shown_on_one_line():
    assert one_line("a\nb\t\x1b[1m\u2028\udce9\udfff é 猫\u202e") == ("a\\nb\\t\\x1b[1m\\u2028\\xe9\\udfff é 猫\\u202e")
