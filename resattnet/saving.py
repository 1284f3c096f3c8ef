"""What a training run keeps: its state, and its parameters after each epoch."""
import dataclasses
import os

from . import checkpoints, parameters, snapshots


def save(run, row=None):
    """Write the state of a `training.Run` and, after an epoch (its `row` is given), first its parameters."""
    if row:
        _save_parameters(run, row)
    arrays = snapshots.state_arrays(run.net, run.trainer)
    arrays.update(run.average.state_arrays() if run.average else {})
    checkpoints.save_state(run.folder, arrays, dict(dataclasses.asdict(run.progress),
                                                    options=dataclasses.asdict(run.options)))


def _save_parameters(run, row):
    period, best, best_ema = run.options.save_period, run.progress.best, run.progress.best_ema
    names = ["last"] + ["best"] * (best["epoch"] == row["epoch"])
    if period and row["epoch"] % period == 0:
        names.append("epoch-%04d" % row["epoch"])
    _save_net(run, run.net, names, row, "validation_")
    if run.average:
        names = ["ema"] + ["best-ema"] * (best_ema["epoch"] == row["epoch"])
        _save_net(run, run.copy(run.average), names, row, "validation_ema_", ema=run.options.ema)


def _save_net(run, net, names, row, prefix, **facts):
    description = dict(facts, network=run.network, run=run.name, epoch=row["epoch"])
    description.update((key, getattr(run.options, key)) for key in ("dataset", "data_format", "data_dir"))
    description.update(("validation_" + name, row[prefix + name]) for name in ("top1", "top5", "loss"))
    if run.progress.started_from:
        description["started_from"] = run.progress.started_from
    for name in names:
        parameters.save_parameters(net, os.path.join(run.folder, name + ".params"), description)
