"""Measure trained networks on the test images, each image exactly once.

    {command} --params models/RUN/best.params
    {command} --params models/RUN/best.params --output evaluated
    {command} --params models/A/best.params models/B/best.params --ensemble 1
    {command} --params best.onnx --runtime openvino

For one file the command prints top-1, top-5, loss and expected calibration error (ECE: 15 bins of equal width of the
highest probability, arXiv 1706.04599), precision, recall and F1 of each class, and the confusion matrix. For several
files, measured on the same images, it prints a line for each, the number of images that only one of this file and the
first gets right, and the p-value of McNemar's exact test.

--corruptions 1 also measures top-1 on corrupted images: noise, blur, JPEG and others, at five strengths.

--output writes evaluation.json, confusion.png, hardest.png (the mistakes with the highest loss), reliability.png (the
accuracy at each confidence) and, with --corruptions, corruptions.png (each corruption of an image of each
class). For several files it writes comparison.json, and a folder with these for each file. --format json prints the
JSON.

Depth, widths and data set are read from the .json beside the parameters; they have to be given only where it is
missing. A file that the command export wrote as ONNX or for PyTorch holds them, and is computed without MXNet. Exit
codes: 0 done; 2 wrong arguments or input.
"""

from __future__ import annotations

import importlib.util
import json
from typing import Any, Dict

from ..evaluation.options import TestOptions
from ..machine.cores import split_cores
from ..options import command_line
from ..options.common_arguments import add_params, add_quiet
from ..options.counts import limit_count
from ..system.errors import InputError


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the parameter files and the options."""
    add_params(parser, nargs="+", exported=".onnx or .safetensors")
    command_line.add_options(parser, TestOptions)
    add_quiet(parser)


def main(given: Dict[str, Any]) -> None:
    """Measure, write and print."""
    given = dict(given)
    paths = given.pop("params")
    options = TestOptions(**given)
    split_cores(options.num_cpus)
    if importlib.util.find_spec("sklearn") is None:  # before all images are computed
        raise InputError("testing needs scikit-learn: python -m pip install scikit-learn")

    from ..evaluation.evaluate import evaluate_files
    from ..evaluation.results_json import results_to_json
    from ..evaluation.tables import results_text
    from ..reports.evaluation_files import write_results

    results, folder = evaluate_files(paths, options), options.folder
    if options.hardest:
        limit_count("hardest", options.hardest, max(result.evaluation.samples for result in results), "test images")
    hardest = options.hardest, options.hardest_of
    document = results_to_json(results, *hardest) if folder or options.format == "json" else {}
    written = write_results(results, document, folder, *hardest) if folder else []
    if options.format == "json":
        print(json.dumps(document, indent=1))
    else:
        print(results_text(results))
        if written:
            print(f"\nwritten to {options.output}: {', '.join(written)}")
