"""The networks in PyTorch: `build`, `load` and `save`, without MXNet (extra `torch`).

`build(spec)` returns the network of a `NetworkSpec`; `load(FILE)` the network and the data facts of a file that
`export --to torch` or `save` wrote. The names are loaded at first use: `.safetensors` files are read and written
without PyTorch.
"""

from __future__ import annotations

import importlib
from typing import Any, List

from ..system.errors import InputError, reason

PACKAGES = ("torch", "safetensors")
_MODULE_OF = {
    "AttentionNet": "network",
    "LoadedNetwork": "network_file",
    "build": "network",
    "load": "network_file",
    "save": "network_file",
    "zero_init_residual": "units",
}
__all__ = sorted(_MODULE_OF)


def import_package(name: str) -> Any:
    """Import PyTorch or safetensors.

    Parameters
    ----------
    name : str
        One of `PACKAGES`, or a module of one.

    Raises
    ------
    InputError
        If the package is not installed. The message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise InputError(
            f"{package} cannot be imported ({reason(error)}): python -m pip install -e '.[torch]'"
        ) from error


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_package("torch")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(__all__))
