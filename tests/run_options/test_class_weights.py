"""Tests for `--class-weights` and `--sampler`: weights, losses and gradients against NumPy, and runs that resume."""

import dataclasses

import numpy as np
import pytest

from helpers.runs import assert_equal_runs, elsewhere, fix_statistics, resume, stop_run, values
from resattnet.commands.training_run import train
from resattnet.data.transforms import smooth
from resattnet.datasets import catalog
from resattnet.machine.devices import choose_devices
from resattnet.machine.mxnet import mx
from resattnet.optimization.distillation import DistillationLoss
from resattnet.optimization.weighted_loss import WeightedLoss
from resattnet.run_options.class_weights import class_weights
from resattnet.run_options.options import TrainingOptions
from resattnet.run_options.resume import merge_options
from resattnet.system.errors import InputError
from resattnet.training.preparation import prepare_run

CLASSES = ("cat", "dog", "owl")


def softmax(logits):
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


# Weights


@pytest.mark.parametrize(
    "text, counts, sampler, expected",
    [
        ("balanced", (10, 20, 70), "shuffled", (100 / 30, 100 / 60, 100 / 210)),
        ("balanced", (30, 0, 60), "shuffled", (1.5, 1, 0.75)),
        ("1,2,0.5", (1, 1, 1), "shuffled", (6 / 7, 12 / 7, 3 / 7)),
        ("1,2,0.5", (20, 60, 20), "shuffled", (1 / 1.5, 2 / 1.5, 0.5 / 1.5)),
        ("1,2,0.5", (20, 60, 20), "balanced", (6 / 7, 12 / 7, 3 / 7)),
        ("1,2,0.5", (20, 60, 0), "balanced", (1 / 1.5, 2 / 1.5, 0.5 / 1.5)),
        ("owl=3", (50, 25, 25), "shuffled", (1 / 1.5, 1 / 1.5, 2)),
        ("dog=0.5,cat=2", (1, 1, 2), "shuffled", (2 / 1.125, 0.5 / 1.125, 1 / 1.125)),
        ("7,7,7", (1, 2, 3), "shuffled", (1, 1, 1)),
    ],
)
def test_weights_have_a_mean_of_one_over_the_images_of_an_epoch(text, counts, sampler, expected):
    weights = class_weights(text, CLASSES, np.array(counts), sampler)
    assert weights.dtype == np.float32 and np.allclose(weights, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "text, message",
    [
        ("1,2", "these are 2 weights, and the data set has 3 classes"),
        ("cat=2,dgo=1", r"the data set has no class dgo; did you mean dog\?"),
        ("zebra=2", "the data set has no class zebra; its classes are cat, dog, owl"),
    ],
)
def test_weights_that_do_not_fit_the_classes_are_refused(text, message):
    with pytest.raises(InputError, match=f"^class_weights={text}: {message}$"):
        class_weights(text, CLASSES, np.array([1, 2, 3]), "shuffled")


def test_an_unknown_class_among_many_is_refused_with_ten_names():
    with pytest.raises(InputError) as error:
        class_weights("zebra=2", tuple(f"n{number:04d}" for number in range(1000)), np.ones(1000, int), "shuffled")
    assert str(error.value).endswith(
        "the data set has no class zebra; its classes are "
        + ", ".join(f"n{number:04d}" for number in range(10))
        + ", ..."
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "give balanced, a number for each class"),
        ("equal", "give balanced, a number for each class, as 1,2,0.5, or classes, as cat=2,dog=1"),
        ("1,,2", "give balanced"),
        ("cat=", "give balanced"),
        ("1,nan", "give weights from 1e-06 to 1e\\+06"),
        ("1,0", "give weights from 1e-06"),
        ("1,-2", "give weights from 1e-06"),
        ("cat=1e9", "give weights from 1e-06"),
        ("cat=1,2", "give either all weights with classes, or none"),
        ("cat=1,cat=2", "give each class once"),
    ],
)
def test_wrong_lists_are_refused_before_the_data_is_read(text, message):
    with pytest.raises(InputError, match=message):
        TrainingOptions(class_weights=text)


# Loss and steps


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("distilled", [False, True])
def test_loss_and_gradient_against_numpy(sparse, distilled):
    rng = np.random.default_rng(0)
    logits, answers = rng.normal(size=(2, 6, 3)) * 3
    labels, weights = rng.integers(0, 3, 6).astype(np.int32), np.array([0.25, 1, 2.5], np.float32)
    targets = np.eye(3)[labels] if sparse else rng.dirichlet(np.ones(3), 6)
    loss = WeightedLoss(mx.gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=sparse), weights, [mx.cpu()])
    theirs = [mx.nd.array(labels, dtype="int32") if sparse else mx.nd.array(targets)]
    if distilled:
        loss = DistillationLoss(loss, 0.3, 1.0)
        theirs.append(mx.nd.array(answers))
    given = mx.nd.array(logits)
    given.attach_grad()
    with mx.autograd.record():
        result = loss(given, *theirs)
    result.backward()
    each = targets @ weights
    expected = -each * (targets * np.log(softmax(logits))).sum(axis=1)
    gradient = each[:, None] * (softmax(logits) - targets)
    if distilled:  # the term of the teacher has no weights
        divergence = (softmax(answers) * np.log(softmax(answers) / softmax(logits))).sum(axis=1)
        expected = 0.7 * expected + 0.3 * divergence
        gradient = 0.7 * gradient + 0.3 * (softmax(logits) - softmax(answers))
    assert np.allclose(result.asnumpy(), expected, rtol=1e-4)
    assert np.allclose(given.grad.asnumpy(), gradient, atol=1e-5)


