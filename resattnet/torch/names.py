"""Name the parameters of the Gluon networks as PyTorch names them. Nothing here imports MXNet or PyTorch."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np

_TORCH_NAMES = {"gamma": "weight", "beta": "bias"}  # of batch normalisation; all other names are the same


def torch_name(name: str) -> str:
    """Return the PyTorch name of the parameter that Gluon calls `name`, as 'features.1.gamma'."""
    path, _, last = name.rpartition(".")
    return ".".join(part for part in (path, _TORCH_NAMES.get(last, last)) if part)


def gluon_arrays(net: Any) -> Dict[str, np.ndarray]:
    """Return the parameters and running statistics of an initialised Gluon network, in float32, by PyTorch's names."""
    # Names by structure: `Parameter.name` contains the number of networks that the process has built.
    parameters = net._collect_params_with_prefix()
    return {
        torch_name(name): parameter.list_data()[0].asnumpy().astype(np.float32, copy=False)
        for name, parameter in parameters.items()
    }
