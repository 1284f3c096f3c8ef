"""Write one HTML page about one or several training runs, which needs no network and no other file.

    {command} models/RUN                       # a run's folder, or its name
    {command} RUN OTHER --output compared.html # side by side, in the same charts
    {command} RUN --evaluate 0                 # from the logs alone: a second

The page shows the curves of the runs, the arguments in which they differ, their best and last figures and, from an
evaluation of their best parameters on the test images, confusion matrices, accuracy by class and the images of the
highest loss. The page says which parts of a run are missing, and shows the others; nothing is downloaded.
Exit codes: 0 done; 2 wrong arguments, or a run that does not exist or whose CSV is damaged.
"""

from __future__ import annotations

import os
from typing import Any, Dict

from ..options import command_line
from ..options.common_arguments import add_quiet
from ..options.counts import limit_count
from ..reports.options import ReportOptions


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the runs and the options."""
    parser.add_argument("runs", type=command_line.text, nargs="+", metavar="RUN", help="folder of a run, or its name")
    command_line.add_options(parser, ReportOptions)
    add_quiet(parser)


def main(given: Dict[str, Any]) -> None:
    """Write the page, and print what is missing from the runs."""
    given = dict(given)
    runs = given.pop("runs")
    options = ReportOptions(**given)

    from ..reports import report_page, run_report
    from ..system import console, files

    records = run_report.collect(runs, options, announce=console.say)
    for record in records:
        for remark in record.remarks:
            print(f"note: {record.label}: {remark}")
    tested = [record.result.evaluation.samples for record in records if record.result]
    if options.hardest != ReportOptions.hardest and tested:
        limit_count("hardest", options.hardest, max(tested), "test images")
    files.write_text(options.output, report_page.render(records, options))
    runs_written = "1 run" if len(records) == 1 else f"{len(records)} runs"
    print(f"{options.output}: {runs_written}, {os.path.getsize(options.output) / 1000.0:.0f} kB")
