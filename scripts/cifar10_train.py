#!/usr/bin/env python3
"""Train a Residual Attention Network on CIFAR-10, CIFAR-100 or the embedded digits.

    python scripts/cifar10_train.py --num-layers 92 --mix-up 1         # the real job: CIFAR-10, with mixup
    python scripts/cifar10_train.py --dataset digits --widths thin --epochs 5 -b 32    # no download, minutes on a CPU
    python scripts/cifar10_train.py --resume models/RUN                # go on where a run was stopped
    python scripts/cifar10_train.py --recipe paper-56 --seed 1         # a row of data/recipes.csv, but for the seed

A run writes log/board/RUN (TensorBoard), log/text/RUN.log, log/csv/RUN.csv and models/RUN. Ctrl-C saves
and leaves. Exit codes: 0 done; 2 wrong arguments or input; 130, 143 stopped after saving.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from resattnet.experiments import recipes  # noqa: E402
from resattnet.system import command_line  # noqa: E402
from resattnet.system.cores import split_cores  # noqa: E402
from resattnet.system.errors import InputError  # noqa: E402
from resattnet.training.options import TrainingOptions  # noqa: E402
from resattnet.training.resume import load_for_resume, merge_options  # noqa: E402


def parse():
    """Return the options of the run, and the state it goes on from or None."""
    parser = command_line.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_options(parser, TrainingOptions)
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="folder, state or name of a run to go on with, under its own "
        "arguments; flags given beside it win where they leave the network and the data as they are",
    )
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help="take the flags of a recipe of data/recipes.csv, which "
        "scripts/reproduce.py lists; flags given beside it win, and what of its own has no place "
        "beside them is left out",
    )
    parser.add_argument("--recipes", metavar="FILE", help="with --recipe: another file of recipes")
    given = vars(parser.parse_args())
    resume, recipe, table = (given.pop(name) for name in ("resume", "recipe", "recipes"))
    if table is not None and recipe is None:
        raise InputError(f"--recipes {table}: give --recipe beside it")
    if recipe is not None and resume is not None:
        raise InputError(f"--recipe {recipe} --resume {resume}: a run has its own arguments; leave --recipe out")
    if recipe is not None:
        found = recipes.find_recipe(recipe, recipes.read_recipes(recipes.PATH if table is None else table))
        return merge_options(recipes.options(found), given), None
    if resume is None:
        return TrainingOptions(**given), None
    return load_for_resume(resume, given)


def main():
    """Train."""
    options, state = parse()
    split_cores(options.num_cpus)
    from resattnet.commands.train import train

    train(options, state)


if __name__ == "__main__":
    command_line.run(main)
