"""Test atomic file writes and the message for a file that cannot be written."""

import os

import pytest

from resattnet.system import files
from resattnet.system.errors import InputError


def test_a_path_that_cannot_be_written_is_named_once(tmp_path):
    path = str(tmp_path / "nowhere" / "page.html")
    with pytest.raises(InputError) as error:
        files.write_text(path, "text")
    assert str(error.value) == f"{path} cannot be written (No such file or directory)"


def test_a_parameter_that_names_the_path_is_enough(tmp_path):
    path = str(tmp_path / "nowhere" / "page.html")
    with pytest.raises(InputError) as error:
        with files.writing(f"`output={path}`", "; give another one"):
            files.write_json(path, {})
    message = error.value.as_flags({"output": "--output"})
    assert message == f"--output {path} cannot be written (No such file or directory); give another one"


def test_a_failed_file_in_a_given_folder_is_named(tmp_path):
    path = str(tmp_path / "nowhere" / "evaluation.json")
    with pytest.raises(InputError) as error:
        with files.writing("--output assessed"):
            files.write_json(path, {})
    assert str(error.value) == f"--output assessed cannot be written (No such file or directory: {path})"


def test_other_errors_pass_unchanged():
    with pytest.raises(ZeroDivisionError):
        with files.writing("this"):
            raise ZeroDivisionError


def test_a_failed_write_keeps_the_earlier_file(tmp_path):
    path = str(tmp_path / "table.csv")
    files.write_csv(path, [{"a": 1}])

    def fail(temporary):
        open(temporary, "w").close()
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        files.write_atomically(path, fail)
    assert os.listdir(str(tmp_path)) == ["table.csv"]
    with open(path) as handle:
        assert handle.read() == "a\n1\n"
