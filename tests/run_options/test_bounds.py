"""Test the bounds of numbers: each float has them, the messages give their reasons, and training at them ends."""

import dataclasses
import typing

import numpy as np
import pytest

from helpers.words import options_class, outcome
from resattnet.commands import COMMANDS, load_command
from resattnet.commands.training_run import train
from resattnet.data import mixing
from resattnet.machine.mxnet import mx
from resattnet.optimization.distillation import DistillationLoss
from resattnet.options.fields import flag_name
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError

CLASSES = {name: options_class(name) for name in COMMANDS if options_class(name)}
# Whole numbers without a highest value of their own: the highest of all is that of 32 bits.
COUNTS = {
    *("max_steps", "patience", "warmup_epochs", "mixup_off_epochs", "log_interval", "save_period", "mask_period"),
    *("corruption_images", "gpus", "channels", "lr_steps", "lr_restarts"),
}


def number_fields():
    """Yield the command, field and kind (int or float) of each option that is a number or a list of numbers."""
    for name, found in CLASSES.items():
        hints = typing.get_type_hints(found)
        for field in dataclasses.fields(found):
            kinds = set(typing.get_args(hints[field.name])) or {hints[field.name]}
            for kind, others in ((float, ()), (int, (typing.Tuple[int, ...],))):
                if not field.metadata["choices"] and kinds & {kind, *others}:
                    yield name, field, kind


FIELDS = list(number_fields())
MORE = {
    "predict": ["--params=x", "x.jpg"],
    "show-masks": ["--params=x", "x.jpg"],
    "report": ["run"],
    "test": ["--params=x"],
}
MORE["launch"], MORE["serve"] = ["train"], ["--params=x"]
MORE["export"], MORE["make-records"] = ["--params=x"], ["--images=x", "--name=x"]


def test_the_fields_are_found():
    assert {"lr", "alpha", "batch_size", "top", "size", "image_size", "repeats", "hardest"} <= {
        field.name for _, field, _ in FIELDS
    }


@pytest.mark.parametrize("name, field, kind", FIELDS, ids=lambda value: getattr(value, "name", str(value)))
def test_each_number_has_bounds(name, field, kind):
    limits = field.metadata
    highest = limits["high"] if limits["high"] is not None else limits["below"]
    if field.name not in COUNTS:
        assert highest is not None
        assert (limits["low"] if limits["low"] is not None else limits["above"]) is not None
    flag, more = flag_name(field.name), MORE.get(name, [])
    for value in (
        "-1",
        "1e999",
        "nan",
        "1e308" if kind is float else "9" * 400,
        "1e-320" if kind is float else "2147483648",
    ):
        code, line = outcome(name, [f"{flag}={value}", *more])
        assert code == 2 and line.startswith(f"resattnet {name}: {flag} ") and line.count("\n") == 1, (value, line)
    for limit in ("low", "high"):
        value = limits[limit]
        if value is None:
            continue
        code, line = outcome(name, [f"{flag}={value}", *more])
        assert code == 0 or "give a number" not in line, line  # it may need other options
        over = (value * 10 + 1) if limit == "high" else value / 10 if kind is float and value else value - 1
        code, line = outcome(name, [f"{flag}={over}", *more])
        assert code == 2 and line.startswith(f"resattnet {name}: {flag} ") and "give a number" in line
        if limits["why_" + limit]:
            assert limits["why_" + limit] in line or limits["above"] is not None


@pytest.mark.parametrize("alpha", [0.01, 1000.0])
def test_mixing_at_the_bounds_of_alpha_ends(alpha):
    metadata = TrainingOptions.__dataclass_fields__["alpha"].metadata
    assert (metadata["low"], metadata["high"]) == (0.01, 1000)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        images, targets = np.ones((2, 3, 4, 4), np.float32), np.eye(2, dtype=np.float32)
        for mix in (mixing.mixup, mixing.cutmix):
            _, mixed = mix(images, targets.copy(), alpha, rng)
            assert np.isfinite(mixed).all()


@pytest.mark.parametrize("weight", [1e-6, 1.0])
@pytest.mark.parametrize("temperature", [0.01, 1000.0])
def test_distillation_at_the_bounds_is_finite(weight, temperature):
    fields = TrainingOptions.__dataclass_fields__
    assert (fields["temperature"].metadata["low"], fields["temperature"].metadata["high"]) == (0.01, 1000)
    assert (fields["teacher_weight"].metadata["low"], fields["teacher_weight"].metadata["high"]) == (1e-6, 1)
    loss = DistillationLoss(mx.gluon.loss.SoftmaxCrossEntropyLoss(), weight, temperature)
    logits = mx.nd.array([[9.0, -9.0, 0.0]])
    assert np.isfinite(loss(logits, mx.nd.array([1]), -logits).asnumpy()).all()


LOWEST = dict(lr=1e-10, wd=1e-10, momentum=1e-6, clip_gradient=1e-6, ema=0.001, epsilon=1e-6, label_noise=1e-6)
HIGHEST = dict(wd=10.0, momentum=1 - 1e-16, clip_gradient=1e6, ema=0.9999999, epsilon=1 - 1e-16, label_noise=1.0)


@pytest.mark.parametrize(
    "changes",
    [
        LOWEST,
        dict(HIGHEST, lr=0.1),
        dict(lr=1e4),
        dict(lr_per_256=1e4),
        dict(lr=0.1, min_lr=1e-12),
        dict(lr=0.1, min_lr=0.0999),
        dict(lr_restarts=(2,), lr_restart_factor=1e-6),
        dict(mix_up=True, alpha=0.01, save_minutes=0.0, log_interval=2**31 - 1, save_period=2**31 - 1),
        dict(save_minutes=1e6, max_steps=2**31 - 1),
    ],
)
def test_training_at_the_bounds_ends_with_a_result_or_one_line(options, changes):
    try:
        run = train(dataclasses.replace(options, **changes))
    except InputError as error:
        assert "not finite" in str(error) and "\n" not in str(error)
    else:
        assert run.progress.epoch == 3


@pytest.mark.parametrize("given", [dict(image_size=1), dict(image_size=8192), dict(classes=1), dict(classes=1_000_000)])
def test_a_summary_at_the_bounds_is_printed(given, capsys):
    load_command("summary").main(dict(given, widths="thin"))
    assert capsys.readouterr().out.splitlines()[-1].startswith("total")
