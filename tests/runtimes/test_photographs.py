"""Test that 200 photographs of all shapes and modes get the same classes from every runtime."""

import functools
import os
from typing import Callable, Dict, List, NamedTuple

import numpy as np
import pytest
from PIL import Image

from helpers.onnx_program import answers_of_program
from resattnet.prediction.classifier import Classifier
from resattnet.runtimes.engines import ENGINES

PARAMS = "cifar10_attention56_thin"
SHAPES = [(1, 1), (2, 300), (300, 2), (32, 32), (33, 31), (40, 60), (60, 40), (97, 1), (200, 31), (64, 400)]  # w, h
KINDS = ["RGB", "L", "RGBA", "LA", "P", "P clear", "1", "I;16", "CMYK", "CMYK jpeg", "RGB jpeg", "L webp", "RGB webp"]
COUNT = 200


def by_classifier(path, files, **options):
    """Return the probability of each class for each file, by class."""
    found = Classifier.load(path, batch_size=50, **options).predict(files, top=10)
    return [dict(zip(answer.classes, answer.probabilities)) for answer in found]


def by_engine(name, request, files):
    pytest.importorskip(name, reason=f"python -m pip install {name}")
    return by_classifier(request.getfixturevalue("exported"), files, runtime=name)


def by_torch(request, files):
    return by_classifier(request.getfixturevalue("for_torch"), files, num_gpus=0)


def by_program(request, files):
    """The stand-alone program of docs/export.md prints the most probable classes only."""
    exported = request.getfixturevalue("exported")
    folder = os.path.dirname(exported)
    return [{name: percent / 100} for percent, name in answers_of_program(folder, exported, files)]


class Runtime(NamedTuple):
    """A row of `RUNTIMES`.

    Attributes
    ----------
    answer : callable
        From pytest's request, for the fixtures, and the image files to a dict for each file: the probability of some
        classes by name.
    every : int
        Take every N-th photograph, where one takes long.
    """

    answer: Callable[[pytest.FixtureRequest, List[str]], List[Dict[str, float]]]
    every: int = 1


RUNTIMES = {
    **{name: Runtime(functools.partial(by_engine, name)) for name in sorted(ENGINES)},
    "torch": Runtime(by_torch),
    "predict_onnx.py": Runtime(by_program, every=9),
}


def save(path, kind, image, orientation):
    """Save an image as a kind of file, with an EXIF orientation where the kind has one; return the path."""
    mode, _, ending = kind.partition(" ")
    extra = {}
    exif = Image.Exif()
    exif[0x0112] = orientation
    if mode == "I;16":
        grey = np.asarray(image.convert("L")).astype(np.uint16)
        image = Image.fromarray(grey * 257 - grey % 3)
    elif mode in ("RGBA", "LA"):
        image = image.convert(mode)
        image.putalpha(image.getchannel(0))
    elif ending == "clear":
        image = image.convert("P")
        extra["transparency"] = 3
    else:
        image = image.convert(mode)
    if mode == "1" or ending == "clear":
        orientation = 1  # Pillow turns these as well; that is tested in data
    if orientation != 1:
        extra["exif"] = exif
    if ending == "webp":
        extra["lossless"] = True
    name = f"{path}.{'tif' if kind == 'CMYK' else {'': 'png', 'clear': 'png', 'jpeg': 'jpg', 'webp': 'webp'}[ending]}"
    image.save(name, **extra)
    return name


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Return the files; the images are smooth, so that a wrong crop or orientation changes the answer."""
    folder, rng, files = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0), []
    for number in range(COUNT):
        patches = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        image = Image.fromarray(patches).resize(SHAPES[number % len(SHAPES)], Image.BICUBIC)
        files.append(save(str(folder / f"{number:03d}"), KINDS[number % len(KINDS)], image, 1 + number % 8))
    return files


@pytest.fixture(scope="module")
def expected(photographs):
    return by_classifier(PARAMS, photographs, num_gpus=0)


@pytest.mark.parametrize("runtime", sorted(RUNTIMES))
def test_photographs_get_the_classes_that_mxnet_names(runtime, request, photographs, expected):
    files, wanted = photographs[:: RUNTIMES[runtime].every], expected[:: RUNTIMES[runtime].every]
    found = RUNTIMES[runtime].answer(request, files)
    assert len(found) == len(wanted)
    decided = 0
    for file, mine, theirs in zip(files, found, wanted):
        first, second = sorted(theirs.values(), reverse=True)[:2]
        if first - second > 1e-3:  # of two classes as probable as each other, rounding names either
            assert max(mine, key=mine.get) == max(theirs, key=theirs.get), file
            decided += 1
        for name, probability in mine.items():
            assert probability == pytest.approx(theirs[name], abs=3e-4), file
    assert decided >= len(files) - 4
    assert len(expected) == COUNT and len({max(answer, key=answer.get) for answer in expected}) > 4
