"""Build the work of the contenders in PyTorch: `builders` has ours."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
from typing import Any, Callable, Tuple

from ..machine.facts import cpu_facts
from ..machine.mxnet import SPIN_COUNT
from ..system.errors import InputError, reason
from ..torch import import_package
from ..torch.names import gluon_arrays
from .builders import initialised_net, random_batch, repeated
from .contender import Unavailable, threads
from .options import BenchmarkOptions


def torch_twin(options: BenchmarkOptions, dtype: str) -> Tuple[Any, Any]:
    """Return the module `torch_steps`, and the network of `resattnet.torch` with the weights of ours."""
    model, instructions = cpu_facts()
    if dtype == "bfloat16" and instructions and "avx512f" not in instructions:
        raise Unavailable(
            f"PyTorch bfloat16 is left out: {model} has no instructions for it, and a step would take minutes"
        )
    # PyTorch is faster with its own than with ours; a process without PyTorch keeps ours, for MXNet.
    if os.environ.get("GOMP_SPINCOUNT") == SPIN_COUNT and importlib.util.find_spec("torch"):
        del os.environ["GOMP_SPINCOUNT"]
    try:
        torch = import_package("torch")
    except InputError as error:
        raise Unavailable(f"PyTorch's rows are left out: {error}") from error
    from ..torch.network import build
    from ..torch.network_file import load_arrays
    from . import torch_steps

    torch.set_num_threads(threads())
    net = initialised_net(options)
    return torch_steps, load_arrays(build(net.spec), gluon_arrays(net))


def torch_training(options: BenchmarkOptions, dtype: str, compiled: bool = False) -> Callable[[], int]:
    """Measure the training step in PyTorch."""
    torch_steps, net = torch_twin(options, dtype)
    batch = random_batch(options)
    return _measured(lambda: torch_steps.training_step(net, *batch, dtype=dtype, compiled=compiled), options, compiled)


def torch_inference(options: BenchmarkOptions, dtype: str, compiled: bool = False) -> Callable[[], int]:
    """Measure the logits of a batch in PyTorch."""
    torch_steps, net = torch_twin(options, dtype)
    images, _ = random_batch(options)
    return _measured(lambda: torch_steps.inference_step(net, images, dtype, compiled), options, compiled)


def _measured(
    make_step: Callable[[], Callable[[], Any]], options: BenchmarkOptions, compiled: bool
) -> Callable[[], int]:
    """Return the work of a contender. A step to be compiled runs once, since it is compiled when it runs first."""
    if not compiled:
        return repeated(make_step(), options)
    compiler = os.environ.get("CXX", "g++").split()[0]
    if shutil.which(compiler) is None:
        raise Unavailable(f"torch.compile is left out: it needs a C++ compiler, and there is no {compiler}")
    # It warns of CUDA without a GPU, which does not matter here.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    try:
        step = make_step()
        step()
    except RuntimeError as error:  # all errors of torch.compile are, as where Python.h is missing
        why = reason(error)[:200]
        raise Unavailable(f"torch.compile is left out: it cannot compile the network ({why})") from error
    return repeated(step, options)
