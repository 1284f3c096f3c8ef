"""Train a Residual Attention Network on CIFAR-10, CIFAR-100, the embedded digits or your own images.

    {command} --num-layers 92 --mix-up 1         # the real job: CIFAR-10, with mixup
    {command} --dataset digits --widths thin --epochs 5 -b 32    # no download, minutes on a CPU
    {command} --resume models/RUN                # resume a run that was stopped
    {command} --recipe paper-56 --seed 1         # the flags of a recipe, with another seed

A run writes log/board/RUN (TensorBoard), log/text/RUN.log, log/csv/RUN.csv and models/RUN. Ctrl-C, SIGTERM and
SIGHUP (a closed terminal) save and leave; SIGUSR1 saves. Exit codes: 0 done; 2 wrong arguments or input; 129, 130, 143
stopped after saving.
"""

from __future__ import annotations

import sys
import time
from typing import Any, Dict, Optional, Tuple

from ..experiments import recipes
from ..options import command_line
from ..runs.states import State
from ..system import streams
from ..system.console import say
from ..system.cores import split_cores
from ..system.errors import InputError
from ..training.options import TrainingOptions, meant_options
from ..training.resume import load_for_resume, merge_options
from .arguments import add_quiet


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the training options, and the flags that take them from a run or a recipe."""
    command_line.add_options(parser, TrainingOptions)
    add_quiet(parser)
    parser.add_argument(
        "--resume",
        type=command_line.text,
        metavar="RUN",
        help="folder, state or name of a run to resume with its own arguments; flags given beside it take precedence "
        "where they leave the network and the data unchanged",
    )
    parser.add_argument(
        "--recipe",
        type=command_line.text,
        metavar="NAME",
        help="take the flags of a recipe, which {command reproduce} lists; flags given beside it take precedence, and "
        "flags of the recipe that exclude them are left out",
    )
    parser.add_argument(
        "--recipes", type=command_line.text, metavar="FILE", help="with --recipe: another file of recipes"
    )


def read_options(given: Dict[str, Any]) -> Tuple[TrainingOptions, Optional[State]]:
    """Return the options of the run, and the state that it is resumed from (None for a new run).

    Raises
    ------
    InputError
        If a value is wrong, two values exclude each other, or there is no such run or recipe.
    """
    if given.get("float16") is False and given.get("dtype") == "float16":
        raise InputError("`float16=False` `dtype=float16`: give one of them")
    given = meant_options(given)
    resume, recipe, table = (given.pop(name, None) for name in ("resume", "recipe", "recipes"))
    if table is not None and recipe is None:
        raise InputError(f"`recipes={table}`: give `recipe` beside it")
    if recipe is not None and resume is not None:
        raise InputError(
            f"`recipe={recipe}` `resume={resume}`: a resumed run keeps its own arguments; leave `recipe` out"
        )
    if resume is not None and given.get("lr_find"):
        raise InputError(f"`lr_find=True` `resume={resume}`: rates are tested from the first step on; leave one out")
    if recipe is not None:
        found = recipes.find_recipe(recipe, recipes.read_recipes(recipes.PATH if table is None else table))
        return merge_options(recipes.read_options(found), given), None
    if resume is None:
        return TrainingOptions(**given), None
    return load_for_resume(resume, given)


def main(given: Dict[str, Any]) -> None:
    """Train to the end of the run, or test learning rates."""
    began = time.monotonic()
    options, state = read_options(given)
    split_cores(options.num_cpus)
    with streams.tolerated(sys.stdout):  # the log of the run notices a lost output, and warns of it
        say(f"{options.title}: reading the data and building the network")
    if options.lr_find:
        from .rate_test import find_learning_rate

        find_learning_rate(options)
    else:
        from .training_run import train

        train(options, state, began)
