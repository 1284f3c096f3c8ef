"""Options of the reproduction of recipes."""

from dataclasses import dataclass
from typing import Optional

from ..system.options import Options, option

_OWN = "of a run that goes on its own, else "


@dataclass(frozen=True)
class ReproductionOptions(Options):
    """Arguments of runs of recipes; each is the flag of the same name of `scripts/reproduce.py`."""

    print: Optional[str] = option(None, "print the full command of the recipe of this name")
    write: bool = option(False, "1 runs nothing: it enters what the ended runs of the recipes named gave")
    readme: bool = option(False, "1 makes the table of the recipes in README.md anew")
    keep: Optional[str] = option(
        None, "folder for the log of each run that has ended, NAME.csv, and its curve, NAME.png", metavar="DIR"
    )
    note: Optional[str] = option(
        None, "what else is to be known of the runs, as of their data; entered with their conditions"
    )
    recipes: Optional[str] = option(None, "file of the recipes", unset="data/recipes.csv")
    data_dir: Optional[str] = option(None, "where the data sets are, and are downloaded to", unset=_OWN + "data")
    log_dir: Optional[str] = option(None, "folder of the logs", unset=_OWN + "log")
    model_dir: str = option("models", "folder of the parameters and states")
