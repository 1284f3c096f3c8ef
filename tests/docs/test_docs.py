"""Check README.md and docs/: commands, Python code, links, flags, defaults, figures."""

import ast
import csv
import dataclasses
import glob
import importlib
import itertools
import os
import re
import runpy
import shlex
import subprocess
import sys
from argparse import ArgumentParser
from typing import NamedTuple

import pytest

from helpers.scripts import ROOT
from helpers.torch_nets import import_torch
from resattnet.datasets import catalog
from resattnet.experiments import recipes
from resattnet.options.command_line import switch
from resattnet.options.fields import flag_name
from resattnet.options.spellings import ALIASES

SCRIPTS = {
    "cifar10_train": "train",
    "imagenet_train": "train-images",
    "launch": "launch",
    "cifar10_test": "test",
    "imagenet_test": "test",
    "predict": "predict",
    "serve": "serve",
    "show_masks": "show-masks",
    "export": "export",
    "make_records": "make-records",
    "report": "report",
    "reproduce": "reproduce",
    "benchmark": "benchmark",
}
OPTIONS = {
    "train": "run_options.options.TrainingOptions",
    "train-images": "run_options.image_options.ImageTrainingOptions",
    "launch": "launcher.options.LaunchOptions",
    "test": "evaluation.options.TestOptions",
    "predict": "prediction.options.PredictionOptions",
    "serve": "serving.options.ServeOptions",
    "show-masks": "reports.options.MaskOptions",
    "export": "export.options.ExportOptions",
    "make-records": "commands.make_records.RecordsOptions",
    "report": "reports.options.ReportOptions",
    "reproduce": "experiments.options.ReproductionOptions",
    "benchmark": "benchmark.options.BenchmarkOptions",
    "summary": "commands.summary.SummaryOptions",
}
# The options that a page's tables of flags are about, by heading where a page has several commands.
DOCUMENTED = {
    ("README.md", "Everyday flags"): "train",
    ("docs/own-images.md", "Folder layout"): "make-records",
    ("docs/imagenet.md", "Flags"): "train-images",
    ("docs/distributed.md", "Start the processes"): "launch",
    ("docs/evaluation.md", "Evaluation and masks"): "predict",
    ("docs/evaluation.md", "Test"): "test",
    ("docs/evaluation.md", "Masks"): "show-masks",
    ("docs/evaluation.md", "Report of runs"): "report",
    ("docs/export.md", "Export and runtimes"): "export",
    ("docs/serving.md", "Options"): "serve",
    ("docs/recipes.md", "Recipes"): "reproduce",
}
TRAINING_PAGE = "docs/training.md"
# Flags that are read before the options are made.
NO_OPTION = {"--params", "--resume", "--recipe", "--recipes", "--help", "--quiet", "--version"}
OTHER_PROGRAMS = (
    "make",
    ".",
    "curl",
    "tensorboard",
    "find",
    "cp",
    "RESATTNET_KILLS=20",
    "python predict_onnx.py",
    "python -m pip",
)
IM2REC = {"--list", "--recursive", "--train-ratio", "--pass-through"}
FLAGS_OF_OTHER_PROGRAMS = {
    "--data-binary",
    "--logdir",
    "--samples_per_plugin",
    "--signal",
    "--gloo",
    "--no-build-isolation",
    "--no-deps",
} | IM2REC


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}"


class Command(NamedTuple):
    """A call of one of our commands in a page."""

    page: str
    line: int
    name: str
    words: tuple

    def __str__(self):
        return f"{self.page}:{self.line} {self.name} {shlex.join(self.words)}"


