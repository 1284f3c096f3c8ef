"""What the commands that train share: their flags, and the way from them to a run."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Dict, Optional, Tuple, Type

from ..distributed.engines import check_launched
from ..distributed.environment import launched_rank, local_size
from ..experiments import recipes
from ..machine.cores import split_cores
from ..options import command_line
from ..options.common_arguments import add_quiet
from ..run_options.options import RunOptions, TrainingOptions, meant_options
from ..run_options.resume import load_for_resume, merge_options
from ..runs.states import State
from ..system import streams
from ..system.console import say
from ..system.errors import InputError


def add_training_arguments(parser: command_line.ArgumentParser, kind: Type[RunOptions]) -> None:
    """Add the options of a class, and the flags that take them from a run or a recipe."""
    command_line.add_options(parser, kind)
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


def read_options(given: Dict[str, Any], kind: Type[RunOptions] = TrainingOptions) -> Tuple[RunOptions, Optional[State]]:
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
        return merge_options(_of_kind(recipes.read_options(found), kind, f"`recipe={recipe}`"), given), None
    if resume is None:
        return kind(**given), None
    options, state = load_for_resume(resume, given)
    return _of_kind(options, kind, f"`resume={resume}`"), state


def _of_kind(options: RunOptions, kind: Type[RunOptions], what: str) -> RunOptions:
    """Return options if their class is the command's; else raise InputError."""
    if not isinstance(options, kind):
        own = options.command
        raise InputError(f"{what} is of the command {own}: give it to {command_line.command(own)}")
    return options


def train_with(given: Dict[str, Any], kind: Type[RunOptions]) -> None:
    """Train to the end of the run that the values given, by name, describe, or test learning rates for it."""
    began = time.monotonic()
    options, state = read_options(given, kind)
    check_launched(options.exchange)  # before the seconds that importing MXNet takes
    split_cores(options.num_cpus, local_size(os.environ))
    with streams.tolerated(sys.stdout):  # the log of the run notices a lost output, and warns of it
        if not launched_rank(os.environ):
            say(f"{options.title}: reading the data and building the network")
    if options.lr_find:
        from .rate_test import find_learning_rate

        find_learning_rate(options)
    else:
        from .training_run import train

        train(options, state, began)
