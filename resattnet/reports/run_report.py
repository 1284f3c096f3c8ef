"""What a report says of runs, as plain data: from their CSV, their state and their best parameters.

`collect` reads; `report_page.render` makes HTML of what it gives.
"""

import dataclasses
import os
from typing import Any, NamedTuple, Optional

from ..evaluation import results
from ..evaluation.options import TestOptions
from ..runs import history
from ..system.devices import choose_devices
from ..system.errors import InputError
from ..system.options import flag_name, flag_value
from ..training.options import TrainingOptions

UNKNOWN = "unknown"


class RunRecord(NamedTuple):
    """All that a report says of a run.

    Attributes
    ----------
    label : str
        Its name; the folder where another run of the report has the same name.
    folder : str or None
        That of its parameters and states, if it is there.
    rows, options, remarks
        Those of `runs.Logs`.
    result : ModelResult or None
        Of the best parameters on the test set.
    """

    label: str
    folder: Optional[str]
    rows: list
    options: Any
    remarks: list
    result: Optional[results.ModelResult] = None

    @property
    def best(self):
        """The row of the highest top-1, the first of equal ones; None before the first."""
        return max(self.rows, key=lambda row: row["validation_top1"], default=None)

    @property
    def best_ema(self):
        """The row of the highest top-1 of the moving average; None without one."""
        return max(
            (row for row in self.rows if "validation_ema_top1" in row),
            key=lambda row: row["validation_ema_top1"],
            default=None,
        )

    @property
    def last(self):
        """The newest row; None before the first."""
        return self.rows[-1] if self.rows else None

    def seconds(self, row):
        """Wall seconds of training, validation aside, from the first epoch to that of a row."""
        return sum(each["seconds"] for each in self.rows[: row["epoch"]])


def collect(names, options, say=None):
    """Read what there is of runs.

    Parameters
    ----------
    names : list of str
        Names or folders of runs; one given twice counts once.
    options : reports.options.ReportOptions
    say : callable, optional
        Called with a line before what takes long.

    Returns
    -------
    list of RunRecord

    Raises
    ------
    InputError
        If a run is not there, its CSV is damaged, or the devices are not there.
    """
    found = {}
    for run in names:
        name, folder = history.find_run(run, options.log_dir, options.model_dir)
        found.setdefault(os.path.realpath(folder) if folder else name, (name, folder))
    if options.evaluate:
        choose_devices(options.num_gpus)
    names = [name for name, _ in found.values()]
    records = []
    for name, folder in found.values():
        label = name if names.count(name) == 1 else folder or name + ", logs only"
        record = RunRecord(label, folder, *history.read_history(name, folder, options.log_dir))
        if options.evaluate and folder:
            record = record._replace(result=_evaluate(record, options, say))
        records.append(record)
    return records


def _effective(options):
    """All arguments of a run's state, with what it lacks and what the defaults come to."""
    try:
        return TrainingOptions(**options).effective
    except (InputError, TypeError):  # of an older version, which allowed or had what this one does not
        defaults = {spec.name: spec.default for spec in dataclasses.fields(TrainingOptions)}
        return dict(defaults, **options)


def _written(options, name):
    """An argument of a run, which may have none of that name; `default` is what was left to the program."""
    if options.get(name) is None:
        spec = TrainingOptions.__dataclass_fields__.get(name)
        return "default" if spec and spec.metadata["unset"] else "none"
    return flag_value(options[name])


def compare_arguments(records):
    """The arguments that differ between runs, and those that do not; the run's name is left out.

    Returns
    -------
    differing : dict of str to list of str
        By flag; a value for each run, `UNKNOWN` for one without state.
    common : dict of str to str
    """
    known = [record.options and _effective(record.options) for record in records]
    differing, common = {}, {}
    for name in dict.fromkeys(name for options in known if options for name in options):
        values = [_written(options, name) if options else UNKNOWN for options in known]
        told = set(values) - {UNKNOWN}
        if name != "name" and len(told) > 1:
            differing[flag_name(name)] = values
        elif name != "name":
            common[flag_name(name)] = told.pop()
    return differing, common


def _evaluate(record, options, say):
    """The `ModelResult` of a run's best parameters; None, and a remark, where that cannot be had."""
    path = os.path.join(record.folder, "best.params")
    testing = TestOptions(data_dir=options.data_dir, batch_size=options.batch_size, num_gpus=options.num_gpus)
    try:
        if say and os.path.exists(path):
            say(f"evaluating {path}")
        result = results.evaluate_file(path, testing, download=False)
    except InputError as error:
        record.remarks.append(f"the best parameters could not be evaluated: {error!s}")
        return None
    top1 = result.evaluation.top1
    if record.best and abs(top1 - record.best["validation_top1"]) > 5e-5:
        record.remarks.append(
            f"best.params has top-1 {top1:.4f} on the test images that are here, the logs say "
            f"{record.best['validation_top1']:.4f}"
        )
    return result
