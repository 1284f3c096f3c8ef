"""Parameter files on the test images: what each does there, how they compare, and what they do together.

`assess_files` measures, `outcome` makes plain data of it and `write` files; `assessment_tables` has it as text.
"""

import os
from typing import Any, NamedTuple

import numpy as np

from ..data.datasets import ImageSet
from ..models import pretrained
from ..reports import evaluation_figures, figure_style, image_grids
from ..system.errors import InputError
from ..system.files import digest, write_json, writing
from . import metrics
from .metrics import mean_probabilities
from .model_file import open_model, predict_test_set
from .robustness import measure_opened, sheet

HARDEST = 24


class Assessment(NamedTuple):
    """What a network, or several together, does on a test set.

    Attributes
    ----------
    name : str
        The parameter file, or how many are together.
    facts : dict
        Of JSON types: what was measured, on what and how.
    logits : array (N, classes)
    test_set : datasets.ImageSet
    evaluation : evaluation.Evaluation
    samples : evaluation.Samples
    reliability : evaluation.Reliability
    mirrored : Assessment or None
        Of the mean of the probabilities of each image and its mirror image, where that was asked for.
    robustness : dict or None
        What `robustness.robustness` gives, where that was asked for.
    """

    name: str
    facts: dict
    logits: np.ndarray
    test_set: ImageSet
    evaluation: metrics.Evaluation
    samples: metrics.Samples
    reliability: metrics.Reliability
    mirrored: Any = None
    robustness: Any = None

    @property
    def right(self):
        """Which samples are, bool array (N,)."""
        return self.samples.predicted == self.test_set.labels


def assess(name, facts, logits, test_set, mirrored=None):
    """`Assessment` of logits (N, classes), and of those of the mirrored images, if given."""
    samples = metrics.measure_samples(logits, test_set.labels)
    return Assessment(
        name,
        facts,
        logits,
        test_set,
        metrics.evaluate_logits(logits, test_set.labels),
        samples,
        metrics.reliability(samples.probability, samples.predicted == test_set.labels),
        None if mirrored is None else assess(name, facts, mean_probabilities(logits, mirrored), test_set),
    )


def assess_files(paths, options):
    """Measure parameter files on the test images of their data set.

    Parameters
    ----------
    paths : list of str
    options : evaluation.options.TestOptions

    Returns
    -------
    list of Assessment
        In the order of the files; with `options.ensemble` one more, of the mean of their probabilities.

    Raises
    ------
    InputError
        As `trained.predict_parameters`; if they are not of the same images and classes; if the one file there is
        should be an ensemble; or if the folder of the output cannot be made.
    """
    if options.ensemble and len(paths) == 1:
        raise InputError("--ensemble 1: it takes several files; give --params more of them, or leave it out")
    opened = [open_model(path, options) for path in paths]
    _check_same_classes(paths, [network for network, _ in opened])
    if options.folder:
        _make(options.folder)  # before what takes long
    facts, predictions, robust = [], [], []
    for path in paths:
        network, devices = opened.pop(0)  # with it, the memory that measuring takes is free for the next
        facts.append(
            dict(
                params=path,
                sha256=digest(pretrained.resolve_path(path)),
                network=network.network.to_dict(),
                dataset=network.source["name"],
                data_format=network.source["data_format"],
                graph=options.graph,
            )
        )
        predictions.append(predict_test_set(network, devices, options))
        _check_same_images(paths[0], predictions[0].test_set, path, predictions[-1].test_set)
        predictions[-1] = predictions[-1]._replace(test_set=predictions[0].test_set)  # one copy of the images
        robust.append(
            measure_opened(network, devices, predictions[0].test_set, options) if options.corruption_names else None
        )
    found = [
        assess(path, *parts)._replace(robustness=measured)
        for path, measured, *parts in zip(paths, robust, facts, *zip(*predictions))
    ]
    return found + ([_together(facts, predictions)] if options.ensemble else [])


def _check_same_classes(paths, networks):
    first = networks[0]
    for path, other in zip(paths, networks):
        kinds = [(network.source["name"], network.network.classes) for network in (first, other)]
        if kinds[0] != kinds[1]:
            raise InputError(
                "--params: %s is of %s with %d classes, %s of %s with %d; give files of the same"
                % ((paths[0],) + kinds[0] + (path,) + kinds[1])
            )


def _check_same_images(first_path, first, path, other):
    if not (np.array_equal(first.labels, other.labels) and np.array_equal(first.images, other.images)):
        raise InputError(
            f"--params: {first_path} and {path} have other test images under the same name; give one --data-dir"
        )


def _together(facts, predictions):
    """`Assessment` of the mean of the probabilities of several predictions."""
    common = dict(facts[0], **{key: [each[key] for each in facts] for key in ("params", "sha256", "network")})
    logits, _, mirrored = zip(*predictions)
    logits, mirrored = (mean_probabilities(*parts) if parts[0] is not None else None for parts in (logits, mirrored))
    return assess(f"ensemble of {len(facts)}", common, logits, predictions[0].test_set, mirrored)


# ---- as plain data ----


