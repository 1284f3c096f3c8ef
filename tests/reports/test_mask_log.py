"""Test the masks logged to a run's board: their images, their steps, and that each picture is logged once.

Logging masks must not change training.
"""

import os
import random
import types
from typing import List

import numpy as np
import pytest

from helpers.boards import read_board
from helpers.runs import TRICKS, assert_equal_runs, elsewhere, resume, stop_run
from resattnet.commands import training_run
from resattnet.commands.training_run import train
from resattnet.data.transforms import Transform
from resattnet.datasets import catalog
from resattnet.loaders.array_loader import ArrayLoader
from resattnet.machine.devices import check_type
from resattnet.machine.mxnet import mx
from resattnet.prediction.masks import soft_masks
from resattnet.reports import mask_log
from resattnet.reports.mask_log import MaskLog
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError, Remark, handle_remarks
from resattnet.training.preparation import prepare_run

pytestmark = pytest.mark.usefixtures("three_modules")

TAGS = [f"masks/stage{stage}/module1" for stage in (1, 2, 3)]


def shown_on(options, name="run"):
    """Return the steps of the pictures on a run's board by tag, in logging order."""
    images = read_board(os.path.join(options.log_dir, "board", name))["images"]
    return {tag: [step for step, _ in pairs] for tag, pairs in images.items()}


@pytest.mark.parametrize("count, classes", [(1, 4), (3, 4), (4, 4), (9, 4), (30, 4), (3, 6)])
def test_one_of_each_class_first(count, classes):
    """The choice equals a stable sort by the number of earlier images of the same class, then by class.

    The data has no images of classes 4 and 5.
    """
    labels = np.random.default_rng(count).integers(0, 4, 25)
    images, before = np.arange(25)[:, None], [(labels[:place] == labels[place]).sum() for place in range(25)]
    expected = np.lexsort((labels, before))[:count]
    batches = [(images[begin : begin + 3], labels[begin : begin + 3]) for begin in range(0, 25, 3)]
    found = mask_log.one_of_each_class(batches, count, classes)
    assert [number for number, _, _ in found] == [int(image[0]) for _, image, _ in found] == expected.tolist()
    assert [label for _, _, label in found] == labels[expected].tolist()


def test_no_more_is_read_than_needed():
    def batches():
        yield np.zeros((4, 1)), np.arange(4)
        raise AssertionError("read on")

    assert len(mask_log.one_of_each_class(batches(), 4, 4)) == 4


def test_a_run_has_about_ten_pictures():
    """By default a run logs at most 10 pictures per tag, the number that TensorBoard keeps.

    The first and the last epoch always have a picture.
    """
    for epochs in range(1, 400):
        run = TrainingOptions(epochs=epochs, mask_images=4)
        shown = [epoch for epoch in range(1, epochs + 1) if run.shows_masks(epoch)]
        assert min(epochs, 6) <= len(shown) <= 10 and shown[0] == 1 and shown[-1] == epochs
    run = TrainingOptions(epochs=10, mask_images=4, mask_period=4)
    assert [epoch for epoch in range(1, 11) if run.shows_masks(epoch)] == [1, 4, 8, 10]
    assert not any(TrainingOptions(epochs=10).shows_masks(epoch) for epoch in range(1, 11))


VARIANTS = [
    dict(TRICKS, mixup_off_epochs=1, num_cpus=2, batch_size=8, ema=0.9),
    dict(dtype="bfloat16"),
    dict(workers=1, mask="local", attention="channel"),
]


@pytest.mark.parametrize("variant", VARIANTS, ids=["tricks", "bfloat16", "local"])
def test_training_is_as_without_them(options, variant, request):
    """Training with and without masks gives the same parameters, figures and moving average, bit for bit.

    Logging masks draws no random numbers.
    """
    if "mask" in variant:
        request.getfixturevalue("dots")  # the other variants draw their pictures
    if "dtype" in variant:
        try:
            check_type(variant["dtype"], [mx.cpu()])
        except InputError as reason:
            pytest.skip(str(reason))
    runs, states = [], []
    for name, masks in (("plain", {}), ("run", dict(mask_images=2))):
        runs.append(train(elsewhere(options, name, epochs=2, **dict(variant, **masks))))
        states.append((random.getstate(), str(np.random.get_state()), mx.nd.random.uniform(shape=4).asnumpy().tolist()))
    assert_equal_runs(*runs)
    assert states[0] == states[1]
    if "ema" in variant:
        plain, run = (run.step.average.state_arrays() for run in runs)
        assert all((run[name] == array).all() for name, array in plain.items())
    assert shown_on(options) == dict.fromkeys(TAGS, [4, 8])


@pytest.fixture
def dots(monkeypatch):
    """Replace the pictures by single pixels, for tests that check only the steps."""
    monkeypatch.setattr(
        mask_log,
        "module_pictures",
        lambda sheet, draw: {
            f"masks/stage{maps.stage}/module{maps.module}": np.zeros((1, 1, 3), np.uint8) for maps in sheet.maps
        },
    )


