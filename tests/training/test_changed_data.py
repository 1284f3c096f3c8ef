"""Test that a run, a teacher and fine-tuning notice a data set that was made again under the same name."""

import dataclasses
import os

import numpy as np
import pytest

from helpers.runs import resume, values
from resattnet.commands.training_run import train
from resattnet.data.image_set import ImageSet, channel_statistics
from resattnet.datasets import record_writer
from resattnet.machine.mxnet import mx
from resattnet.runs import states
from resattnet.system.errors import InputError
from resattnet.training.preparation import prepare_run


@pytest.fixture
def write(tmp_path):
    """Return a function that writes records called `pets` of random images, with these class names."""

    def write(classes=("cat", "dog", "owl"), seed=0, train=40):
        rng = np.random.default_rng(seed)
        sets = {
            split: ImageSet(
                rng.integers(0, 256, (count, 8, 8, 3), np.uint8),
                np.arange(count, dtype=np.int32) % len(classes),
                tuple(classes),
            )
            for split, count in (("train", train), ("test", 12))
        }
        mean, std = channel_statistics(sets["train"].images)
        record_writer.write_records(str(tmp_path / "data"), "pets", sets, "noise", mean, std, True, overwrite=True)

    return write


@pytest.fixture
def pets(options, tmp_path, write):
    write()
    return dataclasses.replace(
        options, dataset="pets", data_format="rec", data_dir=str(tmp_path / "data"), epochs=1, warmup_epochs=0
    )


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(classes=("cat", "dog", "zebra")), "it has class 2 is zebra in place of owl; give it the old data set"),
        (dict(classes=("cat", "dog")), "it has 2 classes in place of 3; "),
        (dict(seed=1), "it has mean .* in place of .*; other training images; give it"),
        (dict(train=41), "41 train images in place of 40"),
    ],
)
def test_a_run_is_not_resumed_on_other_data(pets, write, change, words):
    train(pets)
    write(**change)
    with pytest.raises(InputError, match=f"models/run: the data set is not the one that the run .*{words}"):
        resume(pets, epochs=2)
    write()
    assert resume(pets, epochs=2).progress.epoch == 2


def test_a_state_without_data_facts_is_resumed(pets, write, monkeypatch):
    train(pets)
    write(seed=1)
    monkeypatch.setattr(states, "load_state", without_facts(states.load_state))
    assert resume(pets, epochs=2).progress.epoch == 2


def without_facts(load):
    def load_state(*args, **named):
        state = load(*args, **named)
        state.progress["data"] = None
        return state

    return load_state


def test_a_teacher_of_other_classes_is_refused_and_other_images_are_reported(pets, write):
    teacher = os.path.join(train(dataclasses.replace(pets, name="teacher")).folder, "best.params")
    student = dataclasses.replace(pets, name="student", teacher=teacher)
    write(classes=("cat", "owl", "dog"))
    words = "class 1 is owl in place of dog, class 2 is dog in place of owl"
    with pytest.raises(InputError, match=f"teacher: .*best.params: the data set has changed since: it has {words}"):
        train(student)
    write(seed=1)
    run = train(dataclasses.replace(student, name="other"))
    with open(os.path.join(pets.log_dir, "text", "other.log"), encoding="utf-8") as log:
        assert "since it was trained, the data set has mean" in log.read() and run.progress.epoch == 1


def test_fine_tuning_keeps_the_last_layer_of_the_same_classes_only(pets, write):
    first = train(dataclasses.replace(pets, name="first"))
    path, known = os.path.join(first.folder, "last.params"), values(first)
    for name, changes, same in (
        ("same", dict(seed=1), True),
        ("renamed", dict(classes=("cat", "dog", "zebra")), False),
    ):
        write(**changes)
        run = prepare_run(dataclasses.replace(pets, name=name, params=path), [mx.cpu()])
        assert (values(run)["output.weight"] == known["output.weight"]).all() == same
        (line,) = run.remarks
        assert ("the last layer is newly initialised" not in line) == same
        assert ("class 2 is zebra in place of owl" in line) != same and "since then the data set has" in line


def test_every_training_image_is_in_each_epoch(pets, write, capsys):
    """Of 40 images in batches of 16, the last 8 are a batch of their own; of 37, the last 5 join the one before."""
    for count, steps in ((40, 3), (37, 2)):
        write(train=count)
        run = train(dataclasses.replace(pets, name=f"run{count}", epochs=2))
        assert run.progress.step == 2 * steps and run.inputs.train_loader.samples == count
        assert f"{count} training and 12 validation images" in capsys.readouterr().out
