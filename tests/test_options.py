"""The options of a run, and which of them a run that goes on may change."""
import dataclasses

import pytest

from resattnet.errors import InputError
from resattnet.options import TrainingOptions, resumed


def after(before, epochs_done=0, **given):
    """The options of a run that goes on with what is given."""
    return resumed(dataclasses.asdict(TrainingOptions(**before)), given, epochs_done)


def test_what_is_given_wins_and_the_rest_stays():
    options = after(dict(epochs=30, lr=0.2, mix_up=True), lr=0.1, epochs=60)
    assert (options.epochs, options.lr, options.mix_up) == (60, 0.1, True)


@pytest.mark.parametrize("given, message", [
    (dict(num_layers=92), "--num-layers 92: the run to resume has 56, and its state fits nothing else"),
    (dict(seed=1), "--seed 1: the run to resume has 0"),
    (dict(params="other.params"), "--params other.params: the run to resume has None"),
])
def test_what_the_state_depends_on_stays(given, message):
    with pytest.raises(InputError, match=message):
        after({}, **given)


def test_restarts_give_way_to_the_step_schedule():
    options = after(dict(epochs=60, lr_restarts=(30,), lr_restart_factor=0.3), 35, lr_schedule="step")
    assert (options.lr_restarts, options.lr_restart_factor) == (None, 1)
    options = after(dict(epochs=60, lr_schedule="step", lr_steps=(30,)), 35, lr_schedule="cosine")
    assert options.lr_steps is None


def test_restarts_after_the_new_end_are_left_out():
    before = dict(epochs=90, lr_restarts=(30, 60), lr_restart_factor=0.3)
    options = after(before, 40, epochs=50)
    assert (options.lr_restarts, options.lr_restart_factor) == ((30,), 0.3)
    options = after(before, 10, epochs=20)
    assert (options.lr_restarts, options.lr_restart_factor) == (None, 1)


def test_restarts_that_have_been_have_to_be_named():
    before = dict(epochs=60, lr_restarts=(30,), lr_restart_factor=0.3)
    with pytest.raises(InputError, match="--lr-restarts 60: name the restarts of the run that have been, too: 30,60"):
        after(before, 60, epochs=90, lr_restarts=(60,))
    assert after(before, 60, epochs=90, lr_restarts=(30, 60)).lr_restarts == (30, 60)
    assert after(before, 20, epochs=90, lr_restarts=(60,)).lr_restarts == (60,)  # 30 has not been yet


def test_without_masks_there_is_no_period():
    assert after(dict(mask_images=4, mask_period=3), mask_images=0).mask_period is None
