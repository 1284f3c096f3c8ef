"""Make the Python functions of MXNet's operators when they are first used: `made_when_used`.

MXNet 1.9.1 writes and compiles the texts of 2,500 functions while it is imported, which takes half of the time of the
import. A program calls a few dozen of them.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.machinery
import inspect
import sys
import types
from typing import Any, Callable, Iterator, List, Optional, Sequence

MODULE = "mxnet.base"
REGISTER = "_init_op_module"  # a function of `MODULE`: makes a function of each operator, and stores it
REGISTER_NUMPY = "_init_np_op_module"  # the same for operators with the names of NumPy; also replaces words of the text


class OperatorFunction:
    """Function of an operator, which MXNet makes when it is called, or when its text or its arguments are asked for.

    Parameters
    ----------
    make : callable
        MXNet's own: makes the function from the operator's handle and name and the function's name.
    handle : ctypes.c_void_p
    operator, name : str
    """

    def __init__(self, make: Callable[[Any, str, str], Any], handle: Any, operator: str, name: str) -> None:
        self._make = functools.partial(make, handle, operator, name)
        self._text: Optional[str] = None
        self._signature: Optional[inspect.Signature] = None
        self.__name__ = self.__qualname__ = name

    @functools.cached_property
    def function(self) -> Any:
        """MXNet's function."""
        return self._make()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __get__(self, instance: Any, owner: Optional[type] = None) -> Any:
        """Return a method, as a function does that is an attribute of a class; `help` knows functions by this."""
        return self if instance is None else types.MethodType(self, instance)

    def __reduce__(self) -> str:
        """Return the name by which copies and pickles refer to a function."""
        return self.__name__

    def __repr__(self) -> str:
        return f"<function {self.__name__} of MXNet>"

    @property
    def __doc__(self) -> str:
        return self.function.__doc__ if self._text is None else self._text

    @__doc__.setter
    def __doc__(self, text: Optional[str]) -> None:
        self._text = text

    @property
    def __signature__(self) -> inspect.Signature:
        return self._signature or inspect.signature(self.function)

    @__signature__.setter
    def __signature__(self, signature: inspect.Signature) -> None:
        self._signature = signature


def later(register: Callable[..., None], numpy_names: bool) -> Callable[..., None]:
    """Return a function of MXNet that registers operators, changed so that it registers an `OperatorFunction` of each.

    Parameters
    ----------
    register : callable
        `_init_op_module` or `_init_np_op_module` of `mxnet.base`.
    numpy_names : bool
        Whether it is the second, which calls MXNet's arrays "ndarray" in the text of each function.
    """

    @functools.wraps(register)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        given = inspect.signature(register).bind(*args, **kwargs)
        make, made = given.arguments["make_op_func"], []

        def make_numpy(*names: Any) -> Any:
            function = make(*names)
            function.__doc__ = function.__doc__.replace("NDArray", "ndarray")
            return function

        def make_later(*names: Any) -> OperatorFunction:
            made.append(OperatorFunction(make_numpy if numpy_names else make, *names))
            made[-1].__doc__ = ""  # `register` reads it, which would make the function
            return made[-1]

        given.arguments["make_op_func"] = make_later
        register(*given.args, **given.kwargs)
        for function in made:
            function.__doc__ = function.__doc__ or None

    return wrapped


class _Loader(importlib.machinery.SourceFileLoader):
    """Import `MODULE` and change how it registers operators."""

    def exec_module(self, module: types.ModuleType) -> None:
        super().exec_module(module)
        for name in (REGISTER, REGISTER_NUMPY):
            setattr(module, name, later(getattr(module, name), name == REGISTER_NUMPY))


class _Finder:
    """Find `MODULE` where it is a file of Python, and nothing else."""

    @staticmethod
    def find_spec(name: str, path: Optional[Sequence[str]], target: Any = None) -> Any:
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name == MODULE else None
        if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return None
        spec.loader = _Loader(name, spec.loader.path)
        return spec


@contextlib.contextmanager
def made_when_used() -> Iterator[None]:
    """Context in which the import of MXNet makes no function of an operator; each is made when it is first used."""
    finders: List[Any] = sys.meta_path
    finders.insert(0, _Finder)
    try:
        yield
    finally:
        finders.remove(_Finder)
