"""What a run in several processes has besides a run in one: the share of each, and what must be the same in all."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, List, Optional, Sequence

from .. import __version__
from ..distributed.environment import local_size
from ..distributed.group import Group
from ..machine.gpus import find_gpus
from ..machine.mxnet import mx
from ..options.fields import flag_name
from ..run_options.options import RunOptions
from ..runs.progress import Progress
from ..runs.states import State
from .initial_weights import InitialWeights
from .inputs import Inputs

# Options that may differ between the processes of a run.
_OWN_OPTIONS = ("data_dir", "log_dir", "model_dir", "workers", "num_gpus", "gpus", "num_cpus", "teacher", "params")


def own_gpus(options: RunOptions, group: Group) -> Optional[Sequence[int]]:
    """Return the numbers of the GPUs of this process: as given, else its share where others are on this machine.

    None leaves the choice to `choose_devices`. Without `num_gpus`, a process has one of several GPUs.
    """
    processes = local_size(os.environ)
    if options.gpus is not None or processes == 1 or options.num_gpus == 0 or options.num_cpus > 1:
        return options.gpus
    usable, count = find_gpus()[0], options.num_gpus or 1
    if len(usable) < processes * count:
        return None
    return usable[group.local_rank * count : (group.local_rank + 1) * count]


def common_facts(
    options: RunOptions, inputs: Inputs, state: Optional[State], start: Optional[InitialWeights], devices: int
) -> Dict[str, Any]:
    """Return what must be the same in all processes of a run, by name."""
    own = {name: value for name, value in dataclasses.asdict(options).items() if name not in _OWN_OPTIONS}
    return {
        **{flag_name(name): value for name, value in own.items()},
        "the version": f"{__version__} with MXNet {mx.__version__}",
        "the data set": inputs.facts.to_dict(),
        "the number of steps of an epoch": len(inputs.train_loader),
        "the number of devices": devices,
        "the resumed step": state.progress["step"] if state else None,
        "the SHA-256 of the initial weights": start.sha256 if start else None,
    }


def note_processes(progress: Progress, group: Group, remarks: List[str]) -> None:
    """Note the number of processes of a run; add a remark if it was trained in another number before."""
    before, now = progress.processes, group.world.size
    if progress.step and before != now:
        remarks.append(
            f"the run goes on in {now} process{'es' if now > 1 else ''} in place of {before}: batches and statistics "
            "of batch normalisation are divided anew, so the result is not that of an uninterrupted run"
        )
    progress.processes = now