@pytest.mark.parametrize("devices, accumulate", [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("soft", [False, True])
def test_a_step_follows_the_weighted_loss(options, devices, accumulate, soft):
    """The training loss and the step of the last layer's bias are the closed form, from the logits of the step."""
    text = "1,2,3,4,5,6,7,8,9,10"
    run = prepare_run(
        dataclasses.replace(
            options,
            class_weights=text,
            epsilon=0.1 if soft else 0.0,
            optimizer="sgd",
            momentum=0.0,
            wd=0.0,
            lr=1.0,
            warmup_epochs=0,
            batch_size=16 // devices // accumulate,
            num_cpus=devices,
            accumulate=accumulate,
        ),
        choose_devices(0, devices)[0],
    )
    fix_statistics(run.step.net)
    labels = np.random.default_rng(0).integers(0, 10, 16).astype(np.int32)
    images = np.random.default_rng(1).normal(size=(16, 3, 16, 16)).astype(np.float32)
    targets = smooth(labels, 10, 0.1) if soft else np.eye(10)[labels]
    graph, outputs = run.step.graph, []

    def noted(x):
        outputs.append(graph(x))
        return outputs[-1]

    run.step.graph = noted
    before = values(run)["output.bias"]
    run.step(images, targets if soft else labels)
    run.step.meter.collect()
    logits = np.concatenate([output.asnumpy() for output in outputs]).astype(np.float64)
    weights = class_weights(text, tuple("abcdefghij"), run.inputs.counts, "shuffled").astype(np.float64)
    each = targets @ weights
    losses = -each * (targets * np.log(softmax(logits))).sum(axis=1)
    assert run.step.meter.mean_loss == pytest.approx(losses.mean(), rel=1e-5)
    gradient = (each[:, None] * (softmax(logits) - targets)).mean(axis=0)
    assert np.allclose(before - values(run)["output.bias"], gradient, atol=1e-5)


def unequal(patch):
    """Make the training images of the small digits 40 zeros and 24 ones."""
    load = catalog.load_images

    def load_unequal(name, data_dir, split, **kwargs):
        whole = load(name, data_dir, split, **kwargs)
        if split == "train":
            whole = whole._replace(labels=(np.arange(len(whole.labels)) >= 40).astype(np.int32))
        return whole

    patch.setattr(catalog, "load_images", load_unequal)


def test_balanced_weights_count_the_images_that_are_trained_on(options, monkeypatch, capsys):
    unequal(monkeypatch)
    run = prepare_run(dataclasses.replace(options, class_weights="balanced", val_split=0.25), [mx.cpu()])
    assert run.inputs.counts.tolist() == [30, 18] + [0] * 8
    assert "weights in the training loss: 0.8 (0) to 1.333 (1)" in run.remarks
    seen = np.concatenate([labels for _, labels in run.inputs.train_loader.epoch(0)])
    weights = run.step.loss._weights[mx.cpu()].asnumpy()
    assert weights[seen].mean() == pytest.approx(1, rel=1e-6)
    assert weights[seen[seen == 0]].sum() == pytest.approx(weights[seen[seen == 1]].sum(), rel=1e-6)


def test_validation_is_not_weighted(options):
    plain, weighted = (
        train(elsewhere(options, name, lr=1e-10, epochs=1, class_weights=text))
        for name, text in (("plain", None), ("weighted", "1,2,3,4,5,6,7,8,9,10"))
    )
    rows = [run.progress.history[0] for run in (plain, weighted)]
    assert rows[0]["validation_loss"] == pytest.approx(rows[1]["validation_loss"], rel=1e-6)
    assert rows[0]["train_loss"] != pytest.approx(rows[1]["train_loss"], rel=1e-4)


def test_a_balanced_run_sees_each_class_as_often_and_resumes_within_an_epoch(options, monkeypatch):
    unequal(monkeypatch)
    options = dataclasses.replace(options, sampler="balanced", class_weights="1,3,1,1,1,1,1,1,1,1", mix_up=True)
    whole = train(elsewhere(options, "whole"))
    plain = prepare_run(elsewhere(options, "plain", mix_up=False), [mx.cpu()])
    seen = np.concatenate([labels for _, labels in plain.inputs.train_loader.epoch(1)])
    assert np.bincount(seen).tolist() == [32, 32]
    assert plain.step.loss._weights[mx.cpu()].asnumpy()[:2] == pytest.approx([0.5, 1.5])
    stop_run(options, monkeypatch, 6)
    assert_equal_runs(resume(options), whole)
    assert whole.options.title.endswith("_mixup_weighted_balanced")
    with pytest.raises(InputError, match="^sampler=shuffled: the run to resume has sampler=balanced"):
        resume(options, sampler="shuffled")


@pytest.mark.parametrize(
    "given, message",
    [
        (dict(sampler="sorted"), "^sampler=sorted: choose from shuffled, balanced$"),
        (
            dict(sampler="balanced", class_weights="balanced"),
            "^sampler=balanced class_weights=balanced: each makes all classes count the same",
        ),
        (
            dict(sampler="balanced", loader="dali", data_format="rec"),
            "^sampler=balanced loader=dali: DALI draws the or",
        ),
        (
            dict(class_weights="1,2", loader="dali", data_format="rec"),
            "^class_weights=1,2 loader=dali: DALI reads the ",
        ),
    ],
)
def test_options_that_exclude_each_other(given, message):
    with pytest.raises(InputError, match=message):
        TrainingOptions(**given)


def test_a_merge_drops_the_option_that_was_not_given():
    own = TrainingOptions(data_format="rec", sampler="balanced")
    assert merge_options(own, dict(class_weights="balanced")).sampler == "shuffled"
    assert merge_options(own, dict(loader="dali")).sampler == "shuffled"
    assert merge_options(TrainingOptions(params="a.params", freeze=("stem",)), dict(num_layers=92)).freeze is None
