"""Tests for distillation.

The loss is compared with its formula, and the gradient with its closed form. The teacher computes its logits as in
testing. Invalid teachers and options are refused.
"""

import dataclasses
import json
import os

import numpy as np
import pytest

from helpers.jobs import assert_same_bits
from helpers.runs import elsewhere, resume, values
from resattnet.commands.training_run import train
from resattnet.data.mixing import smooth
from resattnet.datasets import catalog
from resattnet.machine.mxnet import mx
from resattnet.models.network import build
from resattnet.optimization.distillation import DistillationLoss, Teacher
from resattnet.run_options.options import TrainingOptions
from resattnet.runs import states
from resattnet.system.errors import InputError
from resattnet.system.files import digest, write_json
from resattnet.training.preparation import prepare_run
from resattnet.zoo import packaged, parameters


def softmax(logits):
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def formula(logits, targets, answers, weight, temperature):
    """Return the loss of each sample."""
    cross_entropy = -(targets * np.log(softmax(logits))).sum(axis=1)
    ours, theirs = softmax(logits / temperature), softmax(answers / temperature)
    divergence = (theirs * np.log(theirs / ours)).sum(axis=1)
    return (1 - weight) * cross_entropy + weight * temperature**2 * divergence


@pytest.mark.parametrize("weight, temperature", [(0.5, 4.0), (0.9, 1.0), (1.0, 20.0)])
@pytest.mark.parametrize("sparse", [True, False])
def test_loss_and_gradient(weight, temperature, sparse):
    rng = np.random.default_rng(0)
    logits, answers = rng.normal(size=(2, 6, 5)) * 3
    labels = rng.integers(0, 5, 6)
    targets = np.eye(5)[labels] if sparse else smooth(labels, 5, 0.2)
    loss = DistillationLoss(mx.gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=sparse), weight, temperature)
    given = mx.nd.array(logits)
    given.attach_grad()
    with mx.autograd.record():
        result = loss(given, mx.nd.array(labels if sparse else targets), mx.nd.array(answers))
    result.backward()
    assert np.allclose(result.asnumpy(), formula(logits, targets, answers, weight, temperature), rtol=5e-4)
    gradient = (1 - weight) * (softmax(logits) - targets) + weight * temperature * (
        softmax(logits / temperature) - softmax(answers / temperature)
    )
    assert np.allclose(given.grad.asnumpy(), gradient, atol=1e-4)


@pytest.fixture
def teacher(options):
    """Return the path of the best parameters of a one-epoch run."""
    return os.path.join(train(elsewhere(options, "teacher", epochs=1, seed=5)).folder, "best.params")


def test_the_teacher_runs_in_inference_mode(options, teacher):
    run = prepare_run(elsewhere(options, "student", teacher=teacher, temperature=3.0, epsilon=0.1), [mx.cpu()])
    plain = build(run.step.net.spec)
    parameters.load_parameters(plain, teacher, [mx.cpu()])
    before = {name: p.data().asnumpy() for name, p in run.step.teacher._net._collect_params_with_prefix().items()}
    images, targets = next(run.inputs.train_loader.epoch(0))
    graph, outputs = run.step.graph, []

    def noted(x):
        outputs.append(graph(x))
        return outputs[-1]

    run.step.graph = noted
    start = values(run)
    run.step(images, targets)
    run.step.meter.collect()
    expected = formula(
        outputs[0].asnumpy().astype(np.float64),
        targets,
        plain(mx.nd.array(images)).asnumpy().astype(np.float64),
        0.5,
        3.0,
    )
    assert run.step.meter.mean_loss == pytest.approx(expected.mean(), rel=1e-4)
    assert any((value != start[name]).any() for name, value in values(run).items())
    for name, parameter in run.step.teacher._net._collect_params_with_prefix().items():
        assert (parameter.data().asnumpy() == before[name]).all(), name


def test_a_distilled_run_resumes_with_its_teacher_only(options, teacher):
    run = train(elsewhere(options, "run", epochs=1, lr_schedule="step", lr_steps=(50,), teacher=teacher))
    assert run.progress.teacher == parameters.read_description(teacher)["sha256"]
    own = os.path.join(run.folder, "last.params")
    with pytest.raises(InputError, match="is not the teacher that the run started with"):
        resume(run.options, epochs=2, teacher=own)
    whole = train(elsewhere(run.options, "whole", epochs=2))
    again = resume(run.options, epochs=2)
    assert_same_bits(values(whole), values(again))
    assert states.load_state(run.folder).progress["teacher"] == run.progress.teacher


def refused(path, dataset="digits", **changes):
    facts = dataclasses.replace(catalog.describe_data("digits"), **changes)
    with pytest.raises(InputError) as error:
        Teacher(path, dataset, facts, [mx.cpu()])
    assert "\n" not in str(error.value) and str(error.value).startswith("teacher: ")
    return str(error.value)


def ours_only(folder, listdir=os.listdir):
    """List the folder of packaged parameters. Raise PermissionError for any other folder, such as a folder of runs."""
    if folder != packaged.FOLDER:
        raise PermissionError(13, "Permission denied", folder)
    return listdir(folder)


def test_unusable_teacher_files(options, teacher, monkeypatch):
    folder = os.path.dirname(teacher)
    line = refused(os.path.join(folder, "bets.params"))
    assert f"bets.params: no such parameter file; did you mean {teacher}?" in line
    assert refused(os.path.join(folder, "x")).endswith("x: no such parameter file")
    assert refused("nowhere/best.params").endswith("nowhere/best.params: no such parameter file")
    home, run = os.path.split(folder)
    wrong = os.path.join(home, run[:-1], os.path.basename(teacher))
    assert refused(wrong).endswith(f"{wrong}: no such parameter file; did you mean {teacher}?")
    monkeypatch.setattr(os, "listdir", ours_only)
    assert refused(wrong).endswith(f"{wrong}: no such parameter file")
    assert refused(os.path.join(folder, "bets.params")).endswith("bets.params: no such parameter file")
    monkeypatch.undo()
    line = refused(teacher, "cifar100", classes=tuple(map(str, range(100))))
    assert "was trained on digits (10 classes), this run is on cifar100 (100 classes)" in line
    with open(teacher, "r+b") as handle:
        handle.seek(5000)
        handle.write(b"damage")
    assert "best.params is damaged" in refused(teacher)
    description = teacher.replace(".params", ".json")
    with open(description) as handle:
        whole = json.load(handle)
    del whole["description_sha256"]
    for other, message in (
        ([], "best.json is damaged (it is not a JSON object with an object network)"),
        (dict(whole, network=[]), "best.json is damaged (it is not a JSON object with an object network)"),
        (dict(whole, network=dict(whole["network"], depth=3)), "does not name the network"),
        (dict(whole, network=dict(classes=10)), "does not name the network"),
        (dict(whole, network=dict(whole["network"], num_layers=57)), "57"),
    ):
        write_json(description, dict(other, sha256=digest(teacher)) if other else other)
        assert message in refused(teacher)
    os.remove(description)
    assert "has no description beside it" in refused(teacher)


def test_options_of_a_teacher_without_one():
    for changes in (dict(temperature=3.0), dict(teacher_weight=0.1)):
        with pytest.raises(InputError, match="^[a-z_]+=[0-9.]+ has no effect without teacher$"):
            TrainingOptions(**changes)
    with pytest.raises(InputError, match="^teacher_weight=1.5: give a number at most 1"):
        TrainingOptions(teacher="x", teacher_weight=1.5)
    assert dataclasses.replace(TrainingOptions(), teacher="x", ema=0.9).title == "cifar10_attention56_ema_distilled"
