"""Test learning rates for a run: the part of the command `train --lr-find 1` that needs MXNet."""

from __future__ import annotations

import os
from typing import Any, List, Optional

from ..machine.devices import choose_devices
from ..reports import figure_style
from ..reports.rate_figure import draw_range_test
from ..run_options.options import RunOptions
from ..runs.progress import Progress
from ..system.console import progress_bar, say
from ..system.errors import InputError, handle_remarks
from ..system.files import write_csv, writing
from ..training.build import build_step
from ..training.lr_finder import RangeTest, range_test, rates_to_test, step_losses
from ..training.preparation import begin_run

FOLDER = "lr-find"  # in the folder of the logs


def find_learning_rate(options: RunOptions) -> Optional[float]:
    """Test rising learning rates on the network and the data of a run, and print the suggested rate.

    The rates and losses are written to `lr-find/NAME.csv` in the folder of the logs, and drawn in `lr-find/NAME.png`;
    they replace those of an earlier test of the name. NAME is `options.name` or `options.title`. Nothing else is
    written.

    Parameters
    ----------
    options : RunOptions
        Those of the length and the learning rate have no effect.

    Returns
    -------
    float or None
        The suggested rate; None if the loss did not fall.

    Raises
    ------
    InputError
        If an option or a file is wrong, or the loss is not finite from the beginning.
    """
    devices, remarks = choose_devices(options.num_gpus, options.num_cpus, options.gpus)
    with handle_remarks(lambda remark: remarks.append(str(remark))):
        test = _test_rates(options, devices, remarks)
    for line in remarks:
        say(f"note: {line}")
    if len(test.rates) < 2:
        raise InputError("the loss is not finite from the beginning, at the lowest learning rate: look at the data")
    folder = os.path.join(options.log_dir, FOLDER)
    path = os.path.join(folder, options.name or options.title)
    with writing(f"`log_dir={options.log_dir}`"):
        os.makedirs(folder, exist_ok=True)
        write_csv(f"{path}.csv", test.rows())
        figure_style.save(draw_range_test(test, options.name or options.title), f"{path}.png")
    print(describe_test(test, options, len(devices), path))
    return test.suggestion


def _test_rates(options: RunOptions, devices: List[Any], remarks: List[str]) -> RangeTest:
    """Test the rates on a new network, as the run would begin with it."""
    inputs, start = begin_run(options, devices, remarks)
    rates = rates_to_test(options.optimizer)
    step, more = build_step(
        options, inputs, devices, lambda number: float(rates[min(number, len(rates) - 1)]), Progress(), start
    )
    remarks += more
    with progress_bar(total=len(rates), desc="learning rates", unit="step", disable=None, leave=False) as bar:
        return range_test(rates.tolist(), step_losses(step, inputs.train_loader, bar.update))


def describe_test(test: RangeTest, options: RunOptions, devices: int, path: str) -> str:
    """Return the result of a test as a line.

    Parameters
    ----------
    test : RangeTest
    options : RunOptions
    devices : int
        Number of devices that share a batch.
    path : str
        The files of the test, without their endings.
    """
    tested = f"{len(test.rates)} steps from {test.rates[0]:.2g} to {test.rates[-1]:.2g}"
    end = "where the loss diverges" if test.diverged else "without divergence"
    files = f"{path}.png and .csv"
    if test.suggestion is None:
        return f"no learning rate to suggest: the loss does not fall in {tested}, {end}; {files}"
    flag = f"--lr {test.suggestion:.2g}"
    if options.lr_per_256 is not None:
        images = options.batch_size * devices * options.accumulate
        flag = f"--lr-per-256 {test.suggestion * 256 / images:.2g}"
    return (
        f"suggested: {flag}, where the loss falls fastest; it is lowest at {test.lowest:.2g} ({tested}, {end}); {files}"
    )
