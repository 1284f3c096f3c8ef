"""What a run was trained with is what its steps were trained with."""

import json

import pytest

from resattnet.runs.progress import Progress

OWN, OTHER = dict(lr=0.1, lr_steps=(1, 2)), dict(lr=5.0, lr_steps=(1, 2))


def resumed(progress, options, before):
    """A run's progress, as of its state on the disk, that goes on."""
    again = Progress(**json.loads(json.dumps(progress.__dict__)))
    again.record_changes(options, before)
    return again


@pytest.mark.parametrize("step", [0, 100])
def test_options_with_which_no_step_was_trained_are_none_that_it_had(step):
    wrong = resumed(Progress(step=step), OTHER, OWN)
    assert wrong.changes == [{"step": 100, "options": {"lr": 0.1}}] * (step > 0)
    assert resumed(wrong, OWN, OTHER).changes == []


def test_options_with_which_steps_were_trained_stay():
    changed = resumed(Progress(step=100), OTHER, OWN)
    changed.step = 110
    back = resumed(changed, OWN, OTHER)
    assert back.changes == [{"step": 100, "options": {"lr": 0.1}}, {"step": 110, "options": {"lr": 5.0}}]


def test_lists_of_a_state_are_the_options_tuples():
    changed = resumed(Progress(step=100), dict(OWN, lr_steps=(3,)), OWN)
    assert changed.changes == [{"step": 100, "options": {"lr_steps": (1, 2)}}]
    assert resumed(changed, OWN, dict(OWN, lr_steps=(3,))).changes == []
