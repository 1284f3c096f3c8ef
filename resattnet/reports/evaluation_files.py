"""Write evaluation results into a folder: the figures and the JSON."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from ..data.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from ..data.image_set import ImageSet
from ..evaluation.results import HardImage, ModelResult
from ..evaluation.results_json import HARDEST
from ..system.files import write_json, writing
from ..zoo import packaged
from . import evaluation_figures, figure_style, image_grids
from .figure_style import RIGHT, WRONG

SHOWN_CLASSES = 10  # largest number of rows of a corruption sheet


def write_results(
    results: Sequence[ModelResult],
    document: Dict[str, Any],
    folder: str,
    hardest: Optional[int] = None,
    hardest_of: str = "mistakes",
) -> List[str]:
    """Write results and their figures into a folder; several results each into a folder of their own within it.

    Parameters
    ----------
    results : sequence of ModelResult
    document : dict
        As `results_json.results_to_json` returns it for the results.
    folder : str
        Made if it does not exist.
    hardest : int, optional
        Largest number of the hardest images to show. Default: `results_json.HARDEST`.
    hardest_of : {'mistakes', 'all'}
        Whether only images that are classified wrongly are shown.

    Returns
    -------
    list of str
        Paths of the files within the folder.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    several = len(results) > 1
    written: List[str] = []
    with writing(f"`output={folder}`"):
        for number, result in enumerate(results, 1):
            part = _part_name(number, result) if several else ""
            os.makedirs(os.path.join(folder, part), exist_ok=True)
            name = os.path.join(part, "evaluation.json")
            write_json(os.path.join(folder, name), document["evaluations"][number - 1] if several else document)
            written.append(name)
            for figure_name, figure in _figures(result, hardest or HARDEST, hardest_of):
                name = os.path.join(part, figure_name)
                figure_style.save(figure, os.path.join(folder, name))
                written.append(name)
        if several:
            write_json(os.path.join(folder, "comparison.json"), document)
            written.append("comparison.json")
    return written


def _part_name(number: int, result: ModelResult) -> str:
    """Return the name of the folder of one of several results; the number makes it unique."""
    params = result.facts["params"]
    if isinstance(params, list):
        return "ensemble"
    folder, name = os.path.split(os.path.abspath(packaged.resolve_path(params)))
    return f"{number}_{os.path.basename(folder)}_{os.path.splitext(name)[0]}"


def _figures(result: ModelResult, hardest: int, hardest_of: str) -> Iterator[Tuple[str, Any]]:
    """Yield file names and figures of a result."""
    evaluation, subject = result.evaluation, _subject(result)
    title = f"Confusion matrix of {subject}\ntop-1 accuracy {evaluation.top1:.4f}"
    yield "confusion.png", evaluation_figures.confusion_matrix(evaluation.confusion, result.classes, title)
    yield "hardest.png", _hardest_sheet(result.hardest_images(hardest, hardest_of), hardest_of, subject)
    yield "reliability.png", evaluation_figures.reliability_diagram(evaluation.reliability, subject)
    if result.robustness:
        count, test_set = result.robustness["images"], result.test_set
        measured = test_set._replace(labels=test_set.labels[:count])  # no image beside those that are shown is read
        figure = corruption_sheet(measured, tuple(result.robustness["top1"]))
        title = f"Corrupted test images of {result.facts['dataset']}, at strengths 1 to 5"
        figure.suptitle(title, fontsize=9, parse_math=False)
        yield "corruptions.png", figure


def _subject(result: ModelResult) -> str:
    """Return what the title of a figure says of its result: the parameters, and what they were measured on."""
    name = result.name
    if not isinstance(result.facts["params"], list):
        folder, file = os.path.split(name)
        name = os.path.join(os.path.basename(folder), file)
    return f"{name}\non {result.evaluation.samples} test images of {result.facts['dataset']}"


def _hardest_sheet(images: Sequence[HardImage], which: str, subject: str) -> Any:
    """Draw the hardest images with their true and predicted classes, marked as right or wrong."""
    kind = "mistakes" if which == "mistakes" else "images"
    title = f"The {len(images)} {kind} with the highest loss of {subject}\nwith the probability of the predicted class"
    if not images:
        title = f"No mistakes of {subject}"
    captions = [
        f"true: {image.true}\npredicted: {image.predicted} {image.probability:.2f}\n"
        + ("right" if image.right else "wrong")
        for image in images
    ]
    return image_grids.image_sheet(
        [image.image for image in images], captions, title, [RIGHT if image.right else WRONG for image in images]
    )


def corruption_sheet(test_set: ImageSet, names: Sequence[str] = tuple(CORRUPTIONS), seed: int = 0) -> Any:
    """Draw a test image of each class, clean and under corruptions at each strength.

    Parameters
    ----------
    test_set : ImageSet
        The first image of each class is shown, corrupted as `measure_robustness` corrupts it. If there are more than
        `SHOWN_CLASSES` classes, that many are shown, spread evenly.
    names : sequence of str
        Keys of `corruptions.CORRUPTIONS`.
    seed : int

    Returns
    -------
    matplotlib.figure.Figure
    """
    present, firsts = np.unique(test_set.labels, return_index=True)
    shown = np.unique(np.linspace(0, len(present) - 1, SHOWN_CLASSES).round().astype(int))
    panels = []
    for name in names:
        stages = [
            [test_set.images[row]]
            + [corrupt(test_set.images[row : row + 1], name, strength, seed, row)[0] for strength in STRENGTHS]
            for row in firsts[shown].tolist()
        ]
        corruption = CORRUPTIONS[name]
        title = f"{name}: {corruption.meaning} {', '.join(f'{amount:g}' for amount in corruption.amounts)}"
        panels.append((title, np.array(stages)))
    columns = ("clean",) + tuple(map(str, STRENGTHS))
    figure = image_grids.mosaics(panels, columns, [test_set.classes[label] for label in present[shown]])
    figure.set_dpi(min(2.5 * max(test_set.images.shape[1:3]), 400))  # high enough to show the pixels of larger images
    return figure