def read(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as handle:
        return handle.read()


def find_pages():
    folders = ("*.md", "docs/*.md", "resattnet/*/*.md", "resattnet/*/*/*.md")
    found = [path for pattern in folders for path in sorted(glob.glob(os.path.join(ROOT, pattern)))]
    return [os.path.relpath(path, ROOT) for path in found]


def find_blocks(page):
    blocks, start, language, lines = [], None, "", []
    for number, line in enumerate(read(page).splitlines(), 1):
        if line.startswith("```") and start is None:
            start, language, lines = number, line[3:], []
        elif line.startswith("```"):
            blocks.append(Block(page, start, language, "\n".join(lines)))
            start = None
        elif start is not None:
            lines.append(line)
    assert start is None, f"{page}: the block that begins in line {start} has no end"
    return blocks


def without_blocks(page):
    return re.sub(r"^```.*?^```", "", read(page), flags=re.DOTALL | re.MULTILINE)


def split_command(words):
    """Return the name of one of our commands and its arguments, or None."""
    script = re.fullmatch(r"scripts/(\w+)\.py", words[1]) if words[0] == "python" and len(words) > 1 else None
    if script:
        return SCRIPTS[script.group(1)], tuple(words[2:])
    if words[:3] == ["python", "-m", "resattnet"]:
        return (words[3] if len(words) > 3 else "tour"), tuple(words[4:])
    if words[0] == "resattnet":
        return (words[1] if len(words) > 1 else "tour"), tuple(words[2:])
    return None


def commands_of(page, line, text):
    for part in re.split(r"\s\|\s|\s&&\s", text):
        words = shlex.split(part, comments=True)
        found = split_command(words) if words else None
        if found:
            yield Command(page, line, *found)


def find_commands():
    """Yield every command of a block without a language, and of the running text if it is whole."""
    for page in PAGES:
        for block in find_blocks(page):
            if not block.language:
                for number, line in enumerate(block.text.splitlines(), block.line + 1):
                    yield from commands_of(page, number, line)
        text = re.sub(r"```.*?```", lambda block: "\n" * block.group().count("\n"), read(page), flags=re.DOTALL)
        for code in re.finditer(r"`((?:python|resattnet) [^`]+)`", text):
            words = code.group(1).replace("\n", " ")
            if not re.search(r"\.\.\.|\bCOMMAND\b", words) and not re.fullmatch(r"\S+ \S+", words):
                yield from commands_of(page, text[: code.start()].count("\n") + 1, words)


def options_class(path):
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module("resattnet." + module), name)


def fields_by_flag(path):
    return {flag_name(field.name): field for field in dataclasses.fields(options_class(path))}


class Stopped(Exception):
    """Raised in place of what a command does once its arguments are read."""


def call(monkeypatch, name, words, parse_args):
    """Call a command as from a clone, with another `parse_args` of its parser."""
    monkeypatch.setattr(ArgumentParser, "parse_args", parse_args)
    script = next((script for script, command in SCRIPTS.items() if command == name), None)
    if script:
        path = os.path.join(ROOT, "scripts", script + ".py")
        monkeypatch.setattr(sys, "argv", [path, *words])
        runpy.run_path(path, run_name="__main__")
    else:
        monkeypatch.setattr(sys, "argv", ["resattnet", *([] if name == "tour" else [name]), *words])
        runpy.run_module("resattnet", run_name="__main__")


def parse(monkeypatch, command):
    """Return the values that a command's own parser reads, by name."""
    original = ArgumentParser.parse_args

    def parse_args(parser, args=None, namespace=None):
        raise Stopped(vars(original(parser, args, namespace)))

    with pytest.raises(Stopped) as stopped:
        call(monkeypatch, command.name, command.words, parse_args)
    return stopped.value.args[0]


def find_flags(name):
    """Return all flags of a command."""
    with pytest.MonkeyPatch.context() as monkeypatch:

        def parse_args(parser, args=None, namespace=None):
            raise Stopped(parser)

        with pytest.raises(Stopped) as stopped:
            call(monkeypatch, name, [], parse_args)
    parsers, flags = [stopped.value.args[0]], set()
    while parsers:
        for action in parsers.pop()._actions:
            flags.update(action.option_strings)
            if action.type is switch:
                flags.update("--no" + flag[1:] for flag in action.option_strings if flag.startswith("--"))
            if not action.option_strings and isinstance(action.choices, dict):
                parsers.extend(action.choices.values())
    return flags


def is_quick(command):
    """Tell whether a command only prints."""
    if "--help" in command.words or command.name in ("tour", "summary"):
        return True
    return command.name == "reproduce" and (not command.words or command.words[0] == "--print")


def is_long(block):
    """Tell whether a Python block trains, or is a program that reads its arguments (see tests/export)."""
    return "train(" in block.text or "sys.argv" in block.text


def skip_without_torch(block):
    if "import torch" in block.text:
        import_torch()


def tables(page):
    """Yield the heading above each table of flags, and the table's rows as lists of cells."""
    heading, rows = None, None
    for line in without_blocks(page).splitlines() + [""]:
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
            rows = [] if cells[:2] == ["flag", "default"] else rows
            if rows is not None and cells[0].startswith("`-"):
                rows.append(cells)
        elif rows is not None:
            yield heading, rows
            rows = None


def flags_in(text):
    return re.findall(r"(?<![\w`-])`?(--[a-z][\w-]*)", text)


def check_default(flag, cell, field):
    """Check the default that a page says against that of an option."""
    if field.default is not None:
        value = int(field.default) if isinstance(field.default, bool) else field.default
        assert cell == str(value), f"{flag}: {cell} in the page, {value} in the options"
    elif re.fullmatch(r"[\d.]+", cell):
        assert re.match(r"[\d.]+", str(field.metadata["unset"])).group() == cell, f"{flag}: {cell} in the page"


