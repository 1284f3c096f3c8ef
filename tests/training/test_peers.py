"""Test the training step against a second implementation that uses only NumPy.

The second implementation computes the parameters from the images as read. It covers crops, mixup, label smoothing,
gradients derived by hand, Nesterov momentum, weight decay, warm-up and the cosine schedule. A network of two layers
replaces the networks of the package.
"""

import math
import random

import numpy as np
import pytest

from resattnet.datasets import catalog
from resattnet.machine.mxnet import mx
from resattnet.optimization.schedules import make_schedule
from resattnet.training.inputs import open_inputs
from resattnet.training.preparation import prepare_run
from resattnet.training.step import make_step

pytestmark = pytest.mark.isa

STEPS, BATCH, HIDDEN, CLASSES = 10, 16, 12, 10
SEED, LR, MOMENTUM, WD, EPSILON, ALPHA = 7, 0.05, 0.9, 0.01, 0.1, 0.8
EPOCHS, EPOCH_STEPS, WARMUP_STEPS = 3, 4, 4
MEAN, STD = 0.3054, 0.3228  # of the digits; all channels have the same values


def two_layers():
    net = mx.gluon.nn.HybridSequential()
    net.add(
        mx.gluon.nn.Flatten(),
        mx.gluon.nn.Dense(HIDDEN, activation="relu", in_units=3 * 16 * 16),
        mx.gluon.nn.Dense(CLASSES, in_units=HIDDEN),
    )
    net.initialize(mx.init.MSRAPrelu(), ctx=[mx.cpu()])
    net.hybridize(static_alloc=True, static_shape=True)
    return net


class Peer:
    """Second implementation of the training step, with parameters and momenta in float64."""

    def __init__(self, values, no_wd, max_norm):
        self.values = {name: value.astype(np.float64) for name, value in values.items()}
        self.momenta = {name: np.zeros_like(value) for name, value in self.values.items()}
        self.no_wd, self.max_norm = no_wd, max_norm

    def rate(self, step):
        """Return the learning rate: linear from LR / WARMUP_STEPS to LR, then half a cosine to nearly 0."""
        if step < WARMUP_STEPS:
            return LR * (step + 1) / WARMUP_STEPS
        steps = EPOCHS * EPOCH_STEPS - WARMUP_STEPS
        end = LR * 0.5 * (1 - math.cos(math.pi / steps))  # one step before a cosine that is a step longer reaches 0
        return end + (LR - end) * 0.5 * (1 + math.cos(math.pi * (step - WARMUP_STEPS) / (steps - 1)))

    def batch(self, image_set, step):
        """Return the images and targets of a step.

        One image after another is taken from the set, padded, cropped and normalised, and its target is smoothed. The
        images and the targets are then mixed.
        """
        epoch, number = divmod(step, EPOCH_STEPS)
        order = np.random.default_rng((SEED, epoch)).permutation(64)[number * BATCH : (number + 1) * BATCH]
        draws = np.random.default_rng((SEED, epoch, number))
        tops, lefts = draws.integers(0, 9, (2, BATCH))
        weight = draws.beta(ALPHA, ALPHA)
        images, targets = [], []
        for row, top, left in zip(order, tops, lefts):
            padded = np.zeros((24, 24, 3))
            padded[4:20, 4:20] = image_set.images[row]
            crop = padded[top : top + 16, left : left + 16].transpose(2, 0, 1)
            images.append((crop / 255 - MEAN) / STD)
            targets.append([1 - EPSILON if k == image_set.labels[row] else EPSILON / 9 for k in range(CLASSES)])
        images, targets = np.array(images).reshape(BATCH, -1), np.array(targets)
        return [weight * part + (1 - weight) * part[::-1] for part in (images, targets)]

    def gradients(self, x, targets):
        """Return the gradients of the mean cross-entropy."""
        w1, b1, w2, b2 = (self.values[name] for name in ("1.weight", "1.bias", "2.weight", "2.bias"))
        hidden = np.maximum(x @ w1.T + b1, 0)
        logits = hidden @ w2.T + b2
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        back = (exponents / exponents.sum(axis=1, keepdims=True) - targets) / len(x)
        below = back @ w2 * (hidden > 0)
        return {
            "2.weight": back.T @ hidden,
            "2.bias": back.sum(axis=0),
            "1.weight": below.T @ x,
            "1.bias": below.sum(axis=0),
        }

    def step(self, image_set, step):
        """Update with Nesterov momentum: v = m v - lr (g + wd p); p = p + m v - lr (g + wd p).

        MXNet's `nag_mom_update` stores the new p before it computes v. The weight decay in v therefore uses the new p.
        """
        gradients = self.gradients(*self.batch(image_set, step))
        norm = math.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))
        scale = min(1, self.max_norm / norm)
        for name, value in self.values.items():
            wd = 0 if self.no_wd and name.endswith("bias") else WD
            rate, gradient, momentum = self.rate(step), scale * gradients[name], MOMENTUM * self.momenta[name]
            fall = rate * (gradient + wd * value)
            value += MOMENTUM * (momentum - fall) - fall
            self.momenta[name] = momentum - rate * (gradient + wd * value)
        return norm


@pytest.mark.parametrize("no_wd, max_norm", [(False, None), (True, 3.5)])
def test_ten_steps_of_a_second_implementation(options, no_wd, max_norm):
    given = dict(
        vars(options),
        seed=SEED,
        lr=LR,
        momentum=MOMENTUM,
        wd=WD,
        epsilon=EPSILON,
        alpha=ALPHA,
        mix_up=True,
        no_wd=no_wd,
        clip_gradient=max_norm,
    )
    given = type(options)(**given)
    mx.random.seed(SEED)
    inputs, net = open_inputs(given, [mx.cpu()]), two_layers()
    train_step = make_step(net, given, [mx.cpu()], make_schedule(given, 1, len(inputs.train_loader)), soft_labels=True)
    image_set = catalog.load_images("digits", None, "train")

    def values():
        return {name: p.data().asnumpy() for name, p in net._collect_params_with_prefix().items()}

    peer, start, norms = Peer(values(), no_wd, max_norm or math.inf), values(), []
    batches = (batch for epoch in range(EPOCHS) for batch in inputs.train_loader.epoch(epoch))
    for step, batch in zip(range(STEPS), batches):
        assert np.abs(batch[0].reshape(BATCH, -1) - peer.batch(image_set, step)[0]).max() < 1e-5
        train_step(*batch)
        norms.append(peer.step(image_set, step))
    assert max_norm is None or min(norms) < max_norm < max(norms)
    for name, value in values().items():
        assert np.abs(value - start[name]).max() > 1e-2, name
        assert np.abs(value - peer.values[name]).max() < 1e-5, name


def test_one_seed_covers_python_numpy_and_mxnet(options):
    draws = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        random.random()
        prepare_run(type(options)(**dict(vars(options), name=name, seed=seed)), [mx.cpu()])
        draws.append((random.random(), float(np.random.random()), float(mx.nd.random.uniform().asscalar())))
    assert draws[0] == draws[1] and all(a != b for a, b in zip(draws[0], draws[2]))
