"""Tests for the states of a run: a state is read whole or refused as damaged, and is never half written."""

import dataclasses
import io
import math
import os
import zipfile

import numpy as np
import pytest

from resattnet.runs import states
from resattnet.runs.progress import Progress
from resattnet.runs.state_checks import FIGURES
from resattnet.system import files
from resattnet.system.errors import InputError


def save_states(folder, *steps):
    for step in steps:
        states.save_state(str(folder), {"a": np.full(1000, step)}, {"epoch": 0, "step": step, "options": {}})


def open_files():
    """Return the paths of this process's open files. The set is empty on systems other than Linux."""
    folder = "/proc/self/fd"
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return {os.path.realpath(os.path.join(folder, name)) for name in names}


def test_state_round_trip_and_previous(tmp_path):
    save_states(tmp_path, 1, 2, 3)
    assert sorted(os.listdir(str(tmp_path))) == ["last.state", "previous.state"]
    for path, step in ((tmp_path, 3), (tmp_path / "last.state", 3), (tmp_path / "previous.state", 2)):
        state = states.load_state(str(path))
        assert state.progress["step"] == step == state.arrays["a"][0] and state.folder == str(tmp_path)
        assert states.load_state(str(path), with_arrays=False) == state._replace(arrays={})


@pytest.mark.parametrize("damage", ["cut", "overwritten", "empty"])
def test_a_damaged_state_names_the_newest_intact_one(tmp_path, damage):
    save_states(tmp_path, 1, 2)
    path = str(tmp_path / "last.state")
    if damage == "overwritten":
        with open(path, "r+b") as handle:
            handle.seek(1500)
            handle.write(b"damage")
    else:
        os.truncate(path, {"cut": 3000, "empty": 0}[damage])
    with pytest.raises(InputError) as error:
        states.load_state(str(tmp_path))
    assert "last.state is damaged" in str(error.value) and "\n" not in str(error.value)
    assert "previous.state (epoch 0, step 1)" in str(error.value)
    assert path not in open_files()  # the error still keeps the stack frames alive here


def test_any_damaged_byte_is_one_line(tmp_path):
    """A damaged byte gives a one-line error or is harmless.

    A harmless byte is in a part of a header that the archive repeats.
    """
    save_states(tmp_path, 1)
    path = tmp_path / "last.state"
    whole, said = path.read_bytes(), set()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            states.load_state(str(path))
        except InputError as error:
            said.add(str(error).split("(")[0])
    assert said == {f"{path} is damaged "}


def test_a_state_of_another_version_says_so(tmp_path):
    states.save_state(str(tmp_path), {}, {"epoch": 0, "step": 1, "options": {}, "phase": 2, "depth": 1})
    with pytest.raises(
        InputError, match="last.state: another version of resattnet saved it: depth, phase unknown here"
    ):
        states.load_state(str(tmp_path))


def test_a_state_has_data_facts_and_older_ones_load_without(tmp_path):
    options = {"options": {}}
    states.save_state(str(tmp_path), {}, dict(dataclasses.asdict(Progress(data={"classes": ["a"]})), **options))
    assert Progress(**states.load_state(str(tmp_path)).progress).data == {"classes": ["a"]}
    save_states(tmp_path, 1)  # states of earlier versions have no data facts
    assert Progress(**states.load_state(str(tmp_path)).progress).data is None


def test_a_run_killed_between_two_renames_goes_on_from_the_previous_state(tmp_path):
    save_states(tmp_path, 1, 2)
    os.remove(str(tmp_path / "last.state"))
    assert states.load_state(str(tmp_path)).progress["step"] == 1


def test_a_failed_write_leaves_what_was_there_and_nothing_else(tmp_path):
    save_states(tmp_path, 1)

    def fail(temporary):
        with open(temporary, "w") as handle:
            handle.write("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        files.write_atomically(str(tmp_path / "last.state"), fail)
    assert os.listdir(str(tmp_path)) == ["last.state"]
    assert states.load_state(str(tmp_path)).progress["step"] == 1


def test_no_state(tmp_path):
    with pytest.raises(InputError, match="there is no saved state to resume"):
        states.load_state(str(tmp_path))


def test_a_state_with_a_pickle_is_refused(tmp_path):
    np.savez(str(tmp_path / "x.npz"), a=np.array([object()]), progress=np.zeros(2, np.uint8))
    os.rename(str(tmp_path / "x.npz"), str(tmp_path / "last.state"))
    with pytest.raises(InputError, match="last.state is damaged"):
        states.load_state(str(tmp_path))


ROW = dict(dict.fromkeys(FIGURES, 0.5), epoch=1)


@pytest.mark.parametrize(
    "wrong, fault",
    [
        (dict(step=-5), "step is -5"),
        (dict(step="9"), "step is '9'"),
        (dict(step=True), "step is True"),
        (dict(step=10**12, epoch_steps=4), "step is 1000000000000"),
        (dict(epoch=None), "epoch is None"),
        (dict(batch=3), "batch is 3"),
        (dict(batch=5, epoch_steps=4, step=5), "batch is 5"),
        (dict(totals={"loss": 1.0, "hits": 3, "samples": 2}), "totals is {'hits': 3, 'loss': 1.0, 'samples': 2}"),
        (dict(totals={"words": 1}), "totals is {'words': 1}"),
        (dict(best={"epoch": 2, "top1": 0.5}), "best is {'epoch': 2, 'top1': 0.5}"),
        (dict(best={"epoch": 1, "top1": 1.5}), "best is {'epoch': 1, 'top1': 1.5}"),
        (dict(history=[]), None),
        (dict(history=[ROW]), None),
        (dict(history=[dict(ROW, validation_loss=math.inf)]), None),  # a network that diverges
        (dict(history=[ROW, ROW]), "the epochs of history is [1, 1]"),
        (dict(history=[dict(ROW, validation_top1=1.5)]), "validation_top1 of epoch 1 is 1.5"),
        (dict(history=[dict(ROW, validation_loss=1e308)]), "validation_loss of epoch 1 is 1e+308"),
        (dict(history=[{"epoch": 1}]), "epoch 1 has no learning_rate, train_loss"),
        (dict(history={"epoch": 1}), "history is {'epoch': 1}"),
        (dict(changes=[{"step": 1}]), "changes is [{'step': 1}]"),
        (dict(machines="one"), "machines is 'one'"),
        (dict(options=[]), "it has no options"),
    ],
)
def test_a_field_out_of_range_is_named(tmp_path, wrong, fault):
    states.save_state(str(tmp_path), {}, dict(dict(epoch=1, step=2, options={}), **wrong))
    if fault is None:
        assert states.load_state(str(tmp_path)).progress["step"] == 2
        return
    with pytest.raises(InputError) as error:
        states.load_state(str(tmp_path))
    assert str(error.value).startswith(f"{tmp_path / 'last.state'} is damaged ({fault}")


def test_an_array_that_says_it_is_larger_than_the_file_is_refused(tmp_path):
    """The memory for an array is not reserved before the size of the file allows it."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(str(tmp_path / "last.state"), "w") as archive:
        archive.writestr("a.npy", header.getvalue())
        archive.writestr("progress.npy", header.getvalue())
    with pytest.raises(InputError, match="an array has a wrong size or type"):
        states.load_state(str(tmp_path))


def test_a_pipe_in_place_of_a_state_is_refused(tmp_path):
    os.mkfifo(str(tmp_path / "last.state"))
    with pytest.raises(InputError, match=r"last.state is damaged \(it is a named pipe, not a file\)"):
        states.load_state(str(tmp_path))
