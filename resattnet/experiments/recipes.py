"""Recipes: the runs behind reported figures, a row each of data/recipes.csv, with what our own runs of them gave."""

import csv
import difflib
import os
import shlex
from typing import NamedTuple

from ..system import command_line
from ..system.errors import InputError
from ..system.files import write_csv, write_text, writing
from ..training.options import TrainingOptions

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "recipes.csv")
MARKERS = ("<!-- recipes -->", "<!-- /recipes -->")


class Recipe(NamedTuple):
    """One row; all are text.

    Attributes
    ----------
    name : str
    flags : str
        Of `scripts/cifar10_train.py`; empty where that cannot run it.
    error, whose : str
        Reported top-1 error in %, and by whom; empty where nobody did.
    caveat : str
        What differs from the run that was reported.
    ours, conditions : str
        Top-1 error in % of our own run, and all it was obtained under: written by `reproduction.record` only.
    """

    name: str
    flags: str
    error: str
    whose: str
    caveat: str
    ours: str = ""
    conditions: str = ""


def read_recipes(path=PATH):
    """The recipes of a file, in its order.

    Raises
    ------
    InputError
        If there is no such file, it is no CSV, or it has other columns, too many or too few cells, or a name twice.
    """
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            lines = csv.reader(handle, strict=True)
            numbered = [(lines.line_num, cells) for cells in lines if cells]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of recipes; they come with a clone of the repository")
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a file of recipes ({error})") from error
    if not numbered or tuple(numbered[0][1]) != Recipe._fields:
        raise InputError(f"{path}: its columns have to be {','.join(Recipe._fields)}")
    for number, cells in numbered[1:]:
        if len(cells) != len(Recipe._fields):
            raise InputError(
                f"{path}, line {number}: {len(cells)} cells in place of {len(Recipe._fields)}; a "
                "cell with a comma needs quotes"
            )
    names = [cells[0] for _, cells in numbered[1:]]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: two recipes are called {name}")
    return [Recipe(*cells) for _, cells in numbered[1:]]


def find_recipe(name, table):
    """The recipe called so; an InputError with the nearest names if there is none."""
    for recipe in table:
        if recipe.name == name:
            return recipe
    near = difflib.get_close_matches(name, [recipe.name for recipe in table], cutoff=0.4)
    raise InputError(
        f"recipe {name}: there is none; "
        f"{('nearest: ' + ', '.join(near) if near else 'scripts/reproduce.py lists them')}"
    )


def arguments(recipe):
    """The flags of a recipe as a list of words; an InputError for one that only reports."""
    if not recipe.flags:
        raise InputError(f"recipe {recipe.name} cannot be run here: {recipe.caveat}")
    try:
        return shlex.split(recipe.flags)
    except ValueError as error:
        raise InputError(f"recipe {recipe.name}: its flags cannot be read ({error})") from error


def options(recipe):
    """The `TrainingOptions` of a recipe; a wrong flag ends as one on the command line does."""
    parser = command_line.ArgumentParser(prog="recipe " + recipe.name, add_help=False)
    command_line.add_options(parser, TrainingOptions)
    given = vars(parser.parse_args(arguments(recipe)))
    try:
        return TrainingOptions(**given)
    except InputError as error:
        raise InputError(f"recipe {recipe.name}: {error}") from error


def enter(path, recipe):
    """Enter what our own run of a recipe gave in its row of a file, atomically; the rest of the row stays.

    Raises
    ------
    InputError
        If there is no such row any more, it has other flags by now, or the file cannot be written.
    """
    table = read_recipes(path)
    if find_recipe(recipe.name, table).flags != recipe.flags:
        raise InputError(f"recipe {recipe.name} has other flags in {path} than it was run with: give it another name")
    rows = [
        row._replace(ours=recipe.ours, conditions=recipe.conditions) if row.name == recipe.name else row
        for row in table
    ]
    with writing(path):
        write_csv(path, [row._asdict() for row in rows])


def listing(table):
    """Lines for a terminal: name, reported error, whose, ours."""
    rows = [("recipe", "error, %", "whose", "ours, %")]
    rows += [(recipe.name, recipe.error or "-", recipe.whose or "-", recipe.ours or "-") for recipe in table]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in rows]


def markdown(table):
    """The recipes as a table for the README."""
    lines = ["| recipe | error, % | reported by | ours, % | what to know |", "|---|---|---|---|---|"]
    for recipe in table:
        notes = "; ".join(filter(None, (recipe.caveat, recipe.conditions)))
        lines.append(f"| {recipe.name} | {recipe.error} | {recipe.whose} | {recipe.ours} | {notes} |")
    return "\n".join(lines)


def in_readme(text, table):
    """The text of a README with the table between its two markers made anew."""
    if [text.count(marker) for marker in MARKERS] != [1, 1] or text.index(MARKERS[0]) > text.index(MARKERS[1]):
        raise InputError("the README needs the lines {} and {}, once each and in this order".format(*MARKERS))
    before, rest = text.split(MARKERS[0])
    return f"{before}{MARKERS[0]}\n{markdown(table)}\n{MARKERS[1]}{rest.split(MARKERS[1])[1]}"


def update_readme(path, table):
    """Make the table of a README anew, atomically."""
    with open(path, encoding="utf-8") as handle:
        text = in_readme(handle.read(), table)
    write_text(path, text)
