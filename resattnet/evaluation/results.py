"""Evaluate parameter files on the test images of their data set, one by one, against each other and together."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from ..data.datasets import ImageSet
from ..data.loaders import ArrayLoader
from ..models import pretrained
from ..system.errors import InputError, reason
from ..system.files import digest
from .inference import compute_logits
from .metrics import Evaluation, PairedComparison, compare_paired, mean_probabilities
from .model_file import LoadedModel, open_model
from .options import TestOptions
from .robustness import model_robustness


@dataclass(frozen=True, eq=False)
class HardImage:
    """A test image that a model finds hard.

    Attributes
    ----------
    index : int
        Place in the test set, from 0.
    image : uint8 array (H, W, 3)
    true, predicted : str
        Names of the classes.
    probability : float
        Probability of the predicted class.
    loss : float
        Cross-entropy in nats.
    """

    index: int
    image: np.ndarray
    true: str
    predicted: str
    probability: float
    loss: float


@dataclass(frozen=True, eq=False)
class ModelResult:
    """Result of a parameter file, or of an ensemble of them, on a test set.

    Parameters
    ----------
    name : str
        The parameter file, or "ensemble of N".
    facts : dict
        JSON types: the parameter files, their SHA-256, the networks, the data set and how it was computed.
    evaluation : Evaluation
    test_set : ImageSet
    mirrored_logits : float array (N, classes), optional
        Logits of the images mirrored left to right.
    robustness : dict, optional
        Result of `robustness.measure_robustness`.
    """

    name: str
    facts: Dict[str, Any]
    evaluation: Evaluation
    test_set: ImageSet
    mirrored_logits: Optional[np.ndarray] = None
    robustness: Optional[Dict[str, Any]] = None

    @property
    def classes(self) -> Tuple[str, ...]:
        """Names of the classes."""
        return self.test_set.classes

    @cached_property
    def mirrored(self) -> Optional[Evaluation]:
        """Evaluation of the mean of the probabilities of each image and its mirror image; None if not computed."""
        if self.mirrored_logits is None:
            return None
        return Evaluation(mean_probabilities(self.evaluation.logits, self.mirrored_logits), self.evaluation.labels)

    @cached_property
    def class_scores(self) -> List[Dict[str, Any]]:
        """For each class a dict of JSON types: `name`, `images`, `precision`, `recall`, `f1` and `taken_for`.

        `taken_for` describes the class that images of this class are most often mistaken for: `label`, `class` and
        `images`. It is None for a class without mistakes.
        """
        from sklearn.metrics import precision_recall_fscore_support  # here because it is slow to import

        evaluation, classes = self.evaluation, self.classes
        taken: Dict[int, Dict[str, Any]] = {}
        for true, predicted, count in evaluation.mistakes(evaluation.confusion.size):
            taken.setdefault(true, {"label": predicted, "class": classes[predicted], "images": count})
        columns = precision_recall_fscore_support(
            evaluation.labels, evaluation.predicted, labels=list(range(len(classes))), zero_division=0
        )
        return [
            {
                "name": name,
                "images": int(images),
                "precision": float(precision),
                "recall": float(recall),
                "f1": float(f1),
                "taken_for": taken.get(label),
            }
            for label, (name, precision, recall, f1, images) in enumerate(zip(classes, *columns))
        ]

    def hardest_images(self, count: int) -> List[HardImage]:
        """Return up to `count` test images by falling loss."""
        evaluation, classes = self.evaluation, self.classes
        return [
            HardImage(
                int(index),
                self.test_set.images[index],
                classes[evaluation.labels[index]],
                classes[evaluation.predicted[index]],
                float(evaluation.probability[index]),
                float(evaluation.losses[index]),
            )
            for index in evaluation.hardest(count)
        ]


def evaluate_file(path: str, options: TestOptions, download: bool = True) -> ModelResult:
    """Evaluate a parameter file on all test images of its data set.

    Parameters
    ----------
    path : str
        The parameter file, or the name of packaged parameters.
    options : TestOptions
    download : bool
        Whether the data set may be downloaded.

    Returns
    -------
    ModelResult

    Raises
    ------
    InputError
        See `open_model` and `LoadedModel.images`.
    """
    model = open_model(path, options, download)
    return evaluate_model(model, model.images("test", download), options)


def evaluate_model(model: LoadedModel, test_set: ImageSet, options: TestOptions) -> ModelResult:
    """Evaluate an open model on test images.

    Parameters
    ----------
    model : LoadedModel
        As `open_model` returns it for `options`.
    test_set : ImageSet
    options : TestOptions

    Returns
    -------
    ModelResult
        With `mirrored_logits` if `options.flip`, and `robustness` if corruptions are given.
    """
    loader = ArrayLoader(test_set, model.transform, options.batch_size * len(model.devices), workers=options.workers)
    logits, labels = compute_logits(model.net, loader.epoch(0), model.devices)
    mirrored = compute_logits(model.net, loader.epoch(0), model.devices, mirror=True)[0] if options.flip else None
    facts = {
        "params": model.path,
        "sha256": digest(pretrained.resolve_path(model.path)),
        "network": model.network.to_dict(),
        "dataset": model.source["name"],
        "data_format": model.source["data_format"],
        "graph": options.graph,
    }
    robustness = model_robustness(model, test_set, options) if options.corruption_names else None
    return ModelResult(model.path, facts, Evaluation(logits, labels), test_set, mirrored, robustness)


def evaluate_files(paths: Sequence[str], options: TestOptions) -> List[ModelResult]:
    """Evaluate parameter files on the test images of their data set.

    Parameters
    ----------
    paths : sequence of str
    options : TestOptions
        With `folder`, that folder is made before the evaluation, which takes a long time.

    Returns
    -------
    list of ModelResult
        In the order of the files. With `options.ensemble`, one more follows, for the mean of their probabilities.

    Raises
    ------
    InputError
        See `open_model`. Also if the files have different classes or test images, if an ensemble of one file is asked
        for, or if the output folder cannot be made.
    """
    if options.ensemble and len(paths) == 1:
        raise InputError("`ensemble=True`: it takes several files; give `params` more of them, or leave it out")
    models = [open_model(path, options) for path in paths]
    _check_same_classes(models)
    if options.folder:
        _make_folder(options.folder)
    results: List[ModelResult] = []
    while models:
        model = models.pop(0)  # its memory is free again before the next model is evaluated
        test_set = model.images("test")
        if results:
            _check_same_images(results[0].name, results[0].test_set, model.path, test_set)
            test_set = results[0].test_set  # one copy of the images in memory
        results.append(evaluate_model(model, test_set, options))
    return results + [combine_results(results)] if options.ensemble else results


def _check_same_classes(models: Sequence[LoadedModel]) -> None:
    first, *others = [(model.path, model.source["name"], model.network.classes) for model in models]
    for other in others:
        if first[1:] != other[1:]:
            raise InputError(
                f"`params`: {first[0]} is of {first[1]} with {first[2]} classes, {other[0]} of {other[1]} with "
                f"{other[2]}; give files of the same data set"
            )


def _check_same_images(first_path: str, first: ImageSet, path: str, other: ImageSet) -> None:
    if not (np.array_equal(first.labels, other.labels) and np.array_equal(first.images, other.images)):
        raise InputError(
            f"`params`: {first_path} and {path} have other test images under the same name; give one `data_dir`"
        )


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise InputError(f"`output={folder}` cannot be made ({reason(error)})") from error


def combine_results(results: Sequence[ModelResult]) -> ModelResult:
    """Return the result of an ensemble: that of the mean of the probabilities of several models.

    Parameters
    ----------
    results : sequence of ModelResult
        On the same test set, all with or all without `mirrored_logits`.
    """
    first, facts = results[0], dict(results[0].facts)
    for key in ("params", "sha256", "network"):
        facts[key] = [result.facts[key] for result in results]
    logits = mean_probabilities(*[result.evaluation.logits for result in results])
    mirrored = [result.mirrored_logits for result in results if result.mirrored_logits is not None]
    return ModelResult(
        f"ensemble of {len(results)}",
        facts,
        Evaluation(logits, first.evaluation.labels),
        first.test_set,
        mean_probabilities(*mirrored) if mirrored else None,
    )


def compare_with_first(results: Sequence[ModelResult]) -> List[PairedComparison]:
    """Compare the first result with each of the others, image by image."""
    return [compare_paired(results[0].evaluation.right, other.evaluation.right) for other in results[1:]]
