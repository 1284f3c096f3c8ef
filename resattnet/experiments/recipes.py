"""Read and write recipes: the runs behind reported figures, with our own results. Each is a row of recipes.csv."""

from __future__ import annotations

import csv
import io
import os
import shlex
from typing import List, NamedTuple, Optional, Sequence, Type

from ..options.command_line import command, parse_options
from ..options.fields import flag_name
from ..run_options.image_options import ImageTrainingOptions, options_kind
from ..run_options.options import RunOptions
from ..system.errors import InputError, reason
from ..system.files import write_csv, write_text, writing
from ..system.input_files import read_text
from ..system.suggestions import suggest
from ..system.text_table import align_columns

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATH = os.path.join(_PACKAGE, "experiments", "recipes.csv")
MARKERS = ("<!-- recipes -->", "<!-- /recipes -->")


class Recipe(NamedTuple):
    """One row of a file of recipes, all of it text.

    Attributes
    ----------
    name : str
        Name of the recipe, and of its run.
    flags : str
        Flags of the command `train` or `train-images`; empty if neither can run the recipe.
    error, whose : str
        Reported top-1 error in %, and who reported it; empty if nobody did.
    caveat : str
        Differences from the reported run.
    ours, conditions : str
        Top-1 error in % of our own run, and its conditions; only `results.save_result` writes these.
    """

    name: str
    flags: str
    error: str
    whose: str
    caveat: str
    ours: str = ""
    conditions: str = ""


def read_recipes(path: str = PATH) -> List[Recipe]:
    """Return the recipes of a file, in the order of the file.

    Raises
    ------
    InputError
        If the file does not exist or is not a CSV, or if it has other columns, a row with too many or too few cells, or
        a duplicate name.
    """
    try:
        lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
        numbered = [(lines.line_num, cells) for cells in lines if cells]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file of recipes; the package's own is {PATH}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a file of recipes ({error})") from error
    if not numbered or tuple(numbered[0][1]) != Recipe._fields:
        raise InputError(f"{path}: expected the columns {','.join(Recipe._fields)}")
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


def find_recipe(name: str, table: Sequence[Recipe]) -> Recipe:
    """Return the recipe called `name`; an `InputError` suggests similar names if there is none."""
    for recipe in table:
        if recipe.name == name:
            return recipe
    advice = suggest(name, [recipe.name for recipe in table]) or f"{command('reproduce')} lists them"
    raise InputError(f"recipe {name}: no such recipe; {advice}")


def split_flags(recipe: Recipe) -> List[str]:
    """Return the flags of a recipe as a list of words; an `InputError` is raised for a recipe that cannot be run."""
    if not recipe.flags:
        raise InputError(f"recipe {recipe.name} cannot be run here: {recipe.caveat}")
    try:
        return shlex.split(recipe.flags)
    except ValueError as error:
        raise InputError(f"recipe {recipe.name}: the flags cannot be read ({error})") from error


def _kind_of(recipe: Recipe) -> Type[RunOptions]:
    """Return the class of the options that the flags of a recipe stand for."""
    words = split_flags(recipe)
    return options_kind([name for name in ImageTrainingOptions.defaults() if flag_name(name) in words])


def command_of(recipe: Recipe) -> str:
    """Return the command that a recipe is run by, `train` or `train-images`."""
    return _kind_of(recipe).command


def read_options(recipe: Recipe) -> RunOptions:
    """Return the training options that the flags of a recipe stand for; an `InputError` is raised for a wrong flag."""
    return parse_options(split_flags(recipe), _kind_of(recipe), f"recipe {recipe.name}")


def find_clone() -> Optional[str]:
    """Return the folder of the clone that this package is used from, also in an editable install; otherwise None."""
    folder = os.path.dirname(_PACKAGE)
    return folder if os.path.exists(os.path.join(folder, "setup.py")) else None


def check_writable(path: str) -> None:
    """Check that results can be entered in a file of recipes: before a run, which may take days.

    Raises
    ------
    InputError
        If it is the file of an installed package, or its folder cannot be written to.
    """
    if os.path.realpath(path) == os.path.realpath(PATH) and find_clone() is None:
        raise InputError(
            "give `recipes`, the path of a file in which the results are entered, such as a copy of the installed "
            f"package's {PATH}, which is not changed"
        )
    folder = os.path.dirname(os.path.abspath(path))
    if not os.access(folder, os.W_OK):
        raise InputError(f"`recipes={path}`: results cannot be entered, since {folder} cannot be written to")


def enter_result(path: str, recipe: Recipe) -> None:
    """Enter `ours` and `conditions` of a recipe in its row of a file, atomically; the rest of the row is kept.

    Raises
    ------
    InputError
        If the row no longer exists, its flags have changed, or the file cannot be written.
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


def list_recipes(table: Sequence[Recipe]) -> List[str]:
    """Return lines for a terminal: name, reported error, who reported it, our error."""
    rows = [("recipe", "error, %", "whose", "ours, %")]
    rows += [(recipe.name, recipe.error or "-", recipe.whose or "-", recipe.ours or "-") for recipe in table]
    return align_columns(rows, "llll")


def format_markdown(table: Sequence[Recipe]) -> str:
    """Return the recipes as a table in Markdown."""
    lines = ["| recipe | error, % | reported by | ours, % | what to know |", "|---|---|---|---|---|"]
    for recipe in table:
        notes = "; ".join(filter(None, (recipe.caveat, recipe.conditions)))
        lines.append(f"| {recipe.name} | {recipe.error} | {recipe.whose} | {recipe.ours} | {notes} |")
    return "\n".join(lines)


def replace_table(text: str, table: Sequence[Recipe]) -> str:
    """Return the text of a page with the table of `table` in place of the text between its two markers."""
    first, last = MARKERS
    if text.count(first) != 1 or text.count(last) != 1 or text.index(first) > text.index(last):
        raise InputError(f"the page needs the lines {first} and {last}, once each and in this order")
    before, rest = text.split(first)
    return f"{before}{first}\n{format_markdown(table)}\n{last}{rest.split(last)[1]}"


def update_page(path: str, table: Sequence[Recipe]) -> None:
    """Replace the table in a page, atomically.

    Raises
    ------
    InputError
        If the page does not exist, cannot be read or written, or lacks its markers.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({reason(error)})") from error
    try:
        text = replace_table(text, table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    with writing(path):
        write_text(path, text)
