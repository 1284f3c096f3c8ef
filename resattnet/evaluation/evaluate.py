"""Evaluate parameter and exported files on the test images of their data set: one file, several, or an ensemble."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import numpy as np

from ..data.file_images import same_images
from ..data.geometry import PLACES
from ..data.image_set import ImageSet
from ..loaders.array_loader import ArrayLoader
from ..prediction.logits import collect_logits, mean_probabilities
from ..prediction.model_images import read_images
from ..runtimes.exported_model import ExportedModel
from ..system.errors import InputError, reason
from ..system.files import digest
from .metrics import Evaluation
from .open_network import Model, open_network
from .options import TestOptions
from .results import ModelResult, combine_results
from .robustness import image_passes, model_robustness


def evaluate_file(path: str, options: TestOptions, download: bool = True) -> ModelResult:
    """Evaluate a parameter file on all test images of its data set.

    Parameters
    ----------
    path : str
        The parameter file, the name of packaged parameters, or an ONNX or `.safetensors` file.
    options : TestOptions
    download : bool
        Whether the data set may be downloaded.

    Returns
    -------
    ModelResult

    Raises
    ------
    InputError
        See `open_network` and `model_images.read_images`.
    """
    model = open_network(path, options, download)
    return evaluate_model(model, read_images(model, "test", download), options)


def evaluate_model(model: Model, test_set: ImageSet, options: TestOptions) -> ModelResult:
    """Evaluate an open model on test images.

    Parameters
    ----------
    model : LoadedModel or ExportedModel
        As `open_network` returns it for `options`.
    test_set : ImageSet
    options : TestOptions

    Returns
    -------
    ModelResult
        With `mirrored_logits` if `options.flip`, and `robustness` if corruptions are given.
    """
    _check_size(model, test_set)
    model = _choose_engine(model, test_set, options)
    logits, labels = _logits_of(model, test_set, options)
    mirrored = _logits_of(model, test_set, options, mirror=True)[0] if options.flip else None
    if options.crops > 1:
        logits = mean_probabilities(logits, *_logits_of_crops(model, test_set, options))
    facts: Dict[str, Any] = {
        "params": model.path,
        "sha256": digest(model.file),
        "network": model.network_facts,
        "dataset": model.source["name"],
        "data_format": model.source["data_format"],
        "graph": options.graph,
        **model.computed_by,
    }
    if options.graph == "int8":
        facts["precision"] = "int8"
    if options.crops > 1:
        facts["crops"] = options.crops
    robustness = model_robustness(model, test_set, options) if options.corruption_names else None
    return ModelResult(model.path, facts, Evaluation(logits, labels), test_set, mirrored, robustness)


def _check_size(model: Model, test_set: ImageSet) -> None:
    """Raise InputError if a graph that takes one size only is tested on images of another."""
    found = model.fixed_size if isinstance(model, ExportedModel) else None
    height, width = test_set.images.shape[1:3]
    if found and found != (height, width):
        raise InputError(
            f"{model.path} was exported for {found[1]}x{found[0]} pixels, and the test images of "
            f"{model.source['name']} have {width}x{height}: export it for this size"
        )


def _choose_engine(model: Model, test_set: ImageSet, options: TestOptions) -> Model:
    """Return a model as an engine computes it, where that pays and nothing else is asked for."""
    if isinstance(model, ExportedModel) or options.runtime != "auto" or options.graph != "plain":
        return model
    height, width = test_set.images.shape[1:3]
    return model.by_faster_engine(image_passes(test_set, options) * height * width)


def _logits_of(
    model: Model, test_set: ImageSet, options: TestOptions, mirror: bool = False
) -> Tuple[np.ndarray, np.ndarray]:
    """Return the logits and the labels of all test images."""
    loader = ArrayLoader(test_set, model.transform, options.batch_size * model.parts, workers=options.workers)
    return collect_logits(model.compute, loader.epoch(0), mirror=mirror)


def _logits_of_crops(model: Model, test_set: ImageSet, options: TestOptions) -> Iterator[np.ndarray]:
    """Yield the logits of the parts of all images beside the middle one."""
    for place in PLACES:
        moved = test_set._replace(images=test_set.images.moved(place))
        for mirror in (False, True)[: options.crops // 5]:
            if place != PLACES[0] or mirror:
                yield _logits_of(model, moved, options, mirror)[0]


def evaluate_files(paths: Sequence[str], options: TestOptions) -> List[ModelResult]:
    """Evaluate parameter files and exported files on the test images of their data set.

    Parameters
    ----------
    paths : sequence of str
        See `evaluate_file`.
    options : TestOptions
        With `folder`, that folder is made before the evaluation, which takes a long time.

    Returns
    -------
    list of ModelResult
        In the order of the files. With `options.ensemble`, one more follows, for the mean of their probabilities.

    Raises
    ------
    InputError
        See `open_network`. Also if the files have different classes or test images, if an ensemble of one file is asked
        for, or if the output folder cannot be made.
    """
    if options.ensemble and len(paths) == 1:
        raise InputError(
            "`ensemble=True`: an ensemble needs several files; give `params` more than one, or leave it out"
        )
    models = [open_network(path, options) for path in paths]
    _check_same_classes(models)
    if options.folder:
        _make_folder(options.folder)
    results: List[ModelResult] = []
    while models:
        model = models.pop(0)  # its memory is free again before the next model is evaluated
        test_set = read_images(model, "test")
        if results:
            _check_same_images(results[0].name, results[0].test_set, model.path, test_set)
            test_set = results[0].test_set  # one copy of the images in memory
        results.append(evaluate_model(model, test_set, options))
    return results + [combine_results(results)] if options.ensemble else results


def _check_same_classes(models: Sequence[Model]) -> None:
    first, *others = [(model.path, model.source["name"], len(model.facts.classes)) for model in models]
    for other in others:
        if first[1:] != other[1:]:
            raise InputError(
                f"`params`: {first[0]} is of {first[1]} with {first[2]} classes, {other[0]} of {other[1]} with "
                f"{other[2]}; give files of the same data set"
            )


def _check_same_images(first_path: str, first: ImageSet, path: str, other: ImageSet) -> None:
    if not (np.array_equal(first.labels, other.labels) and same_images(first.images, other.images)):
        raise InputError(
            f"`params`: {first_path} and {path} have different test images under the same data set name; "
            "give one `data_dir`"
        )


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise InputError(f"`output={folder}` cannot be made ({reason(error)})") from error