def class_rows(found):
    """A dict for each class: name, images, precision, recall, F1 and what it is most often taken for, or None."""
    from sklearn.metrics import precision_recall_fscore_support  # here, since it is slow to import

    classes, taken = found.test_set.classes, {}
    for true, predicted, count in metrics.mistakes(found.evaluation.confusion, found.evaluation.confusion.size):
        taken.setdefault(true, {"label": predicted, "class": classes[predicted], "images": count})
    columns = precision_recall_fscore_support(
        found.test_set.labels, found.samples.predicted, labels=list(range(len(classes))), zero_division=0
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


def _number(value):
    """A float for JSON, which has no NaN or infinity: None instead."""
    return float(value) if np.isfinite(value) else None


def _headline(found):
    measured = found.evaluation
    return {
        "top1": measured.top1,
        "top5": measured.top5,
        "loss": _number(measured.loss),
        "ece": _number(found.reliability.error),
    }


def as_json(found, hardest=None):
    """An `Assessment` as a dict of JSON types.

    `params`, `sha256` and `network` of an ensemble are lists; `taken_for` of a class that never is and `mirrored` and
    `robustness`, where they were not asked for, are None; so are `confidence` and `accuracy` of a bin without images.
    """
    labels, bins = found.test_set.labels, len(found.reliability.counts)
    return dict(
        found.facts,
        samples=found.evaluation.samples,
        **_headline(found),
        mirrored=found.mirrored and _headline(found.mirrored),
        robustness=found.robustness,
        classes=class_rows(found),
        confusion=found.evaluation.confusion.tolist(),
        reliability=[
            {
                "low": place / bins,
                "high": (place + 1) / bins,
                "images": int(count),
                "confidence": _number(confidence),
                "accuracy": _number(accuracy),
            }
            for place, (count, confidence, accuracy) in enumerate(zip(*found.reliability))
        ],
        hardest=[
            {
                "index": image.index,
                "label": int(labels[image.index]),
                "predicted": int(found.samples.predicted[image.index]),
                "probability": _number(image.probability),
                "loss": _number(image.loss),
            }
            for image in metrics.hardest_images(found.logits, found.test_set, hardest or HARDEST)
        ],
    )


def compare_results(assessments):
    """`evaluation.Paired` of the first with each of the others."""
    return [metrics.compare_paired(assessments[0].right, other.right) for other in assessments[1:]]


def outcome(assessments, hardest=None):
    """`as_json` of a single file; of several, a dict with these and how they compare."""
    if not assessments[1:]:
        return as_json(assessments[0], hardest)
    return {
        "evaluations": [as_json(found, hardest) for found in assessments],
        "comparisons": [
            {
                "first": assessments[0].facts["params"],
                "second": other.facts["params"],
                "only_first": paired.only_first,
                "only_second": paired.only_second,
                "p": paired.p,
            }
            for other, paired in zip(assessments[1:], compare_results(assessments))
        ],
    }


# ---- as files ----


def write(assessments, folder, hardest=None):
    """Write what was measured, and its figures, into a folder; of several files into a folder in it for each.

    Parameters
    ----------
    assessments : list of Assessment
    folder : str
        Made if it is not there.
    hardest : int, optional
        How many of the hardest images; default: `HARDEST`.

    Returns
    -------
    list of str
        The files, in that folder.

    Raises
    ------
    InputError
        If they cannot be written.
    """
    several = len(assessments) > 1
    written = []
    with writing(f"--output {folder}"):
        for number, found in enumerate(assessments, 1):
            part = _part(number, found) if several else ""
            _make(os.path.join(folder, part))
            write_json(os.path.join(folder, part, "evaluation.json"), as_json(found, hardest))
            written.append(os.path.join(part, "evaluation.json"))
            for name, figure in _figures(found, hardest):
                figure_style.save(figure, os.path.join(folder, part, name))
                written.append(os.path.join(part, name))
        if several:
            write_json(os.path.join(folder, "comparison.json"), outcome(assessments, hardest))
            written.append("comparison.json")
    return written


def _make(folder):
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output {folder} cannot be made ({error.strerror})") from error


def _part(number, found):
    """The folder of one of several: its number makes it unlike any other, whatever the files are called."""
    if isinstance(found.facts["params"], list):
        return "ensemble"
    folder, name = os.path.split(os.path.abspath(pretrained.resolve_path(found.facts["params"])))
    return f"{number}_{os.path.basename(folder)}_{os.path.splitext(name)[0]}"


def _figures(found, hardest):
    """Names and figures of an assessment."""
    classes = found.test_set.classes
    images = metrics.hardest_images(found.logits, found.test_set, hardest or HARDEST)
    yield "confusion.png", evaluation_figures.confusion_matrix(found.evaluation.confusion, classes)
    yield (
        "hardest.png",
        image_grids.image_sheet(
            [image.image for image in images],
            [f"true: {image.true}\npredicted: {image.predicted} {image.probability:.2f}" for image in images],
        ),
    )
    yield "reliability.png", evaluation_figures.reliability_diagram(found.reliability)
    if found.robustness:
        count = found.robustness["images"]
        measured = found.test_set._replace(images=found.test_set.images[:count], labels=found.test_set.labels[:count])
        yield "corruptions.png", sheet(measured, tuple(found.robustness["top1"]))
