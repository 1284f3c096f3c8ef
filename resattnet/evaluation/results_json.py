"""Convert evaluation results to JSON types."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from .metrics import Evaluation, Reliability
from .results import ModelResult, compare_with_first

HARDEST = 24  # default number of the hardest images


def result_to_json(result: ModelResult, hardest: Optional[int] = None, hardest_of: str = "mistakes") -> Dict[str, Any]:
    """Return a result as a dict of JSON types.

    `params`, `sha256` and `network` of an ensemble are lists. `mirrored` and `robustness` are None where they were not
    asked for. So are `taken_for` of a class without mistakes, the figures of a class where they are not defined (see
    `ModelResult.class_scores`), and `confidence` and `accuracy` of an empty bin.

    Parameters
    ----------
    result : ModelResult
    hardest : int, optional
        Largest number of the hardest images to list. Default: `HARDEST`.
    hardest_of : {'mistakes', 'all'}
        Whether only images that are classified wrongly are listed.
    """
    evaluation = result.evaluation
    return dict(
        result.facts,
        samples=evaluation.samples,
        **_figures(evaluation),
        mirrored=_figures(result.mirrored) if result.mirrored else None,
        robustness=result.robustness,
        classes=result.class_scores,
        macro=result.macro,
        confusion=evaluation.confusion.tolist(),
        reliability=_bins(evaluation.reliability),
        hardest=[
            {
                "index": int(index),
                "label": int(evaluation.labels[index]),
                "predicted": int(evaluation.predicted[index]),
                "right": bool(evaluation.right[index]),
                "probability": _finite(evaluation.probability[index]),
                "loss": _finite(evaluation.losses[index]),
            }
            for index in evaluation.hardest(hardest or HARDEST, hardest_of)
        ],
    )


def results_to_json(
    results: Sequence[ModelResult], hardest: Optional[int] = None, hardest_of: str = "mistakes"
) -> Dict[str, Any]:
    """Return the document of `result_to_json` for one result; for several, these documents and their comparisons.

    Parameters
    ----------
    results : sequence of ModelResult
    hardest, hardest_of
        See `result_to_json`.

    Returns
    -------
    dict
        For several results: `evaluations`, a list of the documents, and `comparisons`, a list with a dict for each
        result but the first.
    """
    documents = [result_to_json(result, hardest, hardest_of) for result in results]
    if len(results) == 1:
        return documents[0]
    return {
        "evaluations": documents,
        "comparisons": [
            {
                "first": results[0].facts["params"],
                "second": other.facts["params"],
                "only_first": paired.only_first,
                "only_second": paired.only_second,
                "p": paired.p,
            }
            for other, paired in zip(results[1:], compare_with_first(results))
        ],
    }


def _figures(evaluation: Evaluation) -> Dict[str, Optional[float]]:
    return {
        "top1": evaluation.top1,
        "top5": evaluation.top5,
        "loss": _finite(evaluation.loss),
        "ece": _finite(evaluation.reliability.error),
    }


def _bins(reliability: Reliability) -> List[Dict[str, Any]]:
    bins = len(reliability.counts)
    return [
        {
            "low": index / bins,
            "high": (index + 1) / bins,
            "images": int(count),
            "confidence": _finite(confidence),
            "accuracy": _finite(accuracy),
        }
        for index, (count, confidence, accuracy) in enumerate(zip(*reliability))
    ]


def _finite(value: float) -> Optional[float]:
    """Return a float, or None in place of NaN and infinities, which JSON does not have."""
    return float(value) if np.isfinite(value) else None
