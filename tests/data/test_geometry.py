"""Test that an image becomes the network's input by one rule: in records, predictions, masks and exported files."""

import json
import os

import numpy as np
import pytest
from PIL import Image, ImageOps

from helpers.networks import save_net
from helpers.onnx_program import answers_of_program
from helpers.scripts import script
from resattnet.data.facts import DataFacts
from resattnet.data.geometry import FITS, INTERPOLATIONS, Geometry
from resattnet.datasets import catalog
from resattnet.evaluation.evaluate import evaluate_file
from resattnet.evaluation.options import TestOptions
from resattnet.prediction.classifier import Classifier
from resattnet.prediction.model_images import read_images
from resattnet.reports import mask_sheet
from resattnet.system.errors import InputError
from resattnet.zoo.parameters import read_description

SIZES = [(48, 32), (64, 32), (20, 50), (33, 31), (16, 16), (7, 5), (1, 9)]  # width, height


def photograph(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", [(16, 16), (12, 20)])
def test_crop_is_pillows_fit(size, target):
    height, width = target
    expected = ImageOps.fit(photograph(*size), (width, height), Image.BICUBIC)
    assert np.array_equal(np.asarray(Geometry().apply(photograph(*size), target)), np.asarray(expected))


def test_squash_takes_the_whole_image():
    image, rule = photograph(40, 10), Geometry("squash", "bilinear")
    assert np.array_equal(np.asarray(rule.apply(image, (8, 8))), np.asarray(image.resize((8, 8), Image.BILINEAR)))
    assert rule.part(image, (8, 8)).size == (40, 10) and Geometry().part(image, (8, 8)).size == (10, 10)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_an_image_of_the_size_stays_as_it_is(fit, interpolation):
    image = photograph(24, 20)
    assert np.array_equal(np.asarray(Geometry(fit, interpolation).apply(image, (20, 24))), np.asarray(image))


@pytest.mark.parametrize("width, height", [(500, 375), (300, 400), (224, 224)])
def test_the_crop_ratio_is_that_of_scaling_the_shorter_side_and_cropping(width, height):
    """The middle 224 pixels of an image whose shorter side is 256, in the pixels of the image before it is scaled."""
    shorter = min(width, height)
    side = 224 * shorter / 256
    box = Geometry("crop", "bilinear", 0.875).box(width, height, (224, 224))
    assert box == pytest.approx(((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2))
    image, rule = photograph(width, height), Geometry("crop", "bicubic", 0.875)
    fitted = ImageOps.fit(image, (32, 32), Image.BICUBIC, (1 - 0.875) / 2)  # as the program of docs/export.md has it
    assert abs(np.asarray(fitted).astype(int) - np.asarray(rule.apply(image, (32, 32)))).max() <= 1


def test_a_crop_ratio_is_kept_and_one_that_cannot_be_is_refused():
    rule = Geometry("crop", "bilinear", 0.9)
    assert Geometry.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule and str(rule) == "crop bilinear 0.9"
    assert Geometry().to_dict() == {"fit": "crop", "interpolation": "bicubic"}  # as earlier versions read it
    for wrong in (dict(crop_ratio=0), dict(crop_ratio=1.5), dict(crop_ratio="1"), dict(fit="squash"), dict(more=1)):
        with pytest.raises(InputError, match="does not know the geometry"):
            Geometry.from_dict({**rule.to_dict(), **wrong})


def test_the_rule_is_a_data_fact_and_earlier_facts_have_the_default():
    facts = catalog.describe_data("digits")
    values = json.loads(json.dumps(DataFacts(**{**facts.__dict__, "geometry": Geometry("squash")}).to_dict()))
    assert DataFacts.from_dict(values).geometry == Geometry("squash", "bicubic")
    del values["geometry"]
    assert DataFacts.from_dict(values).geometry == Geometry("crop", "bicubic")
    with pytest.raises(InputError, match="does not know the geometry {'fit': 'stretch'"):
        DataFacts.from_dict(dict(values, geometry={"fit": "stretch", "interpolation": "bicubic"}))


def write_photographs(folder):
    """Write photographs of several proportions, for two splits of two classes."""
    for split, count in (("train", 4), ("test", 6)):
        for label, name in enumerate(("cat", "dog")):
            os.makedirs(folder / split / name)
            for number in range(count):
                image = photograph(*SIZES[number % 4], seed=100 * label + number)
                image.save(str(folder / split / name / f"{number}.png"))


@pytest.mark.parametrize("fit", FITS)
def test_photographs_give_the_same_logits_everywhere(fit, tmp_path):
    """Records, the classifier, masks, and the ONNX file's own program see the same pixels."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    write_photographs(tmp_path / "pets")
    done = script("make_records.py", "--images", "pets", "--size", 32, "--fit", fit, cwd=str(tmp_path))
    assert done.returncode == 0, done
    data = str(tmp_path / "data")
    facts = catalog.describe_data("pets", data, "rec")
    assert facts.geometry == Geometry(fit)
    known = dict(dataset="pets", data_format="rec", data_dir=data)
    path = save_net(tmp_path, classes=2, data=facts.to_dict(), **known)
    measured = evaluate_file(path, TestOptions(num_gpus=0)).evaluation.logits

    files = sorted(str(file) for file in (tmp_path / "pets" / "test").rglob("*.png"))
    classifier = Classifier.load(path)
    pixels = np.stack([classifier.pixels(file) for file in files])
    assert np.array_equal(pixels, read_images(classifier.model, "test").images)
    assert classifier.logits(pixels) == pytest.approx(measured, rel=1e-5, abs=1e-6)
    rows = mask_sheet._read_rows(classifier, classifier.model, files, 0)
    assert np.array_equal(np.stack([row.pixels for row in rows]), pixels)

    done = script("export.py", "--params", path, "--to", "onnx")
    assert done.returncode == 0, done
    exported = path[: -len(".params")] + ".onnx"
    metadata = {entry.key: entry.value for entry in onnx.load(exported).metadata_props}
    assert json.loads(metadata["geometry"]) == Geometry(fit).to_dict()
    assert read_description(path)["data"]["geometry"] == Geometry(fit).to_dict()
    answers = answers_of_program(tmp_path, exported, files)
    for (percent, name), row in zip(answers, measured.astype(float)):
        shares = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        assert name == facts.classes[row.argmax()]
        assert abs(percent - 100 * shares.max()) < 0.011  # two engines, two digits
    assert len(answers) == len(files)
