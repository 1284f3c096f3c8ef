"""Write predictions as text, CSV or JSON as they are computed."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import IO, Callable, Dict, Iterable, List, Sequence, Tuple, cast

from ..data.image_paths import find_images
from ..runtimes.engines import quickest_to_start
from ..runtimes.exported_model import is_exported, is_of_torch
from ..system.console import progress_bar, write_beside_bar
from ..system.errors import InputError, one_line
from ..system.files import write_atomically, writing
from ..system.streams import is_terminal
from .classifier import Classifier
from .exported import open_exported
from .logits import Prediction
from .options import ClassifierOptions, PredictionOptions

# Images below which the time until the first answer counts more than that of each. onnxruntime answers 0.3 s before
# OpenVINO, which computes a thin Attention-56 in 0.5 ms less for each image, in INT8 in 3 to 5 ms.
FEW = 100
Results = Iterable[Tuple[str, Prediction]]


def write_text(handle: IO[str], results: Results, names: Sequence[str], classes: Sequence[str], top: int) -> None:
    """Write one line for each image, in columns: its name, then each class with its probability in percent.

    Parameters
    ----------
    handle : text file
    results : iterable of (str, Prediction)
        Name and prediction of each image.
    names : sequence of str
        All names that can be in `results`.
    classes : sequence of str
        Names of all classes.
    top : int
        Number of classes in a prediction.
    """
    name_width, class_width = max(len(one_line(name)) for name in names), max(map(len, classes))
    for name, prediction in results:
        pairs = zip(prediction.classes, prediction.probabilities)
        cells = [f"{title:<{class_width}} {100 * probability:6.2f} %" for title, probability in pairs]
        handle.write(f"{one_line(name):<{name_width}}  {'  '.join(cells)}\n")


def write_csv(handle: IO[str], results: Results, names: Sequence[str], classes: Sequence[str], top: int) -> None:
    """Write one row for each image: `image`, `class_1`, `probability_1`, `class_2` and so on.

    The parameters are those of `write_text`.
    """
    writer = csv.writer(handle, lineterminator="\n")
    head = ["image"]
    for rank in range(1, min(top, len(classes)) + 1):
        head += [f"class_{rank}", f"probability_{rank}"]
    writer.writerow(head)
    for name, prediction in results:
        row = [name]
        for title, probability in zip(prediction.classes, prediction.probabilities):
            row += [title, f"{probability:.6g}"]
        writer.writerow(row)


def write_json(handle: IO[str], results: Results, names: Sequence[str], classes: Sequence[str], top: int) -> None:
    """Write a list with a dict for each image: `image` and `predictions`.

    `predictions` is a list of dicts with `class`, `label` and `probability`. The parameters are those of `write_text`.
    """
    before = "[\n"
    for name, prediction in results:
        handle.write(before + json.dumps({"image": name, "predictions": prediction.to_list()}))
        before = ",\n"
    handle.write("\n]\n" if before == ",\n" else "[]\n")


WRITERS: Dict[str, Callable[[IO[str], Results, Sequence[str], Sequence[str], int], None]] = {
    "text": write_text,
    "csv": write_csv,
    "json": write_json,
}


def open_classifier(path: str, options: ClassifierOptions, images: int) -> Classifier:
    """Return the classifier of a parameter file, or of an exported file, without MXNet, for a number of images.

    Parameters
    ----------
    path : str
    options : ClassifierOptions
        With the runtime 'auto', an engine for a few images of an ONNX file is the one that starts first.
    images : int
        0 if it is unknown.

    Raises
    ------
    InputError
        See `load_for_runtime` and `exported.open_exported`.
    """
    if is_exported(path):
        runtime = options.runtime
        if 0 < images < FEW and not is_of_torch(path):
            runtime = quickest_to_start(runtime, options.precision)
        exported = open_exported(path, options, False, runtime, options.precision, options.num_gpus)
        return Classifier(exported, options.batch_size)
    from .model_file import load_for_runtime

    model = load_for_runtime(path, options, options.runtime, options.precision, options.num_gpus, gpus=options.gpus)
    if options.runtime == "auto":
        height, width = model.image_size
        model = model.by_faster_engine(images * height * width)
    return Classifier(model, options.batch_size)


def predict_files(path: str, names: Sequence[str], options: PredictionOptions) -> int:
    """Write the predictions of image files to stdout or a file, and a line to stderr for each unreadable image.

    Parameters
    ----------
    path : str
        The parameter file, the name of packaged parameters, or an ONNX or `.safetensors` file.
    names : sequence of str
        Files, folders and "-": see `image_paths.find_images`.
    options : PredictionOptions

    Returns
    -------
    int
        Number of images that could not be read.

    Raises
    ------
    InputError
        See `load_for_runtime`, `open_exported` and `image_paths.find_images`. Also if the output cannot be written.
    """
    names = find_images(names)
    classifier = open_classifier(path, options, len(names))
    failures: List[InputError] = []

    def failed(error: InputError) -> None:
        failures.append(error)
        write_beside_bar(one_line(str(error)), sys.stderr)

    def write(handle: IO[str]) -> None:
        # On a terminal the lines themselves show the progress.
        hidden = handle.isatty() or not is_terminal(sys.stderr) or len(names) <= options.batch_size
        stream = classifier.stream(names, options.top, failed)
        if not hidden:
            stream = progress_bar(stream, total=len(names), desc="predicting", unit="image", leave=False)
        results = ((name, prediction) for name, prediction in zip(names, stream) if prediction)
        WRITERS[options.output_format or "text"](handle, results, names, classifier.classes, options.top)
        handle.flush()

    if not options.output:
        cast(io.TextIOWrapper, sys.stdout).reconfigure(errors="surrogateescape")  # file names need not be UTF-8
        write(sys.stdout)
        return len(failures)

    def write_file(temporary: str) -> None:
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as handle:
            write(handle)

    with writing(f"`output={options.output}`"):
        write_atomically(options.output, write_file)
    return len(failures)