@pytest.mark.parametrize("step", [4, 6])
def test_a_resumed_run_logs_each_epoch_once(options, dots, monkeypatch, step):
    """A resumed run logs each picture once.

    The run is stopped between the last step and the validation of an epoch, or within an epoch.
    """
    stop_run(elsewhere(options, "run", mask_images=2), monkeypatch, step)
    resume(options)
    resume(options)  # the run is complete, so this adds no picture
    assert shown_on(options) == dict.fromkeys(TAGS, [4, 8, 12])


def test_the_pictures_are_the_sheets_of_the_net(options, monkeypatch):
    """The images come from the test set, and the last pictures show the masks of the final network."""
    seen, draw = [], mask_log.draw_overlays
    monkeypatch.setattr(mask_log, "draw_overlays", lambda sheet, *args: seen.append(sheet) or draw(sheet, *args))
    run = train(elsewhere(options, "run", mask_images=3, epochs=1))
    test_set = catalog.load_images("digits", None, "test")
    for label, row in enumerate(run.hooks[0].rows):
        first = np.flatnonzero(test_set.labels == label)[0]
        assert row.title == f"no. {first}: {label}"
        np.testing.assert_array_equal(row.pixels, test_set.images[first])
        np.testing.assert_array_equal(np.asarray(row.picture), test_set.images[first])
    x = mx.nd.array(run.hooks[0]._images)
    logits = run.step.copy_for_inference()(x).asnumpy().astype(float)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert [sheet.maps[0].stage for sheet in seen] == [1, 2, 3]
    for sheet, expected in zip(seen, soft_masks(run.step.copy_for_inference(), x.asnumpy())):
        assert sheet.rows is run.hooks[0].rows and sheet.maps[0][:3] == expected[:3]
        assert sheet.network == run.step.net.spec and sheet.channels is sheet.cams is None
        np.testing.assert_array_equal(sheet.maps[0].mask, expected.mask)
        assert [prediction.labels[0] for prediction in sheet.predictions] == shares.argmax(axis=1).tolist()
        np.testing.assert_allclose([p.probabilities[0] for p in sheet.predictions], shares.max(axis=1), rtol=1e-5)
    images = read_board(os.path.join(options.log_dir, "board", "run"))["images"]
    for name, picture in run.hooks[0].pictures(run.step.copy_for_inference()).items():
        ((step, found),) = images[name]
        assert step == 4
        np.testing.assert_array_equal(found, picture)


def test_a_float16_net_is_shown_too(options):
    """The pictures of a float16 network are close to those of the same network in float32.

    The test runs on the CPU, where a float16 network cannot be trained.
    """
    run = prepare_run(elsewhere(options, "run", mask_images=2), [mx.cpu()])
    log = MaskLog(run.options, run.inputs.validation_loader, run.inputs.facts)
    full = log.pictures(run.step.copy_for_inference())
    half = run.step.copy_for_inference()
    half.cast("float16")
    for name, picture in full.items():
        assert np.abs(picture.astype(int) - log.pictures(half)[name]).mean() < 3
    assert np.dtype(half.output.weight.dtype) == np.float16  # it stays what the run validates


def test_a_log_of_masks_that_fails_leaves_the_name_of_the_run_free(options, monkeypatch):
    def fail(*args):
        raise InputError("the images cannot be read")

    monkeypatch.setattr(training_run, "MaskLog", fail)
    with pytest.raises(InputError, match="^the images cannot be read$"):
        train(elsewhere(options, "run", mask_images=2))
    assert not os.path.exists(os.path.join(options.model_dir, "run"))


def test_more_images_than_there_are():
    facts, test_set = catalog.describe_data("digits"), catalog.load_images("digits", None, "test")
    few = test_set._replace(images=test_set.images[:9], labels=test_set.labels[:9])
    loader = ArrayLoader(few, Transform(facts.mean, facts.std, 10), 4)
    for count, notes in ((10, ["mask_images=10: all 9 test images are taken"]), (9, [])):
        found: List[Remark] = []
        with handle_remarks(found.append):
            rows = mask_log.MaskLog(TrainingOptions(dataset="digits", mask_images=count), loader, facts).rows
        assert len(rows) == 9 and [str(remark) for remark in found] == notes


def test_the_hook_builds_a_net_only_for_epochs_it_draws(monkeypatch):
    facts, test_set = catalog.describe_data("digits"), catalog.load_images("digits", None, "test")
    loader = ArrayLoader(test_set, Transform(facts.mean, facts.std, 10), 4)
    hook = mask_log.MaskLog(TrainingOptions(dataset="digits", mask_images=2, mask_period=3, epochs=7), loader, facts)
    logged, nets = [], iter("abcdefg")
    monkeypatch.setattr(hook, "pictures", lambda net: {"net": net})
    log = types.SimpleNamespace(pictures=lambda step, images: logged.append((step, images["net"])))
    for epoch in range(1, 8):
        hook(epoch, 10 * epoch, log, lambda: next(nets))
    assert logged == [(10, "a"), (30, "b"), (60, "c"), (70, "d")]
