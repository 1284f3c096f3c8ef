"""Test AdamW and LAMB: their steps against NumPy and PyTorch, their states, and resumed runs."""

import dataclasses
import os

import numpy as np
import pytest

from helpers.runs import assert_equal_runs, elsewhere, resume, stop_run
from resattnet.commands.training_run import train
from resattnet.machine.mxnet import mx
from resattnet.optimization import optimizer
from resattnet.run_options.options import TrainingOptions
from resattnet.run_options.resume import load_for_resume, merge_options
from resattnet.runs import states
from resattnet.system.errors import InputError
from resattnet.training.state_arrays import restore_arrays, state_arrays

SAMPLES, STEPS = 8, 4
RATES = (0.02, 0.05, 0.03, 0.01)


def rate(step):
    """Return a learning rate that changes at each step, as a schedule's does."""
    return RATES[step % STEPS]


def make_dense(devices, dtype="float32"):
    """Return a layer with the parameters `weight` (5, 3) and `bias` (5,), neither of them zero."""
    net = mx.gluon.nn.Dense(5, in_units=3)
    net.initialize(ctx=devices)
    net.cast(dtype)
    rng = np.random.default_rng(1)
    for parameter in net.collect_params().values():
        parameter.set_data(mx.nd.array(rng.normal(size=parameter.shape), dtype=dtype))
    return net


def gradients(step, parameter):
    """Return the gradient of a parameter at a step, summed over the samples, float32."""
    return np.random.default_rng((step, parameter.shape[0], len(parameter.shape))).normal(size=parameter.shape) * 3


def descend(net, trainer, steps, max_norm=None):
    """Take steps along made-up gradients, of which each device has an equal part."""
    for step in steps:
        for parameter in net.collect_params().values():
            for data, array in zip(parameter.list_data(), parameter.list_grad()):
                array[:] = gradients(step, parameter) / len(parameter.list_ctx())
                data._fresh_grad = True
        optimizer.update(trainer, SAMPLES, max_norm)


def adamw(w, m, v, t, lr, wd):
    """Return the change of a weight as PyTorch's documentation has it."""
    decayed = w - lr * wd * w
    return decayed - lr * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8)


def lamb(w, m, v, t, lr, wd):
    """Return the change of a weight as algorithm 2 of arXiv 1904.00962 has it, where phi is the identity."""
    ratio = (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-6) + wd * w
    return w - lr * np.linalg.norm(w) / np.linalg.norm(ratio) * ratio


def expected(net, step_rule, wd, no_wd, max_norm=None):
    """Return the parameters after all steps, computed in float64."""
    values = {name: p.data(p.list_ctx()[0]).asnumpy().astype(np.float64) for name, p in net.collect_params().items()}
    means = {name: (0.0, 0.0) for name in values}
    for step in range(STEPS):
        found = {name: gradients(step, p) / SAMPLES for name, p in net.collect_params().items()}
        norm = np.sqrt(sum((g**2).sum() for g in found.values()))
        for name, g in found.items():
            g = g * min(1, max_norm / norm) if max_norm else g
            m, v = (0.8 * means[name][0] + 0.2 * g, 0.95 * means[name][1] + 0.05 * g**2)
            means[name] = m, v
            decay = 0 if no_wd and name.endswith("bias") else wd
            values[name] = step_rule(values[name], m, v, step + 1, rate(step), decay)
    return values


OWN = dict(beta1=0.8, beta2=0.95, wd=0.3)


@pytest.mark.parametrize("name, step_rule", [("adamw", adamw), ("lamb", lamb)])
@pytest.mark.parametrize("devices, no_wd, max_norm", [(1, False, None), (1, True, 0.5), (2, True, None)])
def test_steps_against_numpy(name, step_rule, devices, no_wd, max_norm):
    net = make_dense([mx.cpu(number) for number in range(devices)])
    wanted = expected(net, step_rule, 0.3, no_wd, max_norm)
    before = {key: p.list_data()[0].asnumpy() for key, p in net.collect_params().items()}
    descend(
        net, optimizer.make_trainer(net, TrainingOptions(optimizer=name, no_wd=no_wd, **OWN), rate), range(4), max_norm
    )
    for key, parameter in net.collect_params().items():
        for data in parameter.list_data():
            assert np.abs(data.asnumpy() - before[key]).max() > 0.02
            np.testing.assert_allclose(data.asnumpy(), wanted[key], rtol=2e-5, atol=2e-6)


def test_adamw_has_the_numbers_of_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    net = make_dense([mx.cpu()])
    theirs = {key: torch.nn.Parameter(torch.tensor(p.data().asnumpy())) for key, p in net.collect_params().items()}
    update = torch.optim.AdamW(theirs.values(), lr=1.0, betas=(0.8, 0.95), weight_decay=0.3)
    for step in range(STEPS):
        update.param_groups[0]["lr"] = rate(step)
        for key, parameter in net.collect_params().items():
            theirs[key].grad = torch.tensor(gradients(step, parameter) / SAMPLES, dtype=torch.float32)
        update.step()
    descend(net, optimizer.make_trainer(net, TrainingOptions(optimizer="adamw", **OWN), rate), range(4))
    for key, parameter in net.collect_params().items():
        np.testing.assert_allclose(parameter.data().asnumpy(), theirs[key].detach().numpy(), rtol=2e-5, atol=2e-6)


