"""Test `--val-split`: the best parameters are chosen on training images held out, the test images measured once."""

import dataclasses
import os

import numpy as np
import pytest

from helpers.runs import assert_equal_runs, elsewhere, resume
from resattnet.commands.training_run import train
from resattnet.data.image_set import ImageSet
from resattnet.datasets import catalog
from resattnet.evaluation.evaluate import evaluate_file
from resattnet.evaluation.options import TestOptions
from resattnet.runs import states
from resattnet.system.errors import InputError
from resattnet.training.inputs import hold_out
from resattnet.zoo.parameters import read_description


def images(labels, classes):
    labels = np.array(labels, np.int32)
    pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] * np.ones((2, 2, 3), np.uint8)
    return ImageSet(pixels, labels, tuple("abcdefghij"[:classes]))


def numbers(image_set):
    return image_set.images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.9])
def test_a_fraction_of_each_class_is_held_out(fraction):
    train_set = images(np.random.default_rng(0).permutation(np.repeat(np.arange(3), (40, 20, 100))), 3)
    rest, held_out = hold_out(train_set, fraction, seed=1)
    assert np.bincount(held_out.labels).tolist() == [round(fraction * count) for count in (40, 20, 100)]
    assert sorted(numbers(rest) + numbers(held_out)) == list(range(160))
    for part in (rest, held_out):
        assert numbers(part) == sorted(numbers(part)) and part.classes == train_set.classes
        assert (part.labels == train_set.labels[numbers(part)]).all()
    assert numbers(hold_out(train_set, fraction, seed=1)[1]) == numbers(held_out)
    assert numbers(hold_out(train_set, fraction, seed=2)[1]) != numbers(held_out)


def test_small_classes_keep_and_give_at_least_one_image():
    rest, held_out = hold_out(images([0, 0, 1, 1, 1, 3, 3], 4), 0.01, seed=0)
    assert np.bincount(held_out.labels).tolist() == [1, 1, 0, 1] and np.bincount(rest.labels).tolist() == [1, 2, 0, 1]
    with pytest.raises(InputError, match="val_split=0.5: the class b has one training image only"):
        hold_out(images([0, 0, 1], 2), 0.5, seed=0)


def test_the_best_is_chosen_on_held_out_images_and_the_test_set_is_measured_at_the_end(options, capsys):
    options = dataclasses.replace(options, val_split=0.25, epochs=2)
    run = train(options)
    train_set, test_set = (catalog.load_images("digits", None, split) for split in ("train", "test"))
    rest, held_out = hold_out(train_set, 0.25, options.seed)
    assert run.inputs.train_loader.samples == len(rest.labels)
    labels = np.concatenate([labels for _, labels in run.inputs.validation_loader])
    assert (labels == held_out.labels).all()
    best = os.path.join(run.folder, "best.params")
    result = evaluate_file(best, TestOptions(num_gpus=0)).evaluation
    assert result.samples == len(test_set.labels)
    found = run.progress.test
    assert (found["top1"], found["top5"]) == (result.top1, result.top5)
    assert found["loss"] == pytest.approx(result.loss, rel=1e-5) and found["epoch"] == run.progress.best["epoch"]
    assert states.load_state(run.folder).progress["test"] == found
    assert read_description(best)["val_split"] == 0.25
    line = f"{len(test_set.labels)} test images: best.params, chosen on {len(held_out.labels)} training images held out"
    assert capsys.readouterr().out.count(line) == 1


def test_a_resumed_run_holds_out_the_same_images(options):
    options = dataclasses.replace(options, val_split=0.2)
    train(dataclasses.replace(options, epochs=1, lr_schedule="step", lr_steps=(50,)))
    with pytest.raises(InputError, match="val_split=0.5: the run to resume has val_split=0.2"):
        resume(options, val_split=0.5)
    steady = train(elsewhere(options, "steady", lr_schedule="step", lr_steps=(50,)))
    assert_equal_runs(resume(options, epochs=3), steady)


def test_without_a_split_the_test_images_are_the_validation_images(options):
    run = train(dataclasses.replace(options, epochs=1))
    assert run.inputs.test_loader is None and run.progress.test is None
