"""Test that learning-rate schedules match their closed form at every step."""

import math
import subprocess
import sys

import pytest

from resattnet.machine.mxnet import mx
from resattnet.optimization.schedules import OptimizerSchedule, learning_rate_schedule
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError


def cosine(step, length, highest, end=None):
    """Return the rate of a step of a cosine to `end`; by default to what one of `length` + 1 steps to 0 has there."""
    end = highest * (1 + math.cos(math.pi * (length - 1) / length)) / 2 if end is None else end
    return end + (highest - end) * (1 + math.cos(math.pi * step / max(length - 1, 1))) / 2


@pytest.mark.parametrize("steps, warmup", [(100, 10), (100, 0), (7, 1), (2, 1), (1, 0), (5, 5), (1, 3)])
def test_warmup_and_cosine(steps, warmup):
    schedule = learning_rate_schedule("cosine", 0.4, steps, warmup)
    warmup = min(warmup, steps)
    rest = steps - warmup
    for step in range(steps):
        if step < warmup:
            expected = 0.4 * (step + 1) / warmup
        else:
            expected = cosine(step - warmup, rest, 0.4)
        assert schedule(step) == pytest.approx(expected, abs=1e-12), step


@pytest.mark.parametrize("kind, restarts", [("cosine", ()), ("cosine", (20, 49)), ("step", ())])
@pytest.mark.parametrize("warmup", [0, 1, 5])
def test_no_step_has_learning_rate_zero(kind, restarts, warmup):
    schedule = learning_rate_schedule(kind, 0.4, 50, warmup, decay_steps=(20, 30), restarts=restarts)
    assert min(map(schedule, range(50))) > 1e-5


def test_each_restart_begins_a_lower_cosine_to_zero():
    schedule = learning_rate_schedule("cosine", 0.4, 100, 10, restarts=(40, 99), restart_factor=0.5)
    for step in range(100):
        if step < 10:
            expected = 0.4 * (step + 1) / 10
        elif step < 40:
            expected = cosine(step - 10, 30, 0.4)
        elif step < 99:
            expected = cosine(step - 40, 59, 0.2)
        else:
            expected = 0.1
        assert schedule(step) == pytest.approx(expected, abs=1e-12), step


@pytest.mark.parametrize("restarts", [(), (40,)])
def test_each_cosine_ends_at_the_lowest_rate(restarts):
    schedule = learning_rate_schedule("cosine", 0.4, 100, 10, restarts=restarts, min_lr=0.05)
    begins = [10, *restarts, 100]
    for begin, end in zip(begins, begins[1:]):
        for step in range(begin, end):
            expected = cosine(step - begin, end - begin, 0.4, 0.05)
            assert schedule(step) == pytest.approx(expected, abs=1e-12), step
    assert schedule(9) == 0.4 and schedule(99) == 0.05


def test_a_lowest_rate_above_the_highest_is_refused():
    with pytest.raises(
        InputError, match="^min_lr=0.1: the highest learning rate of a cosine is 0.1; give a lower one$"
    ):
        learning_rate_schedule("cosine", 0.4, 100, 10, restarts=(40, 60), restart_factor=0.5, min_lr=0.1)
    with pytest.raises(InputError, match="^min_lr=0.4: the highest learning rate is 0.4; give a lower one$"):
        TrainingOptions(lr=0.4, min_lr=0.4)
    with pytest.raises(InputError, match="^min_lr=0.01 lr_steps=80: the step schedule divides by ten, and has no"):
        TrainingOptions(min_lr=0.01, lr_steps=(80,))
    with pytest.raises(InputError, match="^min_lr=0.01 lr_schedule=step: the step schedule divides by ten"):
        TrainingOptions(min_lr=0.01, lr_schedule="step")


