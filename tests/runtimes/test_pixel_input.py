"""Test ONNX files that normalise the images themselves: the same answers as of the plain file, everywhere."""

import numpy as np
import pytest

from helpers.onnx_program import answers_of_program
from resattnet.datasets import catalog
from resattnet.export.export_file import export_file
from resattnet.export.options import ExportOptions
from resattnet.export.pixel_input import Normalisation
from resattnet.prediction.classifier import Classifier
from resattnet.runtimes.exported_model import load_exported
from resattnet.system.errors import InputError

onnx = pytest.importorskip("onnx", reason="python -m pip install -e '.[onnx]'")


@pytest.fixture(scope="module")
def of_pixels(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("pixels") / "net.onnx")
    export_file("cifar10_attention56_thin", ExportOptions(output=path, normalise_inside=True))
    return path


@pytest.fixture(scope="module")
def images():
    return catalog.load_images("digits", None, "test").images[:12]


def test_pixels_give_the_logits_of_the_plain_file(engine, exported, of_pixels, images):
    plain, pixels = (Classifier.load(path, runtime=engine) for path in (exported, of_pixels))
    assert np.abs(pixels.logits(images) - plain.logits(images)).max() < 1e-5
    mirrored = [one.model.compute(one.normalised(images)[..., ::-1]) for one in (plain, pixels)]
    assert np.abs(mirrored[0] - mirrored[1]).max() < 1e-5  # columns are mirrored, and not channels


def test_a_large_batch_gives_the_logits_of_its_images(engine, exported, of_pixels):
    many = catalog.load_images("digits", None, "test").images[:50]
    for path in (exported, of_pixels):
        classifier = Classifier.load(path, runtime=engine)
        whole = classifier.logits(many)
        parts = [classifier.logits(many[start : start + 10]) for start in range(0, len(many), 10)]
        assert whole.dtype == np.float32 and np.abs(whole - np.concatenate(parts)).max() < 1e-4
        assert np.array_equal(classifier.logits(many), whole)


def test_the_file_says_what_its_input_is(of_pixels):
    model = onnx.load(of_pixels)
    known = {item.key: item.value for item in model.metadata_props}
    assert (known["input"], known["layout"]) == (
        "uint8 NHWC",
        "NHWC",
    ) and "uint8 (batch, 32, 32, 3)" in model.doc_string
    kind = model.graph.input[0].type.tensor_type
    assert kind.elem_type == onnx.TensorProto.UINT8
    assert [size.dim_param or size.dim_value for size in kind.shape.dim] == ["batch", 32, 32, 3]


def test_the_program_of_the_docs_takes_pixels_too(exported, of_pixels, images, tmp_path):
    from PIL import Image

    files = []
    for number, image in enumerate(images[:2]):
        files.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(image[:, 4:28]).resize((60, 45)).save(files[-1])
    answers = answers_of_program(tmp_path, of_pixels, files)
    assert answers == answers_of_program(tmp_path, exported, files)
    for (percent, name), prediction in zip(answers, Classifier.load(of_pixels).predict(files, top=1)):
        assert prediction.classes == (name,) and percent == pytest.approx(100 * prediction.probabilities[0], abs=0.02)


def test_an_input_of_another_kind_is_refused(of_pixels, tmp_path):
    model = onnx.load(of_pixels)
    for item in model.metadata_props:
        if item.key == "input":
            item.value = "uint16 NHWC"
    path = str(tmp_path / "other.onnx")
    onnx.save(model, path)
    with pytest.raises(InputError, match="this version of resattnet does not know its input, uint16 NHWC"):
        load_exported(path)


def test_pixels_survive_normalisation():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 5, 7, 3)).astype(np.uint8)
    normalisation = Normalisation((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))
    assert (normalisation.nearest_pixels(normalisation.apply(pixels)) == pixels).all()
