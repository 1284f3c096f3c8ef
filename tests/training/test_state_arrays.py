"""Test that a state that does not fit its run is refused, in one line that names what is wrong."""

import os

import numpy as np
import pytest

from resattnet.commands.training_run import train
from resattnet.run_options.resume import load_for_resume
from resattnet.runs import states
from resattnet.system.errors import InputError
from resattnet.training import preparation

KERNEL = "parameter/output.weight/0"


def _cut(arrays):
    arrays[KERNEL] = arrays[KERNEL][:1, :1]


def _transpose(arrays):
    arrays[KERNEL] = arrays[KERNEL].T


def _rename(arrays):
    arrays["parameter/output.weight/7"] = arrays[KERNEL]


def _double(arrays):
    arrays[KERNEL] = arrays[KERNEL].astype(np.float64)


def _infinite(arrays):
    arrays[KERNEL] = np.full_like(arrays[KERNEL], np.inf)


def _without(*names):
    return lambda arrays: [arrays.pop(name) for name in list(arrays) if name.startswith(names)]


DAMAGES = [
    (_cut, f"its array {KERNEL} has the shape (1, 1), the network's (10, 16)"),
    (_transpose, f"its array {KERNEL} has the shape (16, 10), the network's (10, 16)"),
    (_double, f"its array {KERNEL} has the type float64, the network's float32"),
    (_infinite, f"its array {KERNEL} has numbers that are not finite"),
    (_rename, "its array parameter/output.weight/7 is not one of this run"),
    (_without(KERNEL), "it has 0 arrays parameter/output.weight"),
    (_without("optimizer/output.weight"), "it has no array optimizer/output.weight/0"),
    (_without("optimizer/"), "it has no array optimizer/"),
    (_without("average/output.bias"), "it has no array average/output.bias"),
]


def test_arrays_that_do_not_fit_the_network_are_named(options, tmp_path):
    options = type(options)(**dict(vars(options), epochs=1, ema=0.9))
    folder = train(options).folder
    state = states.load_state(folder)
    written = dict(state.progress, options=state.options)
    for damage, fault in DAMAGES:
        arrays = dict(state.arrays)
        damage(arrays)
        states.save_state(folder, arrays, written)
        states.save_state(folder, state.arrays, written)
        os.replace(os.path.join(folder, "previous.state"), os.path.join(folder, "damaged"))
        os.replace(os.path.join(folder, "last.state"), os.path.join(folder, "previous.state"))
        os.replace(os.path.join(folder, "damaged"), os.path.join(folder, "last.state"))
        with pytest.raises(InputError) as error:
            train(*load_for_resume(folder, {"epochs": 2}))
        text, last = str(error.value), os.path.join(folder, "last.state")
        assert text.startswith(f"{last} is damaged ({fault}") and "\n" not in text
        assert "resume the newest intact state, " in text and "previous.state (epoch 1, step 4)" in text


@pytest.mark.parametrize(
    "wrong, fault",
    [
        ({"epochs": "many"}, "the state of the run has the wrong value 'many' of epochs"),
        ({"mix_up": 1}, "the state of the run has the wrong value 1 of mix_up"),
        ({"lr_steps": ["a"]}, "the state of the run has the wrong value ['a'] of lr_steps"),
        ({"name": 5}, "the state of the run has the wrong value 5 of name"),
        ({"lr": -1.0}, "the state of the run has a wrong value: lr=-1.0: give a number above 0"),
    ],
)
def test_a_wrong_option_of_a_state_is_named(tmp_path, wrong, fault):
    states.save_state(str(tmp_path), {}, {"epoch": 0, "step": 0, "options": wrong})
    with pytest.raises(InputError) as error:
        load_for_resume(str(tmp_path), {})
    assert str(error.value) == fault


def test_what_nothing_confirms_about_the_data_is_in_the_log(options, monkeypatch, capsys):
    monkeypatch.setattr(preparation, "data_remarks", lambda *args: ["digits: nothing confirms the files"])
    options = type(options)(**dict(vars(options), epochs=1))
    train(options)
    assert "note: digits: nothing confirms the files" in capsys.readouterr().out
