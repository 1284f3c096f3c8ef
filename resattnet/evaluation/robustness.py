"""Top-1 under corruptions of the test images: the measurement, and a sheet of what was measured."""

import numpy as np
from tqdm import tqdm

from ..data.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from ..reports import image_grids
from .metrics import compute_logits

SHOWN_CLASSES = 10


def robustness(logits_of, images, labels, names=tuple(CORRUPTIONS), batch_size=250, seed=0):
    """Top-1 of a classifier on images as they are and under each corruption at each strength.

    Parameters
    ----------
    logits_of : callable
        From uint8 images (N, H, W, 3) to logits (N, classes).
    images : uint8 array (N, H, W, 3)
        Left as they are.
    labels : int array (N,)
    names : sequence of str
        Keys of `corruptions.CORRUPTIONS`.
    batch_size : int
        Has no influence on what is random.
    seed : int

    Returns
    -------
    dict
        Of JSON types: `images`, how many; `clean`, their top-1; `top1`, by name that of the five strengths; `mean`,
        that of all these.
    """
    with tqdm(
        total=len(images) * (1 + len(names) * len(STRENGTHS)),
        desc="corruptions",
        unit="image",
        leave=False,
        delay=1,
        disable=None,
    ) as bar:

        def top1(change):
            hits = 0
            for first in range(0, len(images), batch_size):
                batch = change(images[first : first + batch_size], first)
                hits += int((logits_of(batch).argmax(axis=1) == labels[first : first + batch_size]).sum())
                bar.update(len(batch))
            return hits / len(images)

        clean = top1(lambda batch, first: batch)
        rows = {
            name: [top1(lambda batch, first: corrupt(batch, name, strength, seed, first)) for strength in STRENGTHS]
            for name in names
        }
    return {"images": len(images), "clean": clean, "top1": rows, "mean": float(np.mean(list(rows.values())))}


def measure_opened(trained, devices, test_set, options):
    """`robustness` of what `trained.open_parameters` gave on the test images of its data set.

    Of the options (evaluation.options.TestOptions) `corruption_names`, `corruption_images` and `batch_size` count.
    """

    def logits_of(images):
        batch = trained.transform(images, np.zeros(len(images), np.int32))
        return compute_logits(trained.net, [batch], devices)[0]

    count = options.corruption_images
    return robustness(
        logits_of,
        test_set.images[:count],
        test_set.labels[:count],
        options.corruption_names,
        options.batch_size * len(devices),
    )


def sheet(test_set, names=tuple(CORRUPTIONS), seed=0):
    """A test image of each class, clean and under corruptions, as a matplotlib Figure.

    Parameters
    ----------
    test_set : datasets.ImageSet
        The first image of each class is shown, as `robustness` has it; of more than `SHOWN_CLASSES` classes that
        many, evenly spread.
    names : sequence of str
        Keys of `corruptions.CORRUPTIONS`.
    seed : int
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
    figure.set_dpi(min(2.5 * max(test_set.images.shape[1:3]), 400))  # that of larger images shows their pixels
    return figure
