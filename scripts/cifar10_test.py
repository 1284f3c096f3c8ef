#!/usr/bin/env python3
"""Measure trained parameters on the test images: each image exactly once.

    python scripts/cifar10_test.py --params models/RUN/best.params
    python scripts/cifar10_test.py --params models/RUN/best.params --output assessed
    python scripts/cifar10_test.py --params models/A/best.params models/B/best.params --ensemble 1

Of one file: top-1, top-5, loss and expected calibration error (ECE: 15 bins of equal width of the highest probability,
arXiv 1706.04599), precision, recall and F1 of each class, and the confusion matrix. Of several, measured on the same
images: a line for each, and how many images only one of it and the first gets right, with the p-value of McNemar's
exact test.

--corruptions 1 also measures top-1 under corruptions of the images: noise, blur, JPEG and others, at five strengths.

--output writes evaluation.json, confusion.png, hardest.png (the images of the highest loss), reliability.png (how often
what seems so probable is right) and, with --corruptions, corruptions.png (what these do to an image of each class); of
several files comparison.json, and a folder of these for each file. --format json prints the JSON.

Depth, widths and data set are read from the .json beside the parameters; only where that is missing do they have to be
given. Exit codes: 0 done; 2 wrong arguments or input.
"""

import argparse
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from resattnet.evaluation.options import TestOptions  # noqa: E402
from resattnet.system import command_line  # noqa: E402
from resattnet.system.cores import split_cores  # noqa: E402


def main():
    """Evaluate."""
    parser = command_line.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_params(parser, nargs="+")
    command_line.add_options(parser, TestOptions)
    given = vars(parser.parse_args())
    paths = given.pop("params")
    options = TestOptions(**given)
    split_cores(options.num_cpus)

    from resattnet.evaluation.results import evaluate_files
    from resattnet.evaluation.results_json import results_to_json
    from resattnet.evaluation.tables import results_text
    from resattnet.reports.evaluation_files import write_results

    results, document, written = evaluate_files(paths, options), {}, []
    if options.output or options.format == "json":
        document = results_to_json(results, options.hardest)
    if options.output:
        written = write_results(results, document, options.folder, options.hardest)
    if options.format == "json":
        print(json.dumps(document, indent=1))
    else:
        print(results_text(results))
        if written:
            print(f"\nwritten to {options.output}: {', '.join(written)}")


if __name__ == "__main__":
    command_line.run(main)
