"""Test the inputs of a run.

Only training has wrong labels, for every data format. The wrong labels are the same each time that they are read.
"""

import numpy as np
import pytest

from resattnet.data import datasets, record_writer
from resattnet.data.transforms import label_noise
from resattnet.system.errors import InputError
from resattnet.system.mxnet import mx
from resattnet.training.inputs import open_inputs
from resattnet.training.options import TrainingOptions

DEVICES = [mx.cpu()]


@pytest.mark.parametrize("data_format", ["bin", "rec"])
def test_label_noise(few_digits, tmp_path, data_format):
    sets = {split: datasets.load_images("digits", None, split) for split in ("train", "test")}
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
