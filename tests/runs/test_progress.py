"""Tests for a run's progress: the options that the steps were trained with, and the progress saved in a state."""

import json

import pytest

from resattnet.runs.progress import Progress

OWN, OTHER = dict(lr=0.1, lr_steps=(1, 2)), dict(lr=5.0, lr_steps=(1, 2))


def resumed(progress, options, before):
    """Return the progress restored from a state, after a resume that changes the options from `before` to `options`."""
    again = Progress(**json.loads(json.dumps(progress.__dict__)))
    again.record_changes(options, before)
    return again


@pytest.mark.parametrize("step", [0, 100])
def test_options_that_trained_no_step_are_not_recorded(step):
    wrong = resumed(Progress(step=step), OTHER, OWN)
    assert wrong.changes == [{"step": 100, "options": {"lr": 0.1}}] * (step > 0)
    assert resumed(wrong, OWN, OTHER).changes == []


def test_options_that_trained_steps_are_recorded():
    changed = resumed(Progress(step=100), OTHER, OWN)
    changed.step = 110
    back = resumed(changed, OWN, OTHER)
    assert back.changes == [{"step": 100, "options": {"lr": 0.1}}, {"step": 110, "options": {"lr": 5.0}}]


def test_lists_of_a_state_are_compared_as_the_tuples_that_they_were():
    changed = resumed(Progress(step=100), dict(OWN, lr_steps=(3,)), OWN)
    assert changed.changes == [{"step": 100, "options": {"lr_steps": (1, 2)}}]
    assert resumed(changed, OWN, dict(OWN, lr_steps=(3,))).changes == []


def test_data_facts_are_kept_and_may_be_missing():
    facts = {"classes": ["a", "b"], "mean": [0.5, 0.5, 0.5]}
    assert resumed(Progress(step=1, data=facts), OWN, OWN).data == facts
    before = Progress(step=1).__dict__.copy()
    del before["data"]  # states of earlier versions have no `data`
    assert Progress(**before).data is None
