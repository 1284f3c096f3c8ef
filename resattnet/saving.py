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
    period = run.options.save_period
    names = ["last"] + ["epoch-%04d" % row["epoch"]] * (period > 0 and row["epoch"] % period == 0)
    _save_net(run, run.net, names, "best", row, "validation_")
    if run.average:
        _save_net(run, run.copy(run.average), ["ema"], "best_ema", row, "validation_ema_", ema=run.options.ema)


def _save_net(run, net, names, best, row, prefix, **facts):
    description = dict(facts, network=run.network, run=run.name, epoch=row["epoch"])
    description.update((key, getattr(run.options, key)) for key in ("dataset", "data_format", "data_dir"))
    description.update(("validation_" + name, row[prefix + name]) for name in ("top1", "top5", "loss"))
    if run.progress.started_from:
        description["started_from"] = run.progress.started_from
    surpasses = run.progress.surpasses(best, row)
    for name in names + [best.replace("_", "-")] * surpasses:
        parameters.save_parameters(net, os.path.join(run.folder, name + ".params"), description)
    if surpasses:
        run.progress.keep(best, row)
