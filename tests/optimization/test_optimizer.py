"""Tests for parameter updates: clipping against NumPy, weight decay per parameter, and the learning rate of a batch."""

import dataclasses

import numpy as np
import pytest

from helpers.runs import elsewhere, fix_statistics, values
from resattnet.machine.devices import split_batch
from resattnet.machine.mxnet import mx
from resattnet.optimization import optimizer
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError
from resattnet.training.preparation import prepare_run

DEVICES = ([mx.cpu(0)], [mx.cpu(0), mx.cpu(1)])


@pytest.mark.parametrize("max_norm", [1.0, 7.0, 1e4])
def test_clip_against_numpy(max_norm):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in [(3, 4), (5,), ()] + [(2, 1)] * 300]
    given = [mx.nd.array(array) for array in arrays if array.shape]
    arrays = [array for array in arrays if array.shape]
    norm = np.sqrt(sum((array.astype(np.float64) ** 2).sum() for array in arrays))
    assert 7 < norm < 1e4
    optimizer.clip_by_norm(given, max_norm)
    for array, clipped in zip(arrays, given):
        assert np.allclose(clipped.asnumpy(), array * min(1, max_norm / norm), rtol=1e-5)


def test_zero_gradients_stay_zero_and_non_finite_ones_show():
    zero, wrong = mx.nd.zeros(3), mx.nd.array([1, np.inf])
    optimizer.clip_by_norm([zero], 1.0)
    optimizer.clip_by_norm([wrong], 1.0)
    assert zero.asnumpy().tolist() == [0, 0, 0] and not np.isfinite(wrong.asnumpy()).all()


def moves(options, devices, **changes):
    """Return the decrease of each learned parameter in one step on a batch of 16.

    With plain SGD and a learning rate of 1, the decrease is the gradient that the step applied.
    """
    changes = dict(dict(optimizer="sgd", momentum=0.0, wd=0.0, lr=1.0, warmup_epochs=0), **changes)
    size = 16 // len(devices) // changes.get("accumulate", 1)
    run = prepare_run(dataclasses.replace(options, batch_size=size, **changes), devices)
    fix_statistics(run.step.net)
    learned = [name for name, p in run.step.net._collect_params_with_prefix().items() if p.grad_req != "null"]
    rng = np.random.default_rng(0)
    before = values(run)
    run.step(rng.normal(size=(16, 3, 16, 16)).astype(np.float32), rng.integers(0, 10, 16).astype(np.int32))
    after = values(run)
    return np.concatenate([(before[name] - after[name]).ravel().astype(np.float64) for name in learned])


@pytest.mark.parametrize("devices, accumulate", [(DEVICES[0], 1), (DEVICES[1], 1), (DEVICES[0], 2), (DEVICES[1], 2)])
def test_a_step_follows_the_clipped_gradient_of_the_mean_loss(options, devices, accumulate):
    gradient = moves(elsewhere(options, "whole"), DEVICES[0])
    norm = np.sqrt((gradient**2).sum())
    for name, share in (("half", 0.5), ("all", 2.0)):
        clipped = moves(elsewhere(options, name), devices, accumulate=accumulate, clip_gradient=norm * share)
        assert np.sqrt((clipped**2).sum()) == pytest.approx(norm * min(1, share), rel=1e-3)
        assert np.abs(clipped - min(1, share) * gradient).max() < 2e-3 * np.abs(gradient).max()


def test_gradients_are_summed_behind_casts_too():
    """Gradients are summed behind casts, as in mixed precision.

    MXNet's own sum of the gradients of a oneDNN cast is 0.
    """
    data, weight = mx.sym.var("data", dtype="float32"), mx.gluon.Parameter("w", shape=(3, 4))
    narrow = mx.sym.amp_cast(mx.sym.amp_cast(weight.var(), dtype=np.dtype([("bfloat16", np.uint16)])), dtype="float32")
    block = mx.gluon.SymbolBlock(mx.sym.broadcast_mul(data, narrow), data)
    (parameter,) = block.collect_params().values()
    parameter.shape = (3, 4)
    block.initialize(mx.init.One())
    block.hybridize(static_alloc=True, static_shape=True)
    total = optimizer.GradientSum(parameter.list_grad())
    for _ in range(2):
        for factor in (1, 2, 4):
            with mx.autograd.record():
                loss = block(mx.nd.ones((3, 4)) * factor).sum()
            loss.backward()
            total.add()
        total.write_back()
        assert (parameter.grad().asnumpy() == 7).all()


def test_logits_in_float16_learn_from_mixed_labels(options):
    """The loss and its gradient with float16 logits match those with float32 logits.

    Mixed labels are fractions, which integers cannot represent.
    """
    run = prepare_run(dataclasses.replace(options, mix_up=True), [mx.cpu()])
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(16, 3, 16, 16)).astype(np.float32), rng.dirichlet(np.ones(10), 16).astype(np.float32)
    gradients = []
    for graph in (run.step.net, lambda x: run.step.net(x).astype("float16")):
        run.step.graph = graph
        run.step.compute_gradients(split_batch(*batch, run.step.devices))
        gradients.append(run.step.net.output.weight.grad().asnumpy())
    assert 0 < np.abs(gradients[1] - gradients[0]).max() < 1e-2 * np.abs(gradients[0]).max()


@pytest.mark.parametrize("no_wd", [False, True])
def test_only_weights_decay(options, no_wd):
    run = prepare_run(
        dataclasses.replace(options, optimizer="sgd", momentum=0.0, wd=0.5, lr=0.1, warmup_epochs=0, no_wd=no_wd),
        [mx.cpu()],
    )
    for parameter in run.step.trainer._params:
        parameter.set_data(mx.nd.ones(parameter.shape))
        parameter.list_data()[0]._fresh_grad = True  # lets the trainer use the initial gradients, which are zero
    optimizer.update(run.step.trainer, 1)
    decayed = {name for name, value in values(run).items() if np.allclose(value, 1 - 0.1 * 0.5) and value.size}
    learned = {name for name, p in run.step.net._collect_params_with_prefix().items() if p.grad_req != "null"}
    weights = {name for name in learned if name.endswith("weight")}
    assert decayed == (weights if no_wd else learned)
    assert {name.rsplit(".", 1)[-1] for name in learned - weights} == {"gamma", "beta", "bias"}
    assert all((value == 1).all() for name, value in values(run).items() if name in learned - decayed)


@pytest.mark.parametrize("devices, accumulate", [(1, 1), (2, 1), (1, 4), (2, 2)])
def test_learning_rate_of_a_batch(options, devices, accumulate):
    batch = 8 // accumulate
    given = dataclasses.replace(
        options, lr=None, lr_per_256=0.4, warmup_epochs=0, batch_size=batch, accumulate=accumulate
    )
    assert given.learning_rate(devices) == pytest.approx(0.4 * batch * devices * accumulate / 256)
    run = prepare_run(given, [mx.cpu(number) for number in range(devices)])
    assert run.schedule(0) == pytest.approx(0.4 * batch * devices * accumulate / 256)


def test_the_learning_rate_is_given_once():
    assert TrainingOptions().learning_rate(8) == 0.1 and TrainingOptions(lr=0.3).learning_rate(8) == 0.3
    with pytest.raises(InputError, match="^lr=0.1 lr_per_256=0.1: give one of them$"):
        TrainingOptions(lr=0.1, lr_per_256=0.1)