def test_lamb_moves_weights_that_are_zero():
    """The norm of the weights scales the update, and is replaced by 1 where it is 0: as with --zero-gamma 1."""
    net = make_dense([mx.cpu()])
    net.weight.set_data(mx.nd.zeros((5, 3)))
    descend(net, optimizer.make_trainer(net, TrainingOptions(optimizer="lamb", **OWN), rate), [0])
    assert np.allclose(np.abs(net.weight.data().asnumpy()), rate(0), rtol=1e-3)


@pytest.mark.parametrize("beta1, beta2", [(0.0, 0.0), (0.9999, 0.99999)])
@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_the_first_step_is_as_long_at_the_bounds_of_the_betas(name, beta1, beta2):
    """With bias correction, the first step follows the signs of the gradient, whatever the betas."""
    net = make_dense([mx.cpu()])
    before = net.weight.data().asnumpy()
    options = TrainingOptions(optimizer=name, beta1=beta1, beta2=beta2, wd=0.0)
    descend(net, optimizer.make_trainer(net, options, rate), [0])
    length = rate(0) * (np.linalg.norm(before) / np.sqrt(before.size) if name == "lamb" else 1)
    moved = before - net.weight.data().asnumpy()
    np.testing.assert_allclose(moved, length * np.sign(gradients(0, net.weight)), rtol=0.02)


@pytest.mark.parametrize("name", ["adamw", "lamb"])
@pytest.mark.parametrize("dtype, parts", [("float32", 2), ("float16", 3)])
def test_a_state_has_both_means_and_the_master_weights(name, dtype, parts):
    """Two steps, the state restored in another network, and two more steps: the same bits as four steps."""
    options = TrainingOptions(optimizer=name, **OWN)
    object.__setattr__(options, "float16", dtype == "float16")  # on a CPU, the options refuse it
    nets = [make_dense([mx.cpu()], dtype) for _ in range(2)]
    trainers = [optimizer.make_trainer(net, options, rate) for net in nets]
    descend(nets[0], trainers[0], [0, 1])
    saved = state_arrays(nets[0], trainers[0])
    assert sorted(key for key in saved if key.startswith("optimizer/weight")) == [
        f"optimizer/weight/{number}" for number in range(parts)
    ]
    assert all(array.dtype == np.float32 for key, array in saved.items() if key.startswith("optimizer/"))
    restore_arrays(saved, nets[1], trainers[1], 2)
    for net, trainer in zip(nets, trainers):
        descend(net, trainer, [2, 3])
    ends = [state_arrays(net, trainer) for net, trainer in zip(nets, trainers)]
    assert set(ends[0]) == set(ends[1]) and all((ends[1][key] == array).all() for key, array in ends[0].items())
    assert not all((saved[key] == array).all() for key, array in ends[0].items())


@pytest.mark.parametrize(
    "changes",
    [
        dict(optimizer="adamw", num_cpus=2, ema=0.9, mix_up=True, no_wd=True),
        dict(optimizer="lamb", accumulate=2, clip_gradient=0.5, zero_gamma=True),
    ],
)
def test_a_stopped_run_resumes_to_the_same_bits(options, monkeypatch, changes):
    options = dataclasses.replace(options, batch_size=8, epochs=2, **changes)
    whole = train(elsewhere(options, "whole"))
    stop_run(options, monkeypatch, 3)
    run = resume(options)
    assert_equal_runs(run, whole)
    ends = [state_arrays(one.step.net, one.step.trainer) for one in (run, whole)]
    assert all((ends[1][key] == array).all() for key, array in ends[0].items())


def test_a_state_without_a_mean_is_refused(options):
    options = dataclasses.replace(options, epochs=1, optimizer="adamw")
    folder = train(options).folder
    state = states.load_state(folder)
    arrays = {key: array for key, array in state.arrays.items() if key != "optimizer/output.weight/1"}
    states.save_state(folder, arrays, dict(state.progress, options=state.options))
    with pytest.raises(InputError, match="it has no array optimizer/output.weight/1"):
        train(*load_for_resume(folder, {"epochs": 2}))
    assert os.path.exists(os.path.join(folder, "previous.state"))


def test_rate_and_decay_of_each_optimizer():
    own = {name: TrainingOptions(optimizer=name) for name in ("nag", "sgd", "adamw", "lamb")}
    assert [one.learning_rate(1) for one in own.values()] == [0.1, 0.1, 1e-3, 5e-3]
    assert [one.weight_decay for one in own.values()] == [1e-4, 1e-4, 0.05, 0.02]
    assert TrainingOptions(optimizer="adamw", lr=0.1, wd=0.0).effective["wd"] == 0
    assert own["adamw"].title.endswith("_adamw")


def test_options_of_another_optimizer_are_refused():
    with pytest.raises(InputError, match="^momentum=0.8 optimizer=lamb: .* no momentum, .*; give beta1$"):
        TrainingOptions(optimizer="lamb", momentum=0.8)
    with pytest.raises(InputError, match="^beta2=0.9 has no effect without optimizer=adamw or optimizer=lamb$"):
        TrainingOptions(beta2=0.9)
    with pytest.raises(InputError, match="^min_lr=0.01: the highest learning rate is 0.001; give a lower one$"):
        TrainingOptions(optimizer="adamw", min_lr=0.01)
    recipe = TrainingOptions(momentum=0.8)
    assert merge_options(recipe, dict(optimizer="adamw")).momentum == 0.9
    assert merge_options(TrainingOptions(optimizer="adamw", beta1=0.8), dict(optimizer="sgd")).beta1 == 0.9
