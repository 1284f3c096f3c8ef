"""What a run in memory is on the disk: its state and, after an epoch, its parameters; and the state put back."""

import dataclasses
import os

import numpy as np

from ..models import parameters
from ..runs import states
from ..system.devices import wait_for_running_statistics
from ..system.mxnet import mx


def save(run, row=None):
    """Write the state of a `training.Run` and, after an epoch (its `row` is given), first its parameters."""
    if row:
        _save_parameters(run, row)
    arrays = state_arrays(run.net, run.trainer)
    arrays.update(run.average.state_arrays() if run.average else {})
    states.save_state(
        run.folder, arrays, dict(dataclasses.asdict(run.progress), options=dataclasses.asdict(run.options))
    )


def _save_parameters(run, row):
    period = run.options.save_period
    names = ["last"] + [f"epoch-{row['epoch']:04d}"] * (period > 0 and row["epoch"] % period == 0)
    _save_net(run, run.net, names, "best", row, "validation_")
    if run.average:
        _save_net(run, run.copy(run.average), ["ema"], "best_ema", row, "validation_ema_", ema=run.options.ema)


def _save_net(run, net, names, best, row, prefix, **facts):
    description = dict(facts, network=run.network.to_dict(), run=run.name, epoch=row["epoch"])
    description.update((key, getattr(run.options, key)) for key in ("dataset", "data_format", "data_dir"))
    description.update(("validation_" + name, row[prefix + name]) for name in ("top1", "top5", "loss"))
    if run.progress.started_from:
        description["started_from"] = run.progress.started_from
    surpasses = run.progress.surpasses(best, row)
    for name in names + [best.replace("_", "-")] * surpasses:
        parameters.save_parameters(net, os.path.join(run.folder, name + ".params"), description)
    if surpasses:
        run.progress.set_best(best, row)


def state_arrays(net, trainer):
    """Parameters, running statistics of each device and optimizer state, as NumPy arrays by name."""
    wait_for_running_statistics()
    arrays = {}
    for name, parameter in net._collect_params_with_prefix().items():
        learned = parameter.grad_req != "null"
        for device, data in enumerate(parameter.list_data()[:1] if learned else parameter.list_data()):
            arrays[f"parameter/{name}/{device}"] = data.asnumpy()
        # The updaters of all devices hold the same values: each device applies the same summed gradients.
        states = trainer._updaters[0].states.get(trainer._param2idx[parameter.name]) if learned else None
        arrays.update((f"optimizer/{name}/{part}", state.asnumpy()) for part, state in _parts(states))
    return arrays


def _parts(state):
    """The arrays of an optimizer's state, each with its place: momentum 0, master weights 1; either may be absent."""
    parts = state if isinstance(state, (tuple, list)) else [state]
    return [(place, part) for place, part in enumerate(parts) if part is not None]


def restore_arrays(arrays, net, trainer, step):
    """Put back what `state_arrays` gave, onto any number of devices, with the optimizer at `step`."""
    for name, parameter in net._collect_params_with_prefix().items():
        copies = []
        while f"parameter/{name}/{len(copies)}" in arrays:
            copies.append(arrays[f"parameter/{name}/{len(copies)}"])
        targets = parameter.list_data()
        if len(copies) not in (1, len(targets)):
            copies = [np.mean(copies, axis=0)]
        for device, target in enumerate(targets):
            target[:] = mx.nd.array(copies[device % len(copies)], ctx=target.context, dtype=target.dtype)
        saved = {
            place: arrays[f"optimizer/{name}/{place}"] for place in (0, 1) if f"optimizer/{name}/{place}" in arrays
        }
        if not saved:  # running statistics; and all, before the first step
            continue
        index = trainer._param2idx[parameter.name]
        for updater, target in zip(trainer._updaters, targets):
            updater.states[index] = trainer._optimizer.create_state_multi_precision(index, target)
            updater.states_synced[index] = True
            for place, state in _parts(updater.states[index]):
                if place in saved:  # momentum that there was not before begins at zero
                    state[:] = mx.nd.array(saved[place], ctx=state.context, dtype=state.dtype)
    trainer._optimizer.begin_num_update = trainer._optimizer.num_update = step
