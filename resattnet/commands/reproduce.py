"""List and run recipes: reported results, each with the flags that should reproduce it here.

    {command}                          # list them: name, reported error, whose, ours
    {command} --print paper-56         # the full command of one
    {command} digits thin56-5          # run them, one after another

The run of a recipe has the recipe's name: log/csv/NAME.csv, models/NAME. A run that was stopped or killed is resumed,
and a finished run is not run again. The result of a finished run is entered in the file of recipes, from the log of the
epochs in the run's state. An installed package keeps its own file of recipes: give a copy of it by --recipes FILE.
Ctrl-C saves and leaves. Exit codes: 0 done; 2 wrong arguments or input; 129, 130, 143 stopped after saving.
"""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any, Dict, List, Optional

from ..experiments import recipes
from ..experiments.options import ReproductionOptions
from ..options import command_line
from ..options.common_arguments import add_quiet
from ..system import streams
from ..system.errors import InputError
from ..system.files import write_csv, writing


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the names of recipes and the options."""
    parser.add_argument("names", type=command_line.text, nargs="*", metavar="NAME", help="recipes to run")
    command_line.add_options(parser, ReproductionOptions)
    add_quiet(parser)


def main(given: Dict[str, Any]) -> Optional[int]:
    """List, print or run recipes, enter results, or write the page; return the first exit code that is not 0."""
    given = dict(given)
    names: List[str] = given.pop("names", [])
    options = ReproductionOptions(**given)
    path = options.recipes or recipes.PATH
    table = recipes.read_recipes(path)
    chosen = [recipes.find_recipe(name, table) for name in names]
    if options.write and not names:
        raise InputError("`write=True`: name the recipes whose results to write")
    if (options.note or options.keep) and not names:
        raise InputError("`note` and `keep` apply to runs of recipes: name the recipes")
    if options.print:
        recipe = recipes.find_recipe(options.print, table)
        words = ["--name", recipe.name, *recipes.split_flags(recipe)]
        print(f"{command_line.command(recipes.command_of(recipe))} {shlex.join(words)}")
    for recipe in chosen:
        recipes.read_options(recipe)  # a recipe that cannot be run is an error before the first one is run
    if chosen:
        recipes.check_writable(path)
    if chosen and not options.write:
        streams.go_on_without(sys.stdout)  # the result is a run, not what is printed
    codes = [_run_or_enter(recipe, options) for recipe in chosen]
    if options.readme:
        recipes.update_page(_page_path(), recipes.read_recipes(path))
    if not names and not options.print and not options.readme:
        print("\n".join(recipes.list_recipes(table)))
    return next(filter(None, codes), 0)


def _run_or_enter(recipe: recipes.Recipe, options: ReproductionOptions) -> int:
    from ..experiments import reproduce, results

    code = 0
    if options.write:
        print(f"{recipe.name}: {results.save_result(recipe, options).ours}")
    else:
        code = reproduce.reproduce(recipe, options)
    if code == 0 and options.keep:
        keep_log(recipe, options, options.keep)
    return code


def _page_path() -> str:
    clone = recipes.find_clone()
    if clone is None:
        raise InputError("`readme=True`: docs/recipes.md exists only in a clone of the repository")
    return os.path.join(clone, "docs", "recipes.md")


def keep_log(recipe: recipes.Recipe, options: ReproductionOptions, folder: str) -> None:
    """Write the log of a recipe's finished run to a folder, and its error curve with the runs that it started from.

    The files are NAME.csv and NAME.png.
    """
    from ..experiments import results
    from ..reports.curves import draw_errors
    from ..reports.figure_style import save

    stages = results.load_stages(recipe, options, folder)
    entered = recipes.find_recipe(recipe.name, recipes.read_recipes(options.recipes or recipes.PATH))
    figure = draw_errors(stages, f"{recipe.name}: {entered.ours}")
    with writing(f"`keep={folder}`"):
        os.makedirs(folder, exist_ok=True)
        write_csv(os.path.join(folder, recipe.name + ".csv"), stages[-1][1])
        save(figure, os.path.join(folder, recipe.name + ".png"))