PACKAGED = [
    os.path.basename(path)[: -len(".params")]
    for path in glob.glob(os.path.join(ROOT, "resattnet", "zoo", "weights", "*.params"))
]
PAGES = find_pages()
COMMANDS = list(find_commands())
PARSED = [command for command in COMMANDS if command.name not in ("tour", "summary") and "--help" not in command.words]
PYTHON = [block for page in PAGES for block in find_blocks(page) if block.language == "python"]


# ---- README ----


def test_the_readme_is_one_page_in_this_order():
    lines = read("README.md").splitlines()
    assert len(lines) <= 150
    assert lines[0] == "# resattnet" and lines[2].endswith(".") and "docs/README.md" in lines[4]
    assert lines[6].startswith("![") and "docs/images/module_strip.svg" in lines[6]
    assert [line[3:] for line in lines if line.startswith("## ")] == [
        "Results",
        "Install",
        "Quick start",
        "Classify a photograph",
        "Train on CIFAR-10",
        "Your own images",
        "Compare attention variants",
        "Everyday flags",
        "Documentation",
        "Limits",
        "Citation",
    ]
    text = "\n".join(lines)
    assert text.index("## Limits") < text.index("```bibtex") < text.index("[licence](LICENSE)")


@pytest.mark.parametrize(
    "line",
    [
        "make train",
        "python scripts/cifar10_train.py --num-layers 92 --mix-up 1",
        "tensorboard --logdir log/board",
        "from resattnet import get_attention_net",
    ],
)
def test_the_readme_has_what_is_looked_for(line):
    assert any(line in own.strip() for block in find_blocks("README.md") for own in block.text.splitlines()) or (
        f"`{line}`" in read("README.md")
    )


def test_the_index_has_all_pages():
    index, front = read("docs/README.md"), read("README.md")
    for page in PAGES:
        if page.startswith("docs/") and page != "docs/README.md":
            assert f"({page[5:]})" in index and f"({page})" in front, page


# ---- commands ----


@pytest.mark.parametrize("block", [block for page in PAGES for block in find_blocks(page)], ids=str)
def test_each_line_of_a_block_is_a_command(block):
    assert block.language in ("", "text", "python", "bibtex")
    if not block.language:
        for line in filter(None, block.text.splitlines()):
            assert list(commands_of(block.page, 0, line)) or line.startswith(OTHER_PROGRAMS), line


def test_the_pages_have_commands():
    names = {command.name for command in COMMANDS}
    assert names >= set(SCRIPTS.values()) | {"tour", "summary"} and len(COMMANDS) > 60


