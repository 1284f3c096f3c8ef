"""The arrays of a state: take them from a network and its optimizer, check them, and put them back."""

from __future__ import annotations

import itertools
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

import numpy as np

from ..distributed.group import SOLO, Group
from ..distributed.statistics import RUNNING, gather_statistics
from ..machine.devices import mean_over_devices
from ..machine.mxnet import mx
from ..optimization.flat_trainer import FlatTrainer
from ..run_options.optimizer_options import ADAPTIVE
from ..run_options.options import RunOptions
from ..runs.states import State
from .step import TrainingStep

_MOST_PARTS = 3  # arrays that an optimizer has of a parameter: see `_optimizer_parts`


def state_arrays(net: Any, trainer: Any, group: Group = SOLO) -> Dict[str, np.ndarray]:
    """Return parameters, running statistics of each device and optimizer state as NumPy arrays by name.

    The running statistics are those of the devices of all processes, ordered by rank, so that each continues with its
    own. Frozen parameters are kept as running statistics are, without an optimizer state; with several processes once.
    """
    statistics = gather_statistics(net, group)
    arrays: Dict[str, np.ndarray] = {}
    for name, parameter in net._collect_params_with_prefix().items():
        trained = parameter.grad_req != "null"
        if name in statistics:
            copies = statistics[name]
        else:
            once = trained or group.world.size > 1
            copies = [data.asnumpy() for data in (parameter.list_data()[:1] if once else parameter.list_data())]
        arrays.update((f"parameter/{name}/{place}", copy) for place, copy in enumerate(copies))
        # The updaters of all devices hold the same values: each device applies the same summed gradients.
        state = trainer._updaters[0].states.get(trainer._param2idx[parameter.name]) if trained else None
        arrays.update((f"optimizer/{name}/{number}", part.asnumpy()) for number, part in _parts(state))
    return arrays


def _parts(state: Any) -> Iterator[Tuple[int, Any]]:
    """Yield the arrays of an optimizer's state with their places; see `_optimizer_parts`."""
    nested = [part if isinstance(part, (tuple, list)) else [part] for part in _as_list(state)]
    for number, part in enumerate(itertools.chain(*nested)):
        if part is not None:
            yield number, part


def _as_list(state: Any) -> Sequence[Any]:
    return state if isinstance(state, (tuple, list)) else [state]


def check_arrays(state: State, step: TrainingStep) -> None:
    """Raise ValueError unless a state has exactly the arrays that a run needs, with their shapes, types and numbers.

    Parameters
    ----------
    state : State
    step : TrainingStep
        The step of the run that is resumed.
    """
    left = dict(state.arrays)
    statistics = set()
    for name, parameter in step.net._collect_params_with_prefix().items():
        copies = 0
        while f"parameter/{name}/{copies}" in left:
            _check_array(left, f"parameter/{name}/{copies}", parameter, parameter.dtype)
            copies += 1
        if parameter.grad_req == "null":
            if copies != 1 or name.endswith(RUNNING):  # a frozen parameter of several processes is kept once
                statistics.add(copies)
        elif copies == 1:
            for number in _optimizer_parts(state, parameter):
                _check_array(left, f"optimizer/{name}/{number}", parameter, "float32")
            if step.average:
                _check_array(left, f"average/{name}", parameter, "float32")
        if not copies or copies > 1 and parameter.grad_req != "null":
            raise ValueError(f"it has {copies} arrays parameter/{name}")
    if len(statistics) > 1:
        raise ValueError("it has the running statistics of different numbers of devices")
    if left:
        raise ValueError(f"its array {min(left)} is not one of this run")


def _optimizer_parts(state: State, parameter: Any) -> List[int]:
    """Return the places of the optimizer's arrays of a parameter that a state must have.

    With nag and sgd: momentum 0, unless it is 0, and master weights 1. With adamw and lamb: the means of the gradient 0
    and of its square 1 or, with master weights, these 0 and the means 1 and 2. A parameter in float16 has master
    weights.
    """
    half = np.dtype(parameter.dtype) == np.float16
    progress, momentum = state.progress, state.options.get("momentum", RunOptions.momentum)
    if not any(name.startswith("optimizer/") for name in state.arrays):
        # There is none before the first step, and none before the first step with a momentum that was 0 until then.
        changed = [change["options"] for change in progress.get("changes", ()) if change["step"] == progress["step"]]
        if not progress.get("step") or any(options.get("momentum") == 0 for options in changed):
            return []
    if state.options.get("optimizer") in ADAPTIVE:
        return [0, 1, 2] if half else [0, 1]
    return ([0] if momentum else []) + ([1] if half else [])


def _check_array(left: Dict[str, Any], name: str, parameter: Any, dtype: Any) -> None:
    """Take the array of a name out of those `left`, and raise ValueError unless it is like the parameter."""
    if name not in left:
        raise ValueError(f"it has no array {name}")
    array = left.pop(name)
    if array.shape != tuple(parameter.shape):
        raise ValueError(f"its array {name} has the shape {array.shape}, the network's {tuple(parameter.shape)}")
    if array.dtype != np.dtype(dtype):
        raise ValueError(f"its array {name} has the type {array.dtype}, the network's {np.dtype(dtype)}")
    if not np.isfinite(array).all():
        raise ValueError(f"its array {name} has numbers that are not finite")


def restore_arrays(arrays: Mapping[str, np.ndarray], net: Any, trainer: Any, step: int, group: Group = SOLO) -> None:
    """Put the arrays of `state_arrays` back, onto any number of devices and processes.

    The optimizer is set to `step` updates.
    """
    flat = isinstance(trainer, FlatTrainer)
    if flat:
        trainer.create_states()
    for name, parameter in net._collect_params_with_prefix().items():
        copies: List[np.ndarray] = []
        while f"parameter/{name}/{len(copies)}" in arrays:
            copies.append(arrays[f"parameter/{name}/{len(copies)}"])
        targets = parameter.list_data()
        first = group.world.rank * len(targets)
        if len(copies) not in (1, group.world.size * len(targets)):
            copies = [mean_over_devices(copies)]
        for place, target in enumerate(targets, first):
            target[:] = mx.nd.array(copies[place % len(copies)], ctx=target.context, dtype=target.dtype)
        names = {number: f"optimizer/{name}/{number}" for number in range(_MOST_PARTS)}
        saved = {number: arrays[key] for number, key in names.items() if key in arrays}
        if not saved:  # a running statistic, a frozen parameter, or a state from before the first step
            continue
        index = trainer._param2idx[parameter.name]
        for updater, target in zip(trainer._updaters, targets):
            if not flat:
                updater.states[index] = trainer._optimizer.create_state_multi_precision(index, target)
                updater.states_synced[index] = True
            for number, part in _parts(updater.states[index]):
                if number in saved:  # a momentum that the state does not have begins at zero
                    part[:] = mx.nd.array(saved[number], ctx=part.context, dtype=part.dtype)
    trainer._optimizer.begin_num_update = trainer._optimizer.num_update = step
