"""Hold the parts of a training run together, ready for the loop."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Callable, List, Optional, Sequence

from ..distributed.group import SOLO, Group
from ..run_options.options import RunOptions
from ..runs.logs import RunLog
from ..runs.progress import Progress
from .checkpoints import Checkpointer
from .inputs import Inputs
from .step import TrainingStep

# Called after each epoch with the epoch (from 1), the step, the log, a function that returns a copy of the network, and
# whether the run ends with this epoch.
Hook = Callable[[int, int, RunLog, Callable[[], Any], bool], None]


@dataclasses.dataclass
class Run:
    """The parts of a training run, ready for `fit`.

    Attributes
    ----------
    options : RunOptions
    inputs : Inputs
    progress : Progress
    schedule : callable
        Learning rate at a step, counted from 0.
    step : TrainingStep
    checkpointer : Checkpointer
    remarks : list of str
        Lines for the run's log before the first step.
    hooks : list of Hook
    deadline : float or None
        When the time limit of a new run ends, by `time.monotonic`; None without one, and for a resumed run.
    group : Group
        The processes that train the run together.
    """

    options: RunOptions
    inputs: Inputs
    progress: Progress
    schedule: Callable[[int], float]
    step: TrainingStep
    checkpointer: Checkpointer
    remarks: List[str]
    hooks: Sequence[Hook] = ()
    deadline: Optional[float] = None
    group: Group = SOLO

    @property
    def folder(self) -> str:
        """The folder of the run's parameters and states."""
        return self.checkpointer.folder

    @property
    def name(self) -> str:
        """The name of the run."""
        return os.path.basename(os.path.abspath(self.folder))