@pytest.mark.parametrize("command", PARSED, ids=str)
def test_a_command_is_accepted(command, monkeypatch, tmp_path):
    """By its own parser and by its options; the files that it names need not exist. The others are run below."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("data")
    values = parse(monkeypatch, command)
    options = options_class(OPTIONS[command.name])
    own = {field.name for field in dataclasses.fields(options)}
    options(**{name: value for name, value in values.items() if name in own})
    for name in ("params", "teacher"):
        given = values.get(name) or []
        for path in given if isinstance(given, list) else [given]:
            assert path in (*PACKAGED, "packaged") or path.endswith((".params", ".onnx", ".safetensors"))
    for name in [*values.get("names", ()), *filter(None, (values.get("recipe"), values.get("print")))]:
        if name != "NAME":
            recipes.find_recipe(name, recipes.read_recipes())
    dataset = values.get("dataset")
    assert dataset in (None, *catalog.DATASETS) or values["data_format"] == "rec"


@pytest.mark.parametrize(
    "words", sorted({(command.name, *command.words) for command in COMMANDS if is_quick(command)}), ids=shlex.join
)
def test_a_quick_command_runs(words, tmp_path):
    name, *arguments = words
    script = next((script for script, command in SCRIPTS.items() if command == name), None)
    if script:
        start = [os.path.join(ROOT, "scripts", script + ".py")]
    else:
        start = ["-m", "resattnet", *([] if name == "tour" else [name])]
    environment = dict(os.environ, PYTHONPATH=ROOT)
    done = subprocess.run(
        [sys.executable, *start, *arguments], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=200
    )
    assert (done.returncode, done.stderr) == (0, "") and done.stdout
    if name == "tour":
        sizes = set(re.findall(r"\d+(?:,\d{3})+", done.stdout))
        assert len(sizes) == 18 and [size for size in sizes if size not in read("docs/models.md")] == []


# ---- Python ----


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_the_imports_of_a_python_block_resolve(block):
    skip_without_torch(block)
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "resattnet":
            module = importlib.import_module(node.module)
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "resattnet":
            assert hasattr(importlib.import_module("resattnet"), node.attr)


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in PYTHON if not is_long(block)], ids=str)
def test_a_python_block_runs(block, tmp_path):
    from PIL import Image

    if "onnx" in block.text:
        pytest.importorskip("onnxruntime")
    skip_without_torch(block)
    for name in ("photo.jpg", "cat.png"):
        Image.new("RGB", (40, 30), "orange").save(str(tmp_path / name))
    environment = dict(os.environ, PYTHONPATH=ROOT)
    done = subprocess.run(
        [sys.executable, "-c", block.text], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=280
    )
    assert done.returncode == 0, done.stderr


# ---- links ----


def slug(heading):
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page):
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", without_blocks(page), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES)
def test_links_and_images_exist(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        aim = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        assert os.path.exists(os.path.join(ROOT, aim)), f"{page}: {target}"
        assert not anchor or anchor in anchors(aim), f"{page}: {target}"


def test_the_places_that_contributing_names_exist():
    places = set(re.findall(r"`((?:[a-z_]+/)+(?:\w+\.\w+)?)`", read("CONTRIBUTING.md")))
    folders = (ROOT, os.path.join(ROOT, "resattnet"))
    assert len(places) > 25
    missing = {place for place in places if not any(os.path.exists(os.path.join(base, place)) for base in folders)}
    assert missing <= {"log/"}  # of runs


# ---- flags ----


@pytest.fixture(scope="module")
def all_flags():
    return set(itertools.chain(*map(find_flags, [*SCRIPTS.values(), "summary"])))


@pytest.mark.parametrize("page", PAGES)
def test_flags_exist(page, all_flags):
    assert set(flags_in(read(page))) - all_flags - FLAGS_OF_OTHER_PROGRAMS == set()


def test_all_flags_of_the_training_are_documented_once_with_their_defaults():
    flags = fields_by_flag(OPTIONS["train"])
    documented = []
    for heading, rows in tables(TRAINING_PAGE):
        for cells in rows:
            for flag in flags_in(cells[0]):
                documented.append(flag)
                if flag not in flags:
                    continue
                check_default(flag, cells[1], flags[flag])
                group = getattr(options_class(OPTIONS["train"]), "heading_of", None)
                assert group is None or group(flags[flag].name) == heading.lower(), f"{flag} under {heading}"
    assert sorted(documented) == sorted({*flags, *find_flags("train") & NO_OPTION} - {"--help"})


def test_all_aliases_are_documented():
    (table,) = re.findall(r"^\| our flag \| also \|\n(?:\|.*\n)+", read(TRAINING_PAGE), re.MULTILINE)
    rows = [line.split("|")[1:3] for line in table.splitlines() if re.match(r"\| `--\S+` \|", line)]
    documented = {flags_in(ours)[0]: tuple(flags_in(others)) for ours, others in rows}
    assert documented == {flag_name(name): aliases for name, aliases in ALIASES.items()}


@pytest.mark.parametrize("place", DOCUMENTED, ids=" ".join)
def test_tables_of_flags_agree_with_the_options(place):
    page, heading = place
    flags = fields_by_flag(OPTIONS[DOCUMENTED[place]])
    (rows,) = [rows for found, rows in tables(page) if found == heading]
    assert len(rows) >= 4
    for cells in rows:
        for flag in flags_in(cells[0]):
            if flag not in NO_OPTION:
                check_default(flag, cells[1], flags[flag])


def test_every_table_of_flags_is_checked():
    found = {(page, heading) for page in PAGES for heading, _ in tables(page) if page != TRAINING_PAGE}
    assert found == set(DOCUMENTED)


# ---- figures ----


def row_of(text, recipe):
    """Return the table rows that name a recipe in backquotes, alone or as the last of a command."""
    return [line for line in text.splitlines() if line.startswith("|") and re.search(rf"[` ]{recipe}`", line)]


@pytest.mark.parametrize(
    "recipe", [recipe for recipe in recipes.read_recipes() if recipe.ours], ids=lambda row: row.name
)
def test_figures_are_those_of_the_recipes(recipe):
    last, best = re.fullmatch(r"([\d.]+), best ([\d.]+)", recipe.ours).groups()
    if recipe.name == "digits":
        assert f"| {last} | {best} |" in read("docs/results.md") and f"[{last} " in read("README.md")
        return
    (row,) = row_of(read("docs/results.md"), recipe.name)
    assert f"| {last} | {best} |" in row
    for row in row_of(read("README.md"), recipe.name):
        assert f"| {last} |" in row
    with open(os.path.join(ROOT, "data", recipe.name + ".csv"), newline="", encoding="utf-8") as handle:
        errors = [100 * (1 - float(line["validation_top1"])) for line in csv.DictReader(handle)]
    assert f"{errors[-1]:.2f}" == last and f"{min(errors):.2f}" == best


def test_the_citation_has_the_version():
    from resattnet import __version__

    assert f"\nversion: {__version__}\n" in read("CITATION.cff") and f"## [{__version__}]" in read("CHANGELOG.md")
