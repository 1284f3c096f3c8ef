"""Collect what a report shows of runs, from their CSV, their state and their best parameters.

`collect` reads the files; `report_page.render` makes an HTML page of the result.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..evaluation import evaluate
from ..evaluation.options import TestOptions
from ..evaluation.results import ModelResult
from ..machine.devices import choose_devices
from ..options.fields import flag_name, flag_value
from ..run_options.image_options import options_kind
from ..run_options.resume import options_from_state
from ..runs import history
from ..system.errors import InputError, handle_remarks
from ..zoo.descriptions import BEST
from .options import ReportOptions

UNKNOWN = "unknown"
_TOP1_ROUNDING = 5e-5  # top-1 is shown with four digits


class ReportedRun(NamedTuple):
    """A run in a report.

    Attributes
    ----------
    label : str
        Name of the run; its folder if another run of the report has the same name.
    folder : str or None
        Folder of the parameters and states; None if it does not exist.
    rows, options, remarks
        See `runs.history.RunHistory`.
    result : ModelResult or None
        Evaluation of the best parameters on the test images; None where there is none.
    """

    label: str
    folder: Optional[str]
    rows: List[Dict[str, Any]]
    options: Optional[Dict[str, Any]]
    remarks: List[str]
    result: Optional[ModelResult] = None

    @property
    def best(self) -> Optional[Dict[str, Any]]:
        """Row with the highest top-1 (the first such row); None before the first epoch is complete."""
        return max(self.rows, key=lambda row: row["validation_top1"], default=None)

    @property
    def best_ema(self) -> Optional[Dict[str, Any]]:
        """Row of the highest top-1 of the moving average of the parameters; None without a moving average."""
        averaged = [row for row in self.rows if "validation_ema_top1" in row]
        return max(averaged, key=lambda row: row["validation_ema_top1"], default=None)

    @property
    def dataset(self) -> str:
        """Name of the data set; "" if the run has no state."""
        options = self.options or {}
        return options.get("dataset") or os.path.basename(options.get("data_dir") or "")

    @property
    def last(self) -> Optional[Dict[str, Any]]:
        """Row of the last whole epoch; None before the first."""
        return self.rows[-1] if self.rows else None

    def seconds(self, row: Dict[str, Any]) -> float:
        """Return the time spent on training, without validation, up to the epoch of a row, in seconds."""
        return sum(each["seconds"] for each in self.rows[: row["epoch"]])


def collect(
    names: Sequence[str], options: ReportOptions, announce: Optional[Callable[[str], None]] = None
) -> List[ReportedRun]:
    """Read what is known about runs.

    Parameters
    ----------
    names : sequence of str
        Names or folders of runs. A run that is named twice is read once.
    options : ReportOptions
    announce : callable, optional
        Called with a line of text before each evaluation.

    Raises
    ------
    InputError
        If a run does not exist, its CSV is damaged, or the devices do not exist.
    """
    found: Dict[str, Tuple[str, Optional[str]]] = {}
    for given in names:
        name, folder = history.find_run(given, options.log_dir, options.model_dir)
        found.setdefault(os.path.realpath(folder) if folder else name, (name, folder))
    if options.evaluate:
        choose_devices(options.num_gpus, gpus=options.gpus)
    found_names = [name for name, _ in found.values()]
    runs = []
    for name, folder in found.values():
        label = name
        if found_names.count(name) > 1:
            label = folder or f"{name}, logs only"
        run = ReportedRun(label, folder, *history.read_history(name, folder, options.log_dir))
        if options.evaluate and folder:
            run = run._replace(result=_evaluate(run, folder, options, announce))
        runs.append(run)
    return runs


def compare_arguments(runs: Sequence[ReportedRun]) -> Tuple[Dict[str, List[str]], Dict[str, str]]:
    """Return the arguments that differ between runs and those that do not, without the name of the run.

    Returns
    -------
    differing : dict of str to list of str
        The value of each run, by flag; `UNKNOWN` for a run without a state.
    common : dict of str to str
        The value that all runs with a state share, by flag.
    """
    arguments = [_effective_options(run.options) if run.options else None for run in runs]
    names = dict.fromkeys(name for options in arguments if options for name in options if name != "name")
    differing, common = {}, {}
    for name in names:
        values = [_as_text(options, name) if options else UNKNOWN for options in arguments]
        known = set(values) - {UNKNOWN}
        if len(known) > 1:
            differing[flag_name(name)] = values
        else:
            common[flag_name(name)] = known.pop()
    return differing, common


def _effective_options(options: Dict[str, Any]) -> Dict[str, Any]:
    """Return all arguments of a run's state, with defaults for those that the state lacks."""
    try:
        return options_from_state(options).effective
    except InputError:  # written by a version with other options or other limits
        return dict(options_kind(options).defaults(), **options)


def _as_text(options: Dict[str, Any], name: str) -> str:
    """Return an argument of a run as text; `default` if the program chose the value, `none` if there is no value."""
    if options.get(name) is None:
        spec = options_kind(options).__dataclass_fields__.get(name)
        return "default" if spec and spec.metadata["unset"] else "none"
    return flag_value(options[name])


def _evaluate(
    run: ReportedRun, folder: str, options: ReportOptions, announce: Optional[Callable[[str], None]]
) -> Optional[ModelResult]:
    """Evaluate the best parameters of a run; where that is impossible, add a remark to the run and return None."""
    path = os.path.join(folder, BEST)
    testing = TestOptions(
        data_dir=options.data_dir,
        batch_size=options.batch_size,
        num_gpus=options.num_gpus,
        gpus=options.gpus,
        runtime="mxnet",  # as in the run, whose figures these are compared with
    )
    try:
        if announce and os.path.exists(path):
            announce(f"evaluating {path}")
        with handle_remarks(lambda remark: run.remarks.append(str(remark))):
            result = evaluate.evaluate_file(path, testing, download=False)
    except InputError as error:
        run.remarks.append(f"the best parameters could not be evaluated: {error!s}")
        return None
    top1, best = result.evaluation.top1, run.best
    if best and abs(top1 - best["validation_top1"]) > _TOP1_ROUNDING:
        run.remarks.append(
            f"best.params has top-1 {top1:.4f} on the test images that are here, but "
            f"{best['validation_top1']:.4f} in the logs"
        )
    return result
