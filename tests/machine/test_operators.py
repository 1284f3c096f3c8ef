"""Test that the functions of MXNet's operators are those of MXNet, though they are made when they are first used."""

import copy
import inspect
import json
import pickle
import pydoc
import subprocess
import sys

import pytest

from helpers.scripts import ROOT
from resattnet.machine.mxnet import mx
from resattnet.machine.operators import OperatorFunction

# Prints the text and the arguments of each operator's function by the names under which modules have it.
DESCRIBE = """
import contextlib, inspect, json, sys
from resattnet.machine import operators
if sys.argv[1] == "plain":
    operators.made_when_used = contextlib.nullcontext
from resattnet.machine.mxnet import mx
made = [
    value for name, module in sorted(sys.modules.items()) if name.startswith("mxnet.")
    for value in vars(module).values() if isinstance(value, operators.OperatorFunction) and "function" in vars(value)
]
found = {}
for name, module in sorted(sys.modules.items()):
    if name.startswith(("mxnet.ndarray", "mxnet.symbol", "mxnet.numpy", "mxnet.contrib", "mxnet._numpy")):
        for key, value in vars(module).items():
            ours = isinstance(value, operators.OperatorFunction)
            if ours or inspect.isfunction(value) and not value.__module__.startswith("numpy"):
                about = value.__name__, value.__module__, value.__doc__, str(inspect.signature(value))
                found[name + "." + key] = about
print(json.dumps([len(made), found]))
"""


def described(kind):
    """Return the number of functions that the import made, and what `DESCRIBE` prints of all."""
    run = subprocess.run(
        [sys.executable, "-c", DESCRIBE, kind], cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=300
    )
    return json.loads(run.stdout)


def test_all_functions_have_the_texts_and_arguments_of_mxnets_own():
    _, plain = described("plain")
    made, found = described("later")
    assert len(plain) > 3000 and made < 20
    assert set(found) == set(plain)
    assert [name for name in plain if found[name] != plain[name]] == []


def test_a_function_is_made_once_and_computes():
    assert isinstance(mx.nd.broadcast_hypot, OperatorFunction)
    array = mx.nd.broadcast_hypot(mx.nd.array([[3.0]]), mx.nd.array([[4.0]]))
    assert array.asnumpy() == 5 and mx.nd.broadcast_hypot.function is mx.nd.broadcast_hypot.function
    assert (mx.np.hypot(mx.np.array([3.0]), 4).asnumpy() == 5).all()
    symbol = mx.sym.broadcast_hypot(mx.sym.var("a"), mx.sym.var("b"), name="c")
    assert symbol.list_outputs() == ["c_output"]


def test_wrong_arguments_are_refused_as_by_a_function():
    with pytest.raises(TypeError, match="unexpected keyword|missing|takes"):
        mx.nd.Activation(1, 2, 3, 4, 5, 6, 7)


def test_help_describes_the_operator():
    text = pydoc.plain(pydoc.render_doc(mx.nd.LRN))
    assert "knorm" in text and "local response normalization" in text.lower()
    assert "nsize" in inspect.signature(mx.sym.LRN).parameters


def test_a_function_in_a_class_is_a_method():
    class Own:
        square = mx.nd.square

    own = Own()
    assert Own.square is mx.nd.square and own.square.__self__ is own
    with pytest.raises(AssertionError, match="must have NDArray type, but got .*Own object"):
        own.square()


def test_a_function_is_copied_and_pickled_by_its_name():
    function = mx.nd.contrib.quadratic
    assert copy.deepcopy(function) is function and pickle.loads(pickle.dumps(function)) is function
    assert repr(function) == "<function quadratic of MXNet>"
