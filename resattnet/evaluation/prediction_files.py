"""Predictions as text, CSV or JSON, written while they come."""

import csv
import json
import sys

from tqdm import tqdm

from ..data.image_files import find_images
from ..system.devices import choose_devices
from ..system.files import write_atomically, writing
from .classifier import Classifier
from .model_file import load_model


def report_text(handle, results, names, classes, top):
    """A line an image, in columns: its name, then each class with its probability in percent."""
    name_width, class_width = max(map(len, names)), max(map(len, classes))
    for name, prediction in results:
        pairs = zip(prediction.classes, prediction.probabilities)
        handle.write(
            f"{name:<{name_width}}  "
            f"{'  '.join((f'{title:<{class_width}} {100 * share:6.2f} %' for title, share in pairs))}\n"
        )


def report_csv(handle, results, names, classes, top):
    """A row an image: `image`, then `class_1`, `probability_1`, `class_2` and so on."""
    writer = csv.writer(handle, lineterminator="\n")
    ranks = range(1, min(top, len(classes)) + 1)
    writer.writerow(["image"] + [f"{what}_{rank}" for rank in ranks for what in ("class", "probability")])
    for name, prediction in results:
        pairs = zip(prediction.classes, prediction.probabilities)
        writer.writerow([name] + [value for title, share in pairs for value in (title, f"{share:.6g}")])


def report_json(handle, results, names, classes, top):
    """A list with, for each image, `image` and `predictions`: a list of `class`, `label` and `probability`."""
    before = "[\n"
    for name, prediction in results:
        found = [{"class": title, "label": label, "probability": share} for title, label, share in zip(*prediction)]
        handle.write(before + json.dumps({"image": name, "predictions": found}))
        before = ",\n"
    handle.write("\n]\n" if before[0] == "," else "[]\n")


REPORTS = {"text": report_text, "csv": report_csv, "json": report_json}


def predict_files(path, names, options):
    """Write the predictions of image files to stdout or a file; a line on stderr for each that cannot be read.

    Parameters
    ----------
    path : str
        The parameter file.
    names : list of str
        As of `images.find_images`.
    options : evaluation.options.PredictionOptions

    Returns
    -------
    int
        How many could not be read.

    Raises
    ------
    InputError
        As `Classifier.load` and `images.find_images`; or if the output cannot be written.
    """
    names = find_images(names)
    devices, _ = choose_devices(options.num_gpus)
    classifier = Classifier(load_model(path, options, devices), devices, options.batch_size)
    failures = []

    def failed(error):
        failures.append(error)
        tqdm.write(str(error), file=sys.stderr)

    def write(handle):
        # On a terminal the lines themselves show how far it is.
        quiet = handle.isatty() or not sys.stderr.isatty() or len(names) <= options.batch_size
        stream = tqdm(
            classifier.stream(names, options.top, failed),
            total=len(names),
            desc="predicting",
            unit="image",
            leave=False,
            disable=quiet,
        )
        results = ((name, prediction) for name, prediction in zip(names, stream) if prediction)
        REPORTS[options.output_format](handle, results, names, classifier.classes, options.top)
        handle.flush()

    if not options.output:
        sys.stdout.reconfigure(errors="surrogateescape")  # file names need not be UTF-8
        write(sys.stdout)
        return len(failures)

    def write_file(temporary):
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as handle:
            write(handle)

    with writing(f"--output {options.output}"):
        write_atomically(options.output, write_file)
    return len(failures)
