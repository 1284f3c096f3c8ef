"""Compute a `.safetensors` file by PyTorch, without MXNet: `compile_torch`."""

from __future__ import annotations

from typing import Any, Optional

from .. import torch as networks
from ..system.calls import command
from ..system.errors import InputError
from .program import Program

RUNTIME = "torch"


def compile_torch(path: str, runtime: str = "auto", precision: str = "auto", num_gpus: Optional[int] = None) -> Program:
    """Build the network of a file in PyTorch, in float32.

    Parameters
    ----------
    path : str
        A file that the command `export --to torch` or `resattnet.torch.save` wrote.
    runtime, precision : str
        'torch' and 'float32', or 'auto': others are refused.
    num_gpus : int, optional
        1: compute on a GPU; 0: on the CPU. Default: on a GPU if PyTorch sees one.

    Raises
    ------
    InputError
        As `resattnet.torch.load`; or if PyTorch cannot compute as it is asked to.
    """
    for name, value, own in (("runtime", runtime, RUNTIME), ("precision", precision, "float32")):
        if value not in ("auto", own):
            raise InputError(
                f"`{name}={value}`: {path} is computed by PyTorch in float32: leave it out, or give the ONNX file that "
                f"{command('export')} writes from the same parameters"
            )
    loaded = networks.load(path, _device(num_gpus))
    return Program(loaded.metadata, ("images",), ("logits",), loaded.compute, RUNTIME, network=loaded)


def _device(num_gpus: Optional[int]) -> str:
    """Return the device of PyTorch."""
    cuda: Any = networks.import_package("torch").cuda
    if num_gpus and (num_gpus > 1 or not cuda.is_available()):
        fault = "PyTorch computes on one GPU" if num_gpus > 1 else "PyTorch sees no GPU"
        raise InputError(f"`num_gpus={num_gpus}`: {fault}; leave it out")
    return "cuda" if num_gpus != 0 and cuda.is_available() else "cpu"


def refuse_torch(path: str) -> Any:
    """Raise InputError: PyTorch is asked to compute another file than its own."""
    raise InputError(
        f"`runtime={RUNTIME}`: PyTorch computes .safetensors files: write one from the parameters of {path} by "
        f"{command('export')} --params FILE --to torch"
    )
