"""Results of parameter files on a test set: of one file, of an ensemble, and paired comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from ..data.image_set import ImageSet
from ..prediction.logits import mean_probabilities
from .metrics import Evaluation, PairedComparison, compare_paired

SCORES = ("precision", "recall", "f1")  # figures of a class


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

    @property
    def right(self) -> bool:
        """Whether the predicted class is the true one."""
        return self.true == self.predicted


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

        What is not defined is None: recall and F1 of a class without images, and precision of a class that is never
        predicted.
        `taken_for` describes the class that images of this class are most often mistaken for: `label`, `class` and
        `images`. It is None for a class without mistakes.
        """
        from sklearn.metrics import precision_recall_fscore_support  # here because it is slow to import

        evaluation, classes = self.evaluation, self.classes
        taken: Dict[int, Dict[str, Any]] = {}
        for true, other, count in evaluation.mistakes(evaluation.confusion.size):
            taken.setdefault(true, {"label": other, "class": classes[other], "images": count})
        predicted = evaluation.confusion.sum(axis=0)
        columns = precision_recall_fscore_support(
            evaluation.labels, evaluation.predicted, labels=list(range(len(classes))), zero_division=0
        )
        return [
            {
                "name": name,
                "images": int(images),
                "precision": float(precision) if predicted[label] else None,
                "recall": float(recall) if images else None,
                "f1": float(f1) if images else None,
                "taken_for": taken.get(label),
            }
            for label, (name, precision, recall, f1, images) in enumerate(zip(classes, *columns))
        ]

    @property
    def macro(self) -> Dict[str, Any]:
        """Means over the classes, of JSON types: `precision`, `recall`, `f1`, `without_images` and `never_predicted`.

        A class for which a figure is not defined is left out of its mean. The last two list the names of such classes.
        A mean over no class is None.
        """
        scores = self.class_scores
        found: Dict[str, Any] = {}
        for figure in SCORES:
            values = [row[figure] for row in scores if row[figure] is not None]
            found[figure] = sum(values) / len(values) if values else None
        found["without_images"] = [row["name"] for row in scores if row["recall"] is None]
        found["never_predicted"] = [row["name"] for row in scores if row["precision"] is None]
        return found

    def hardest_images(self, count: int, of: str = "mistakes") -> List[HardImage]:
        """Return up to `count` test images by falling loss; `of` as for `Evaluation.hardest`."""
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
            for index in evaluation.hardest(count, of)
        ]


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
