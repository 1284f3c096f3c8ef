"""Tests for data set facts and fingerprints."""

import dataclasses
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from resattnet.data.facts import DataFacts
from resattnet.data.image_set import ImageSet, fingerprint
from resattnet.datasets import catalog
from resattnet.system.errors import InputError


@pytest.fixture
def image_set():
    rng = np.random.default_rng(0)
    return ImageSet(rng.integers(0, 256, (9, 6, 5, 3), np.uint8), np.arange(9, dtype=np.int32) % 3, ("a", "b", "c"))


@pytest.mark.parametrize("name", catalog.DATASETS)
def test_facts_survive_json(name, image_set):
    facts = catalog.describe_data(name)
    for one in (facts, facts.complete(image_set), dataclasses.replace(facts, image_size=None)):
        assert DataFacts.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_a_training_split_completes_the_facts(image_set):
    facts = catalog.describe_data("digits")
    assert facts.fingerprint is None and facts.image_size == (32, 32)
    complete = facts.complete(image_set)
    assert complete.image_size == (6, 5) and complete.fingerprint == fingerprint(image_set)
    assert dataclasses.replace(complete, image_size=(32, 32), fingerprint=None) == facts


def test_older_files_may_lack_facts_and_newer_ones_have_more():
    facts = DataFacts.from_dict({"classes": ["cat", "dog"], "mean": [0.5] * 3, "std": [0.25] * 3, "depth": {"new": 1}})
    assert facts == DataFacts("", ("cat", "dog"), {}, (0.5,) * 3, (0.25,) * 3, False, None, None)


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"mean": None}, "a data fact is invalid (TypeError: "),
        ({"mean": [0.5]}, "a data fact is invalid (ValueError: "),
        ({"std": [1, 1, 0]}, "a data fact is invalid (ValueError: std is not above 0)"),
        ({"classes": []}, "a data fact is invalid (ValueError: classes is not a list of names)"),
        ({"classes": "cat"}, "a data fact is invalid (ValueError: classes is not a list of names)"),
        ({"samples": 5}, "a data fact is invalid (AttributeError: "),
        ({"image_size": [32]}, "a data fact is invalid (ValueError: "),
        ({"image_size": [0, 32]}, "a data fact is invalid (ValueError: image_size 0x32)"),
    ],
)
def test_invalid_facts_are_refused(changes, line):
    with pytest.raises(InputError) as caught:
        DataFacts.from_dict(dict(catalog.describe_data("digits").to_dict(), **changes))
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)


def test_classes_with_another_number_of_images_are_named():
    classes = tuple("abcde")
    facts = DataFacts(
        "", classes, {"train": 15}, (0.5,) * 3, (0.25,) * 3, False, None, "x", class_images=(1, 2, 3, 4, 5)
    )
    assert DataFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts and facts.differences(facts) == []
    now = dataclasses.replace(facts, samples={"train": 16}, fingerprint="y", class_images=(1, 2, 4, 4, 5))
    assert facts.differences(now) == [
        "class c has 4 images in place of 3",
        "other training images",
        "16 train images in place of 15",
    ]
    now = dataclasses.replace(facts, class_images=(2, 3, 4, 5, 6))
    (line,) = facts.differences(now)
    assert line.endswith("class c has 4 images in place of 3, and 2 more") and line.count("in place of") == 3
    assert facts.differences(dataclasses.replace(now, class_images=None)) == []
    other = dataclasses.replace(now, classes=tuple("abcd"), class_images=(1, 2, 3, 4))
    assert facts.differences(other) == ["4 classes in place of 5"]
    with pytest.raises(InputError, match="ValueError: class_images has 1 numbers for 5 classes"):
        DataFacts.from_dict(dict(facts.to_dict(), class_images=[1]))


@pytest.mark.parametrize("key", ["classes", "mean", "std"])
def test_missing_facts_are_named(key):
    values = catalog.describe_data("digits").to_dict()
    del values[key]
    with pytest.raises(InputError, match=f"the data facts have no '{key}'"):
        DataFacts.from_dict(values)


def test_a_fingerprint_tells_pixels_labels_and_shape(image_set):
    original = fingerprint(image_set)
    assert len(original) == 64 and original == fingerprint(image_set)
    images, labels = image_set.images.copy(), image_set.labels.copy()
    images[8, 5, 4, 2] ^= 1
    labels[3] = 2
    others = [
        image_set._replace(images=images),
        image_set._replace(labels=labels),
        image_set._replace(images=image_set.images.reshape(9, 5, 6, 3)),
        ImageSet(image_set.images[::-1], image_set.labels[::-1], image_set.classes),
    ]
    assert len({original, *map(fingerprint, others)}) == 5
    strided = np.asfortranarray(image_set.images)
    assert fingerprint(ImageSet(strided, image_set.labels.astype(np.int64), ("x", "y", "z"))) == original


def test_a_fingerprint_of_cifar_takes_little_time():
    image_set = ImageSet(np.zeros((50000, 32, 32, 3), np.uint8), np.zeros(50000, np.int32), ("all",))
    times = []
    for _ in range(3):
        begin = time.process_time()
        fingerprint(image_set)
        times.append(time.process_time() - begin)
    assert min(times) < 1.5  # 0.2 s with SHA instructions, three times as long without SHA instructions


def test_facts_need_no_mxnet():
    code = (
        "import sys; from resattnet.data import image_set; from resattnet.datasets import catalog, record_files; "
        "from resattnet.system import world; "
        "print([name for name in ('mxnet', 'PIL') if name in sys.modules])"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(catalog.__file__))))
    assert subprocess.check_output([sys.executable, "-c", code], cwd=root).strip() == b"[]"
