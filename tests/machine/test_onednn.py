"""Test that oneDNN uses AMX where the CPU has it, in processes of their own: it is turned on once, or never."""

import pytest

from helpers.networks import needs_amx
from helpers.scripts import python
from resattnet.machine import onednn
from resattnet.machine.amx import AMX, ISA_VARIABLE, ask_for_amx, user_wants_amx

CONVOLVE = """
from resattnet.machine.mxnet import mx
mx.nd.Convolution(mx.nd.ones((1, 16, 4, 4)), mx.nd.ones((16, 16, 1, 1)), kernel=(1, 1), num_filter=16, no_bias=True)
mx.nd.waitall()
"""
TURN_ON = """
import os
from resattnet.machine.onednn import amx_may_be_on, turn_amx_on
print(amx_may_be_on(), turn_amx_on(), amx_may_be_on(), os.environ.get("DNNL_MAX_CPU_ISA"))
"""


def printed(code, isa=None):
    done = python(code, isa=isa)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@needs_amx
def test_amx_is_turned_on_and_leaves_the_environment_as_it_was():
    assert printed(TURN_ON) == ["False", "True", "True", "None"]
    assert printed(TURN_ON, AMX) == ["True", "True", "True", AMX]


@needs_amx
def test_amx_cannot_be_turned_on_later_or_against_the_user():
    assert printed(CONVOLVE + TURN_ON)[:2] == ["False", "False"]
    assert printed(TURN_ON, "AVX512_CORE_BF16") == ["False", "False", "True", "AVX512_CORE_BF16"]


@needs_amx
@pytest.mark.parametrize("isa", [AMX, "avx512_core_amx"])
def test_who_asks_for_amx_may_use_it_at_once(isa):
    """Without a word to Linux, oneDNN's first instruction of AMX would end the process."""
    code = CONVOLVE.replace("mx.nd.waitall()", "") + TURN_ON + "mx.nd.waitall()"
    assert printed(code, isa)[:2] == ["True", "True"]


@pytest.mark.parametrize("instructions, granted", [(["avx2", "avx512f"], True), (["avx512f", "amx_bf16"], False)])
def test_where_there_is_no_amx(monkeypatch, instructions, granted):
    monkeypatch.setattr(onednn, "usable_instructions", lambda: instructions)
    monkeypatch.setattr(onednn, "ask_for_amx", lambda: granted)
    monkeypatch.setattr(onednn, "_is_used", lambda: pytest.fail("tried"))
    assert onednn.turn_amx_on.__wrapped__() is False


def test_what_the_user_wants(monkeypatch):
    for value, wants in ((AMX, True), ("avx512_core_amx", True), ("ALL", True), ("AVX2", False), ("", False)):
        monkeypatch.setenv(ISA_VARIABLE, value)
        assert user_wants_amx() is wants
    monkeypatch.delenv(ISA_VARIABLE)
    assert not user_wants_amx()
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert ask_for_amx() is False
