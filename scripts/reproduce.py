#!/usr/bin/env python3
"""Run the recipes of data/recipes.csv: reported results, each with the flags that should give them here.

    python scripts/reproduce.py                          # list them: name, reported error, whose, ours
    python scripts/reproduce.py --print paper-56         # the full command of one
    python scripts/reproduce.py digits thin56-5          # run them, one after another

A recipe's run is called as the recipe: log/csv/NAME.csv, models/NAME. One that was stopped or killed goes on where
it was, one that is done is not run again. What a run gave is entered in the file of recipes when it has ended, from
the log of its epochs in its state. Ctrl-C saves and leaves. Exit codes: 0 done; 2 wrong arguments or input; 130, 143
stopped after saving.
"""

import argparse
import os
import shlex
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
sys.path.insert(0, ROOT)

from resattnet.experiments import recipes, reproduce  # noqa: E402
from resattnet.experiments.options import ReproductionOptions  # noqa: E402
from resattnet.system import command_line  # noqa: E402
from resattnet.system.errors import InputError  # noqa: E402


def parse():
    """Return the names given and the options."""
    parser = command_line.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="recipes to run")
    command_line.add_options(parser, ReproductionOptions)
    given = vars(parser.parse_args())
    return given.pop("names"), ReproductionOptions(**dict({"recipes": recipes.PATH}, **given))


def main():
    """List, print, run, enter or write."""
    names, options = parse()
    table = recipes.read_recipes(options.recipes)
    chosen = [recipes.find_recipe(name, table) for name in names]
    if options.write and not names:
        raise InputError("--write 1: name the recipes whose runs are to be entered")
    if (options.note or options.keep) and not names:
        raise InputError("--note and --keep are of runs: name their recipes")
    if options.print:
        recipe = recipes.find_recipe(options.print, table)
        print(shlex.join(["python", "scripts/cifar10_train.py", "--name", recipe.name] + recipes.arguments(recipe)))
    for recipe in chosen:
        recipes.options(recipe)  # what cannot be run is said before the first is
    codes = []
    for recipe in chosen:
        if options.write:
            print(f"{recipe.name}: {reproduce.save_result(recipe, options).ours}")
        else:
            codes.append(reproduce.reproduce(recipe, options))
    if options.readme:
        recipes.update_readme(os.path.join(ROOT, "README.md"), recipes.read_recipes(options.recipes))
    if not names and not options.print and not options.readme:
        print("\n".join(recipes.listing(table)))
    return next(filter(None, codes), 0)


if __name__ == "__main__":
    command_line.run(main)
