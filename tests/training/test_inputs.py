"""Test the inputs of a run.

Only training has wrong labels, for every data format. The wrong labels are the same each time that they are read.
"""

import dataclasses

import numpy as np
import pytest

from resattnet.commands.training_run import train
from resattnet.data.mixing import label_noise
from resattnet.data.transforms import normalise
from resattnet.datasets import catalog, record_writer
from resattnet.evaluation.network import evaluate
from resattnet.machine.mxnet import mx
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError
from resattnet.training import figures, inputs
from resattnet.training.inputs import PADDING, open_inputs

DEVICES = [mx.cpu()]


@pytest.mark.parametrize("data_format", ["bin", "rec"])
def test_label_noise(few_digits, tmp_path, data_format):
    sets = {split: catalog.load_images("digits", None, split) for split in ("train", "test")}
    if data_format == "rec":
        record_writer.write_records(str(tmp_path), "digits", sets, "digits", (0.3,) * 3, (0.3,) * 3, False)
    given = dict(dataset="digits", data_format=data_format, data_dir=str(tmp_path), batch_size=64, seed=3)
    plain, noisy, again, other = (
        open_inputs(TrainingOptions(**dict(given, **changes)), DEVICES)
        for changes in ({}, dict(label_noise=0.4), dict(label_noise=0.4), dict(label_noise=0.4, seed=4))
    )
    expected = label_noise(sets["train"].labels, 10, 0.4, 3)
    assert 10 < (expected != sets["train"].labels).sum() < 42
    for epoch in (0, 7):
        (images, labels), (same, wrong), (_, wrong_again) = (
            next(opened.train_loader.epoch(epoch)) for opened in (plain, noisy, again)
        )
        order = np.random.default_rng((3, epoch)).permutation(64)
        assert (images == same).all() and (labels == sets["train"].labels[order]).all()
        assert (wrong == expected[order]).all() and (wrong_again == wrong).all()
    order = np.random.default_rng((4, 0)).permutation(64)
    assert (next(other.train_loader.epoch(0))[1] != expected[order]).any()
    assert (np.concatenate([labels for _, labels in noisy.validation_loader]) == sets["test"].labels).all()


def write_digits(folder, flip):
    """Write a few digits as records, and return the options of a run on them."""
    sets = {split: catalog.load_images("digits", None, split) for split in ("train", "test")}
    record_writer.write_records(str(folder), "digits", sets, "digits", (0.3,) * 3, (0.3,) * 3, flip)
    return dict(dataset="digits", data_format="rec", data_dir=str(folder))


def is_mirrored(image, source, facts):
    """Return whether a training image is a crop of the mirrored source and not of the source itself."""
    side = source.shape[0]
    found = []
    for pixels in (source, source[:, ::-1]):
        padded = np.pad(pixels, ((PADDING, PADDING), (PADDING, PADDING), (0, 0)))
        crops = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(0, 1)).reshape(-1, 3, side, side)
        found.append(np.abs(normalise(crops, facts.mean, facts.std) - image).max(axis=(1, 2, 3)).min() < 1e-5)
    assert any(found)
    return found == [False, True]


@pytest.mark.parametrize("data, mirrors", [("digits", False), ("records", False), ("records", True)])
def test_only_images_that_may_be_mirrored_are_mirrored(few_digits, tmp_path, data, mirrors):
    """A mirrored digit is another sign. Images of validation are never mirrored nor cropped."""
    given = write_digits(tmp_path, mirrors) if data == "records" else dict(dataset="digits")
    opened = open_inputs(TrainingOptions(batch_size=64, seed=3, **given), DEVICES)
    assert opened.facts.flip is opened.transform.flip is mirrors
    place = dict(data_dir=given.get("data_dir"), data_format=given.get("data_format", "bin"))
    sources, tests = (catalog.load_images("digits", split=split, **place).images for split in ("train", "test"))
    mirrored = 0
    for epoch in range(2):
        ((images, _),) = opened.train_loader.epoch(epoch)
        order = np.random.default_rng((3, epoch)).permutation(64)
        mirrored += sum(is_mirrored(image, source, opened.facts) for image, source in zip(images, sources[order]))
    assert 40 < mirrored < 88 if mirrors else not mirrored
    for epoch in range(2):
        shown = np.concatenate([images for images, _ in opened.validation_loader.epoch(epoch)])
        plain = normalise(tests.transpose(0, 3, 1, 2), opened.facts.mean, opened.facts.std)
        np.testing.assert_array_equal(shown, plain)


@pytest.mark.parametrize("mirrors", [False, True])
def test_dali_mirrors_only_images_that_may_be_mirrored(few_digits, tmp_path, monkeypatch, mirrors):
    """`tests/data/test_dali.py` has what DALI does with these transforms."""
    made = []
    monkeypatch.setattr(inputs, "DaliLoader", lambda file, transform, *args, **named: made.append(transform))
    open_inputs(TrainingOptions(loader="dali", **write_digits(tmp_path, mirrors)), DEVICES)
    assert [(transform.flip, transform.pad) for transform in made] == [(mirrors, PADDING), (False, 0)]


def test_validation_of_the_network_and_of_its_average_sees_the_images_as_they_are(options, monkeypatch):
    """Each validation of a run on digits sees each test image once, neither cropped nor mirrored, in order."""
    seen = []

    def evaluate_and_note(net, batches, *args):
        batches = list(batches)
        seen.append(np.concatenate([images for images, _ in batches]))
        return evaluate(net, batches, *args)

    monkeypatch.setattr(figures, "evaluate", evaluate_and_note)
    run = train(dataclasses.replace(options, epochs=2, ema=0.9))
    assert len(seen) == 4  # the network and its average, after each epoch
    tests, facts = catalog.load_images("digits", None, "test").images, run.inputs.facts
    for images in seen:
        np.testing.assert_array_equal(images, normalise(tests.transpose(0, 3, 1, 2), facts.mean, facts.std))


def test_invalid_label_noise():
    with pytest.raises(InputError, match="^label_noise=1.2: give a number at most 1$"):
        TrainingOptions(label_noise=1.2)
    with pytest.raises(InputError, match="^label_noise=0.2 loader=dali: DALI reads the labels as they are; "):
        TrainingOptions(label_noise=0.2, loader="dali", data_format="rec")


def test_both_blends_end_together_and_take_alpha(few_digits):
    opened = open_inputs(
        TrainingOptions(
            dataset="digits", batch_size=16, epochs=5, mix_up=True, cutmix=True, alpha=0.7, mixup_off_epochs=2
        ),
        DEVICES,
    )
    assert (opened.transform.alpha, opened.transform.cut_alpha) == (0.7, 0.7)
    assert opened.transform.mixes_in(2) and not opened.transform.mixes_in(3)
    only = open_inputs(TrainingOptions(dataset="digits", batch_size=16, cutmix=True), DEVICES)
    assert (only.transform.alpha, only.transform.cut_alpha) == (0.0, 1.0)
