"""Runs on a folder of images: training, resuming, test, prediction, fine-tuning, and faults in one line."""

import os
import re
import signal

import numpy as np
import pytest
from PIL import Image

from helpers.onnx_program import answers_of_program
from helpers.runs import assert_equal_runs, resume, stop_run
from helpers.scripts import refused, script
from resattnet.commands import parse, training_run
from resattnet.commands.training_arguments import read_options
from resattnet.evaluation.evaluate import evaluate_file
from resattnet.evaluation.options import TestOptions as EvaluationOptions
from resattnet.machine.mxnet import mx
from resattnet.prediction.classifier import Classifier
from resattnet.prediction.model_file import load_model
from resattnet.prediction.model_images import read_images
from resattnet.prediction.options import ModelFileOptions
from resattnet.run_options.image_options import ImageTrainingOptions
from resattnet.system.errors import InputError
from resattnet.training import preparation

COLOURS = {"blue": (40, 60, 200), "green": (50, 190, 60), "red": (200, 50, 40)}
SMALL = dict(image_size=16, widths="tiny", unit="basic", batch_size=8, epochs=2, warmup_epochs=0, num_gpus=0)


def write_photographs(folder, counts=(("train", 16), ("val", 6)), seed=0):
    """Write JPEG files of several shapes, whose class is their colour."""
    rng = np.random.default_rng(seed)
    for split, count in counts:
        for name, colour in COLOURS.items():
            os.makedirs(folder / split / name)
            for number in range(count):
                shape = [(40, 60), (60, 40), (33, 33)][number % 3]
                pixels = rng.normal(colour, 30, (*shape, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.jpg", quality=90)
    return folder


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return write_photographs(tmp_path_factory.mktemp("photographs"))


def options(tmp_path, photographs, **more):
    paths = dict(data_dir=str(photographs), model_dir=str(tmp_path / "models"), log_dir=str(tmp_path / "log"))
    return ImageTrainingOptions(**{**SMALL, "name": "run", **paths, **more})


@pytest.fixture(scope="module")
def trained(photographs, tmp_path_factory):
    """The folder of a run that has learned the colours."""
    folder = tmp_path_factory.mktemp("trained")
    run = training_run.train(options(folder, photographs, epochs=6, lr=0.05))
    assert run.progress.best["top1"] > 0.8
    return folder / "models" / "run"


def test_the_facts_travel_with_the_parameters(trained, photographs):
    model = load_model(str(trained / "best.params"), ModelFileOptions(), [mx.cpu()])
    assert model.facts.classes == ("blue", "green", "red") and model.facts.image_size == (16, 16)
    assert model.facts.geometry.to_dict() == {"fit": "crop", "interpolation": "bilinear", "crop_ratio": 0.875}
    assert model.facts.class_images == (16, 16, 16) and model.facts.samples == {"train": 48, "validation": 18}
    assert model.source == dict(name=photographs.name, data_dir=str(photographs), data_format="folder")
    assert (model.network.stem, model.network.unit, model.network.widths) == ("cifar", "basic", "tiny")


def test_prediction_of_the_validation_files_gives_the_accuracy_of_the_test(trained, photographs):
    result = evaluate_file(str(trained / "best.params"), EvaluationOptions(num_gpus=0))
    classifier = Classifier.load(str(trained / "best.params"), num_gpus=0)
    files = [(path, path.parent.name) for path in sorted((photographs / "val").glob("*/*.jpg"))]
    found = classifier.predict([str(path) for path, _ in files], top=1)
    right = [prediction.classes[0] == name for prediction, (_, name) in zip(found, files)]
    assert result.evaluation.samples == len(files) == 18
    assert sum(right) / len(right) == result.evaluation.top1
    logged = load_model(str(trained / "best.params"), ModelFileOptions(), [mx.cpu()]).description["validation_top1"]
    assert result.evaluation.top1 == logged


def test_the_onnx_file_sees_a_photograph_as_the_network_does(trained, photographs, tmp_path):
    pytest.importorskip("onnxruntime")
    files = sorted(map(str, (photographs / "val").glob("*/*.jpg")))[::4]
    done = script("export.py", "--params", trained / "best.params", "--to", "onnx", "--output", tmp_path / "net.onnx")
    assert done.returncode == 0, done
    result, by_mxnet = (
        evaluate_file(str(path), EvaluationOptions(data_dir=str(photographs), crops=5))
        for path in (tmp_path / "net.onnx", trained / "best.params")
    )
    np.testing.assert_allclose(result.evaluation.logits, by_mxnet.evaluation.logits, atol=1e-4)
    assert result.evaluation.samples == 18 and result.facts["data_format"] == "folder"
    found = Classifier.load(str(trained / "best.params"), num_gpus=0).predict(files, top=1)
    for (percent, name), prediction in zip(answers_of_program(tmp_path, tmp_path / "net.onnx", files), found):
        assert name == prediction.classes[0] and abs(percent - 100 * prediction.probabilities[0]) < 0.2


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_run_is_resumed_to_the_same_bits(tmp_path, photographs, monkeypatch, workers):
    whole = training_run.train(options(tmp_path / "whole", photographs, workers=workers, mix_up=True, color_jitter=0.4))
    stopped = options(tmp_path / "stopped", photographs, workers=workers, mix_up=True, color_jitter=0.4)
    stop_run(stopped, monkeypatch, 4, signal.SIGTERM)
    assert_equal_runs(whole, resume(stopped))


def write_records(folder, photographs):
    """Write the files of a folder to records by MXNet, in the order of the files, with the lists of im2rec."""
    os.makedirs(folder)
    for split in ("train", "val"):
        files = sorted((photographs / split).glob("*/*.jpg"), key=lambda path: os.fsencode(path))
        writer = mx.recordio.MXIndexedRecordIO(f"{folder}/{split}.idx", f"{folder}/{split}.rec", "w")
        with open(folder / f"{split}.lst", "w") as lines:
            for number, path in enumerate(files):
                label = sorted(COLOURS).index(path.parent.name)
                writer.write_idx(number, mx.recordio.pack(mx.recordio.IRHeader(0, label, number, 0), path.read_bytes()))
                lines.write(f"{number}\t{label:f}\t{path.parent.name}/{path.name}\n")
        writer.close()
    return folder


def test_records_train_to_the_bits_of_the_files_in_them(tmp_path, photographs):
    folder = write_records(tmp_path / "records", photographs)
    of_files = training_run.train(options(tmp_path / "files", photographs))
    of_records = training_run.train(options(tmp_path / "of_records", folder, workers=2))
    assert_equal_runs(of_files, of_records)
    path = tmp_path / "of_records" / "models" / "run" / "best.params"
    result = evaluate_file(str(path), EvaluationOptions(num_gpus=0))
    assert result.evaluation.samples == 18 and result.evaluation.top1 == of_records.progress.best["top1"]
    assert load_model(str(path), ModelFileOptions(), [mx.cpu()]).facts.classes == ("blue", "green", "red")


def test_a_broken_record_is_named(tmp_path, photographs):
    folder = write_records(tmp_path / "records", photographs)
    with open(folder / "train.rec", "r+b") as file:
        file.seek(int((folder / "train.idx").read_text().split()[7]) + 40)
        file.write(bytes(200))
    with pytest.raises(InputError, match=r"train\.rec, record at byte \d+: not an image that can be read"):
        training_run.train(options(tmp_path, folder))


def test_a_stopped_run_with_dali_is_resumed_to_the_same_bits(tmp_path, photographs, monkeypatch):
    pytest.importorskip("nvidia.dali", reason="NVIDIA DALI is not installed: pip install -e '.[dali]'")
    whole = training_run.train(options(tmp_path / "whole", photographs, loader="dali"))
    stopped = options(tmp_path / "stopped", photographs, loader="dali", workers=2)
    stop_run(stopped, monkeypatch, 4, signal.SIGTERM)
    assert_equal_runs(whole, resume(stopped))


def test_the_folder_may_move_between_stop_and_resume(tmp_path, photographs, monkeypatch):
    whole = training_run.train(options(tmp_path / "whole", photographs))
    moved = write_photographs(tmp_path / "before")
    stopped = options(tmp_path / "stopped", moved)
    stop_run(stopped, monkeypatch, 4, signal.SIGTERM)
    os.rename(moved, tmp_path / "after")
    assert_equal_runs(whole, resume(stopped, data_dir=str(tmp_path / "after")))


def test_a_set_that_has_changed_is_named(tmp_path, monkeypatch):
    folder = write_photographs(tmp_path / "set")
    stopped = options(tmp_path / "run", folder)
    stop_run(stopped, monkeypatch, 4, signal.SIGTERM)
    os.remove(folder / "train" / "green" / "3.jpg")
    with pytest.raises(InputError, match="class green has 15 images in place of 16"):
        resume(stopped)


def test_the_run_of_another_command_names_that_command(trained):
    done = script("cifar10_train.py", "--resume", trained)
    assert "is of the command train-images: give it to python scripts/imagenet_train.py" in refused(done)


def test_the_stem_follows_the_size_of_the_images(tmp_path):
    assert ImageTrainingOptions(data_dir=str(tmp_path), image_size=48).stem == "cifar"
    assert ImageTrainingOptions(data_dir=str(tmp_path), image_size=64).stem == "imagenet"
    assert ImageTrainingOptions(data_dir=str(tmp_path), image_size=64, stem="cifar").stem == "cifar"


def test_fine_tuning_starts_from_the_packaged_weights(tmp_path, photographs):
    given = parse(
        "train-images",
        ["--data-dir", str(photographs), "--image-size", "32", "--widths", "thin", "--params", "packaged"],
    )
    chosen, _ = read_options(given, ImageTrainingOptions)
    assert chosen.params == "cifar10_attention56_thin" and chosen.network["stem"] == "cifar"
    with pytest.raises(InputError, match="belongs to a network with stem=cifar, this run's has imagenet"):
        preparation.prepare_run(
            options(
                tmp_path,
                photographs,
                params="cifar10_attention56_thin",
                widths="thin",
                unit="bottleneck",
                stem="imagenet",
            ),
            [mx.cpu()],
        )


def test_the_command_from_a_folder_to_the_classes_of_a_photograph(tmp_path, photographs):
    flags = ["--image-size", 16, "--widths", "tiny", "--unit", "basic", "-b", 8, "--epochs", 1, "--name", "pets"]
    done = script(
        "imagenet_train.py", "--data-dir", photographs / "train", "--val-fraction", 0.25, *flags, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "3 classes, 36 training and 12 validation images" in done.stdout
    done = script("predict.py", "--params", "models/pets/best.params", photographs / "val/red/0.jpg", cwd=tmp_path)
    assert done.returncode == 0 and re.search(r"0\.jpg +(blue|green|red) +\d", done.stdout), done
    done = script("cifar10_test.py", "--params", "models/pets/best.params", cwd=tmp_path)
    assert done.returncode == 0 and "12" in done.stdout, done


@pytest.mark.parametrize(
    "place, changes, message",
    [
        ("none", {}, "no such folder"),
        ("train", {}, "val_fraction=0.1"),
        (".", {"val_split": "vla"}, "has no such folder"),
        (".", {"batch_size": 500}, "a batch of 500 is larger than the data set of 48 images"),
    ],
)
def test_wrong_folders_are_refused_in_one_line(tmp_path, photographs, place, changes, message):
    with pytest.raises(InputError, match=message) as caught:
        training_run.train(options(tmp_path, photographs / place, **changes))
    assert "\n" not in str(caught.value)
    assert not os.path.exists(tmp_path / "models" / "run")


def test_data_dir_has_to_be_given():
    assert "--data-dir: give the folder of the images" in refused(script("imagenet_train.py"))


def test_a_broken_file_is_named_with_the_state_to_resume(tmp_path):
    folder = write_photographs(tmp_path / "set")
    with open(folder / "train" / "red" / "5.jpg", "wb") as file:
        file.write(b"no image")
    with pytest.raises(InputError, match=r"train/red/5\.jpg: not an image.*skip_broken=True.*--resume"):
        training_run.train(options(tmp_path, folder))


def test_other_sizes_and_ten_crops_are_those_of_their_definition(trained, photographs):
    path = str(trained / "best.params")
    small = load_model(path, EvaluationOptions(image_size=24, crop_ratio=0.75, num_gpus=0), [mx.cpu()])
    images = read_images(small, "test").images
    files = sorted(photographs.glob("val/*/*.jpg"), key=lambda file: (file.parent.name, os.fsencode(file.name)))
    with Image.open(files[0]) as image:
        width, height = image.size
        side = 0.75 * min(width, height)
        box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
        np.testing.assert_array_equal(images[0], np.asarray(image.resize((24, 24), Image.BILINEAR, box)))

    classifier = Classifier.load(path, num_gpus=0)
    ten = evaluate_file(path, EvaluationOptions(crops=10, num_gpus=0)).evaluation
    shares = []
    for file in files[:4]:
        with Image.open(file) as image:
            side = 0.875 * min(image.size)
            free = [(length - side) for length in image.size]
            places = [(0.5, 0.5), (0, 0), (1, 0), (0, 1), (1, 1)]
            corners = [(free[0] * across, free[1] * down) for across, down in places]
            parts = [image.resize((16, 16), Image.BILINEAR, (x, y, x + side, y + side)) for x, y in corners]
        pixels = np.stack([np.asarray(part) for part in parts])
        logits = classifier.logits(np.concatenate([pixels, pixels[:, :, ::-1]]))
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        shares.append(probabilities.mean(axis=0))
    found = np.exp(ten.logits[:4]) / np.exp(ten.logits[:4]).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, np.array(shares), rtol=1e-3, atol=1e-4)


def test_crops_and_sizes_are_for_image_folders():
    for options in (dict(crops=5), dict(image_size=64), dict(crop_ratio=0.9)):
        with pytest.raises(InputError, match="are stored at one size; leave it out"):
            evaluate_file("cifar10_attention56_thin", EvaluationOptions(num_gpus=0, **options))
