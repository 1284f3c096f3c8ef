"""Build the work of the contenders in PyTorch: `builders` has ours."""

from __future__ import annotations

import os
from typing import Any, Callable, Tuple

from ..machine.facts import cpu_facts
from ..machine.mxnet import SPIN_COUNT
from ..models.spec import NetworkSpec
from .builders import initialised_net, random_batch, repeated
from .contender import Unavailable, threads
from .options import BenchmarkOptions


def torch_twin(options: BenchmarkOptions, dtype: str) -> Tuple[Any, Any]:
    """Return the module `torch_network` and its network with the weights of ours."""
    if options.unit != NetworkSpec.unit:
        raise Unavailable(
            f"`unit={options.unit}`: PyTorch's rows are left out, since its network has {NetworkSpec.unit} units only"
        )
    model, instructions = cpu_facts()
    if dtype == "bfloat16" and instructions and "avx512f" not in instructions:
        raise Unavailable(
            f"PyTorch bfloat16 is left out: {model} has no instructions for it, and a step would take minutes"
        )
    if os.environ.get("GOMP_SPINCOUNT") == SPIN_COUNT:  # ours, not the user's: PyTorch is faster with its own
        del os.environ["GOMP_SPINCOUNT"]
    try:
        from . import torch_network
    except ImportError as error:
        raise Unavailable(
            f"PyTorch is not installed ({error}), and its rows are left out: python -m pip install -e '.[bench]'"
        ) from error
    torch_network.torch.set_num_threads(threads())
    net = initialised_net(options)
    return torch_network, torch_network.load_gluon(torch_network.build(net.spec), net)


def torch_training(options: BenchmarkOptions, dtype: str) -> Callable[[], int]:
    """Measure the training step in PyTorch."""
    torch_network, net = torch_twin(options, dtype)
    return repeated(torch_network.training_step(net, *random_batch(options), dtype=dtype), options)


def torch_inference(options: BenchmarkOptions, dtype: str) -> Callable[[], int]:
    """Measure the logits of a batch in PyTorch."""
    torch_network, net = torch_twin(options, dtype)
    return repeated(torch_network.inference_step(net, random_batch(options)[0], dtype), options)
