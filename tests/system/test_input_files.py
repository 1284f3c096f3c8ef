"""Test how files that may be damaged, or may not be files, are opened and parsed."""

import os
import subprocess

import pytest

from resattnet.data.image_files import read_image
from resattnet.system import input_files
from resattnet.system.errors import InputError


@pytest.mark.parametrize(
    "text, fault",
    [
        ("[" * 60 + "]" * 60, "it is nested too deeply"),
        ("[" * 10**6, "it is nested too deeply"),
        ('{"a": ' * 10**5, "it is nested too deeply"),
        ("[NaN]", "it has a number that is not finite"),
        ('{"a": [-Infinity]}', "it has a number that is not finite"),
        ("1e999", "it has a number that is not finite"),
        ('{"a": 1, "a": 2}', "it has a name twice"),
        (b"\xff", "invalid start byte"),
        ("", "Expecting value"),
    ],
)
def test_json_that_is_refused(text, fault):
    with pytest.raises(ValueError, match=fault):
        input_files.parse_json(text)


def test_json_that_is_read():
    assert input_files.parse_json(b'{"a": [1, 2.5, null, "\xc3\xa4"]}') == {"a": [1, 2.5, None, "\u00e4"]}
    assert input_files.parse_json("[Infinity]", finite=False) == [float("inf")]


def test_pipes_and_devices_are_refused_and_streams_of_a_shell_are_not(tmp_path):
    pipe = str(tmp_path / "x.png")
    os.mkfifo(pipe)
    for path, kind in ((pipe, "a named pipe"), ("/dev/zero", "a device")):
        for read in (input_files.read_bytes, input_files.read_text):
            with pytest.raises(OSError, match=f"it is {kind}, not a file"):
                read(path)
        with pytest.raises(InputError) as error:
            read_image(path)
        assert str(error.value) == f"{path}: cannot be read (it is {kind}, not a file)"
    with subprocess.Popen(["echo", "words"], stdout=subprocess.PIPE) as child:
        assert input_files.read_text(f"/dev/fd/{child.stdout.fileno()}") == "words\n"
