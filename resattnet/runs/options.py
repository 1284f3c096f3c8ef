"""Group the options for the folders of runs, which several commands share."""

from __future__ import annotations

from dataclasses import dataclass

from ..options.fields import MODEL_DIR, Options, option


@dataclass(frozen=True)
class RunFolderOptions(Options):
    """The folders of logs and of parameters."""

    heading = "run and output"

    log_dir: str = option("log", "folder of the logs: board/, text/ and csv/ of each run")
    model_dir: str = option(MODEL_DIR, "folder of the parameters and states of each run")