@pytest.mark.parametrize("restarts", [(10,), (5,), (60, 40), (40, 100)])
def test_restarts_outside_the_schedule_are_refused(restarts):
    with pytest.raises(InputError, match="give rising steps of a cosine schedule, after the warm-up of 10 steps"):
        learning_rate_schedule("cosine", 0.4, 100, 10, restarts=restarts)


def test_a_restart_changes_no_step_before_it():
    """Adding a restart to a finished run gives the same schedule as giving the restart at the start of the run."""
    once, again = (
        learning_rate_schedule("cosine", 0.4, steps, 5, restarts=restarts)
        for steps, restarts in ((50, ()), (80, (50,)))
    )
    assert [again(step) for step in range(50)] == [once(step) for step in range(50)] and again(50) == 0.4


def test_step_schedule_with_warmup():
    schedule = learning_rate_schedule("step", 1.0, 100, 10, decay_steps=(40, 60))
    for step in range(100):
        expected = (step + 1) / 10 if step < 10 else 1.0 if step < 40 else 0.1 if step < 60 else 0.01
        assert schedule(step) == pytest.approx(expected), step


@pytest.mark.parametrize(
    "epochs, steps", [(1, ()), (2, (1,)), (3, (1,)), (5, (2, 3)), (8, (3, 4)), (30, (12, 18)), (200, (80, 120))]
)
def test_default_steps_of_short_runs_come_once_each_and_after_the_warm_up(epochs, steps):
    options = TrainingOptions(epochs=epochs, lr_schedule="step")
    assert options.decay_epochs == steps
    schedule = learning_rate_schedule("step", 0.1, epochs * 10, options.warmup * 10, [10 * step for step in steps])
    assert schedule(epochs * 10 - 1) == pytest.approx(0.1 / 10 ** len(steps))
    assert max(map(schedule, range(epochs * 10))) == pytest.approx(0.1)


def test_the_schedule_is_a_function_of_the_step_alone():
    schedule = learning_rate_schedule("cosine", 0.1, 30, 4)
    forward = [schedule(step) for step in range(30)]
    assert [schedule(step) for step in reversed(range(30))] == forward[::-1]


def test_the_optimizer_uses_step_k_of_the_schedule_for_its_kth_update():
    """With plain SGD and a gradient of 1, a parameter decreases by the learning rate at each step."""
    schedule = learning_rate_schedule("cosine", 0.5, 6, 2)
    weight = mx.gluon.Parameter("weight", shape=(1,))
    weight.initialize(mx.init.Zero())
    trainer = mx.gluon.Trainer([weight], "sgd", {"lr_scheduler": OptimizerSchedule(schedule)})
    values = [0.0]
    for _ in range(6):
        with mx.autograd.record():
            loss = weight.data().sum()
        loss.backward()
        trainer.step(1)
        values.append(float(weight.data().asscalar()))
    falls = [before - after for before, after in zip(values, values[1:])]
    assert falls == pytest.approx([schedule(step) for step in range(6)], abs=1e-6)


def test_a_pytorch_that_gluoncv_refuses_does_not_stand_in_the_way(tmp_path):
    (tmp_path / "torch.py").write_text("__version__ = '2.13.0'")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import torch; "
        "from resattnet.optimization.schedules import learning_rate_schedule; "
        "print(learning_rate_schedule('cosine', 0.1, 10)(0), sys.modules['torch'] is torch)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert done.stdout.split() == ["0.1", "True"]


def test_gluoncv_leaves_pillow_as_it_was():
    """A schedule imports GluonCV and leaves the way in which Pillow handles truncated images unchanged.

    By itself, the import of GluonCV makes Pillow accept the first part of a truncated image as the whole image. Records
    with truncated images would then be accepted.
    """
    code = (
        "from PIL import ImageFile; from resattnet.optimization.schedules import learning_rate_schedule; "
        "learning_rate_schedule('cosine', 0.1, 10); print(ImageFile.LOAD_TRUNCATED_IMAGES)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert done.stdout == "False\n"
