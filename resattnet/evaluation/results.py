"""Results of parameter files on a test set: of one file, of an ensemble, and paired comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from ..data.datasets import ImageSet
from .metrics import Evaluation, PairedComparison, compare_paired, mean_probabilities


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
