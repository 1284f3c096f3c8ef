#!/usr/bin/env python3
"""Write one HTML page on one or several runs of cifar10_train.py: it needs no network and no other file.

    python scripts/report.py models/RUN                       # a run's folder, or its name
    python scripts/report.py RUN OTHER --output compared.html # side by side, in the same charts
    python scripts/report.py RUN --evaluate 0                 # from the logs alone: a second

The page has the curves of the runs, the arguments in which they differ, their best and last figures and, from
an evaluation of their best parameters on the test images, confusion matrices, accuracy by class and the images
of the highest loss. What is missing of a run is said on the page, and the rest is there; nothing is downloaded.
Exit codes: 0 done; 2 wrong arguments, or a run that is not there or whose CSV is damaged.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from resattnet.reports.options import ReportOptions  # noqa: E402
from resattnet.system import command_line  # noqa: E402


def main():
    """Write the page."""
    parser = command_line.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run, or its name")
    command_line.add_options(parser, ReportOptions)
    given = vars(parser.parse_args())
    runs = given.pop("runs")
    options = ReportOptions(**given)

    from resattnet.reports import report_page, run_report
    from resattnet.system import files

    records = run_report.collect(runs, options, say=lambda line: print(line, flush=True))
    for record in records:
        for remark in record.remarks:
            print(f"note: {record.label}: {remark}")
    files.write_text(options.output, report_page.render(records, options))
    print(
        f"{options.output}: {len(records)} run{'s' * (len(records) > 1)}, "
        f"{os.path.getsize(options.output) / 1000.0:.0f} kB"
    )


if __name__ == "__main__":
    command_line.run(main)
