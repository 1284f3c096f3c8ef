"""The options for reproducing recipes."""

# mypy: disable-error-code="assignment"
# A redefined option may be None where the option of its group may not.

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ..datasets.options import DataDirOptions
from ..options.fields import option, redefine
from ..runs.options import RunFolderOptions

_OF_THE_RUN = "that of the run, if it is resumed; else "


@dataclass(frozen=True)
class ReproductionOptions(RunFolderOptions, DataDirOptions):
    """Options for running recipes; each is set by the flag of the same name of the command `reproduce`."""

    heading = "recipes"

    data_dir: Optional[str] = redefine(DataDirOptions, "data_dir", None, unset=f"{_OF_THE_RUN}data")
    log_dir: Optional[str] = redefine(RunFolderOptions, "log_dir", None, unset=f"{_OF_THE_RUN}log")
    print: Optional[str] = option(None, "print the full command of the recipe of this name")
    write: bool = option(False, "1: run nothing; enter the results of the finished runs of the recipes named")
    readme: bool = option(False, "1: write the table of recipes in docs/recipes.md again")
    keep: Optional[str] = option(
        None, "folder for the log of each finished run, NAME.csv, and its curve, NAME.png", metavar="DIR"
    )
    note: Optional[str] = option(None, "remark on the runs, for example on their data; entered with their conditions")
    recipes: Optional[str] = option(None, "file of the recipes", unset="the recipes of the package")
