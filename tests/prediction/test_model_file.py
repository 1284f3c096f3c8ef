"""Test that a parameter file whose description holds the data facts is usable without other files."""

import numpy as np
import pytest

from helpers.networks import change_description, save_net
from resattnet.datasets import catalog, record_files, record_writer
from resattnet.evaluation.evaluate import evaluate_file
from resattnet.evaluation.options import TestOptions
from resattnet.machine.mxnet import mx
from resattnet.models import spec
from resattnet.prediction.classifier import Classifier
from resattnet.prediction.model_file import load_model
from resattnet.prediction.model_images import read_images
from resattnet.prediction.options import ModelFileOptions
from resattnet.system.errors import InputError, Remark

FACTS = {
    "title": "photographs of pets",
    "classes": ["cat", "dog", "owl"],
    "samples": {"train": 4, "test": 4},
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.3, 0.4],
    "flip": True,
    "image_size": [20, 24],
    "fingerprint": "0" * 64,
}


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """Return a parameter file for a RecordIO data set whose folder does not exist."""
    monkeypatch.setitem(spec.CIFAR_WIDTHS, "thin", spec.Widths(8, (16, 16, 16), 16))
    return save_net(tmp_path, classes=3, dataset="pets", data_format="rec", data_dir=str(tmp_path / "gone"), data=FACTS)


def write_pets(folder, classes=("cat", "dog", "owl"), mean=(0.5, 0.4, 0.3)):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (4, 20, 24, 3), np.uint8), np.arange(4, dtype=np.int32) % len(classes)
    sets = {split: catalog.ImageSet(images, labels, classes) for split in record_files.SPLITS}
    record_writer.write_records(str(folder), "pets", sets, "noise", mean, (0.2, 0.3, 0.4), False)
    return sets["test"]


def test_predictions_need_no_data_set(pets):
    model = load_model(pets, ModelFileOptions(), [mx.cpu()])
    assert model.facts.title == FACTS["title"] and model.image_size == (20, 24) and model.source["name"] == "pets"
    classifier = Classifier.load(pets)
    assert classifier.size == (20, 24) and classifier.classes == ("cat", "dog", "owl")
    image = np.random.default_rng(1).integers(0, 256, (20, 24, 3), np.uint8)
    x = ((image / 255 - FACTS["mean"]) / FACTS["std"]).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(classifier.normalised(image[None]), x, atol=1e-5)
    logits = classifier.net(mx.nd.array(x)).asnumpy()
    np.testing.assert_allclose(classifier.logits(image[None]), logits, rtol=1e-4, atol=1e-5)
    assert classifier.predict(image)[0].labels[0] == logits.argmax()


def test_own_names_override_the_facts(pets, tmp_path):
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    assert Classifier.load(pets, classes=str(tmp_path / "names.txt")).classes == ("a", "b", "c")


def test_an_evaluation_normalises_by_the_facts_of_the_file(pets, tmp_path):
    """Evaluation uses the mean of the training data in the file, although the RecordIO files have another mean."""
    test_set = write_pets(tmp_path / "gone", mean=(0.1, 0.1, 0.1))
    result = evaluate_file(pets, TestOptions(num_gpus=0, flip=True))
    assert result.evaluation.logits == pytest.approx(Classifier.load(pets).logits(test_set.images), rel=1e-4, abs=1e-5)
    with pytest.raises(InputError, match="flip=True: a mirrored image of pets does not show its class"):
        change_description(pets, data=dict(FACTS, flip=False))
        evaluate_file(pets, TestOptions(num_gpus=0, flip=True))


@pytest.mark.parametrize("option", ["dataset", "data_format", "data_dir"])
def test_the_facts_of_the_file_stay_where_options_name_other_images(option, pets, tmp_path):
    given = {"dataset": "pets", "data_format": "rec", "data_dir": str(tmp_path / "gone")}[option]
    model = load_model(pets, ModelFileOptions(**{option: given}), [mx.cpu()])
    with pytest.raises(InputError, match="pets_records.json is not there"):
        read_images(model, "test")
    write_pets(tmp_path / "gone", mean=(0.1, 0.1, 0.1))
    model = load_model(pets, ModelFileOptions(**{option: given}), [mx.cpu()])
    with pytest.warns(Remark, match="pets in .* differs from the training: mean 0.1,0.1,0.1 in place of 0.5,0.4,0.3"):
        read_images(model, "test")
    assert model.facts.mean == tuple(FACTS["mean"]) and model.image_size == (20, 24)


def test_images_of_renamed_classes_are_refused_unless_names_are_given(pets, tmp_path):
    write_pets(tmp_path / "gone", classes=("cat", "dog", "zebra"))
    with pytest.raises(
        InputError, match="differs from the training: class 2 is zebra in place of owl.*; give data_dir"
    ):
        evaluate_file(pets, TestOptions(num_gpus=0))
    (tmp_path / "names.txt").write_text("cat\ndog\nzebra\n")
    result = evaluate_file(pets, TestOptions(num_gpus=0, classes=str(tmp_path / "names.txt")))
    assert result.classes == ("cat", "dog", "zebra")


def test_images_of_other_classes_than_the_network_has(pets, tmp_path):
    write_pets(tmp_path / "gone", classes=("cat", "dog"))
    with pytest.raises(InputError, match="dataset=pets has 2 classes, the network of .*net.params has 3"):
        evaluate_file(pets, TestOptions(num_gpus=0))


@pytest.mark.parametrize(
    "data, message",
    [
        ({**FACTS, "classes": ["cat", "dog"]}, "dataset=pets has 2 classes, the network of .*net.params has 3"),
        ({**FACTS, "mean": "x"}, "net.params: its description is invalid .*could not convert string to float"),
        (
            {"classes": FACTS["classes"]},
            r"net.params: its description is invalid \(the data facts have no 'mean'\)",
        ),
    ],
)
def test_invalid_facts(data, message, pets):
    change_description(pets, data=data)
    with pytest.raises(InputError, match=message):
        load_model(pets, ModelFileOptions(), [mx.cpu()])


def test_units_are_described_and_those_of_the_oldest_files_are_bottlenecks(pets):
    assert load_model(pets, ModelFileOptions(), [mx.cpu()]).network.unit == "bottleneck"
    with pytest.raises(InputError, match="it fits num_layers=56 widths=thin and 3 classes"):
        load_model(pets, ModelFileOptions(unit="basic"), [mx.cpu()])


def test_an_incomplete_description(pets):
    change_description(pets, network={"classes": 3, "num_layers": 56}, dataset=None)
    with pytest.raises(InputError, match="beside it is incomplete: give dataset, widths, attention_learning$"):
        load_model(pets, ModelFileOptions(), [mx.cpu()])
