"""Show versions, optional packages, devices, networks and packaged weights.

    {command}

The depths of the network are listed with their parameters and multiply-accumulates (MACs). Packages and GPUs that are
missing are listed with what to do about it.
"""

from __future__ import annotations

import os
import platform
import sys
from typing import Any, Dict, Iterator

from .. import __version__
from ..options.command_line import ArgumentParser

EXTRAS = {
    "onnx": ("onnx", "onnxruntime"),
    "openvino": ("openvino",),
    "int8": ("onnx", "onnxruntime", "nncf"),
    "torch": ("torch", "safetensors"),
    "bench": ("torch", "safetensors", "torchvision"),
    "serve": ("starlette", "uvicorn", "python-multipart", "jinja2"),
    "dali": ("nvidia-dali-cuda120",),
}
OLDEST_PYTHON = {"int8": (3, 9)}  # of the extras that the oldest Python of this package cannot have


def add_arguments(parser: ArgumentParser) -> None:
    """Add no arguments: the command has none."""


def describe_versions() -> Iterator[str]:
    """Yield lines: this package, Python and MXNet, then the optional packages, installed or missing."""
    from ..machine.packages import installed_version

    yield f"resattnet {__version__}, Python {platform.python_version()}, {_describe_mxnet()}"
    for extra, names in EXTRAS.items():
        missing = [name for name in names if not installed_version(name)]
        oldest = OLDEST_PYTHON.get(extra, (3, 8))
        if missing and sys.version_info < oldest:
            state = f"needs Python {oldest[0]}.{oldest[1]}"
        elif missing:
            state = f"missing {', '.join(missing)}: python -m pip install -e '.[{extra}]'"
        else:
            state = ", ".join(f"{name} {installed_version(name)}" for name in names)
        yield f"  extra {extra:<{max(map(len, EXTRAS))}}  {state}"


def _describe_mxnet() -> str:
    from ..machine.packages import BUILDS, installed_version
    from ..system.errors import InputError

    try:
        from ..machine.mxnet import mx
    except InputError as reason:
        return f"no MXNet: {reason}"
    build = next((name for name in BUILDS if installed_version(name)), "not installed by pip")
    features = ("CUDA", "CUDNN", "NCCL", "MKLDNN", "OPENCV", "DIST_KVSTORE")
    enabled = [name for name in features if mx.runtime.Features().is_enabled(name)]
    return f"MXNet {mx.__version__} ({build}; {', '.join(enabled)})"


def describe_devices() -> Iterator[str]:
    """Yield lines: the devices that can compute, and why others cannot."""
    from ..machine.devices import check_type
    from ..machine.facts import cpu_facts
    from ..machine.gpus import find_gpus
    from ..machine.mxnet import mx
    from ..system.errors import InputError

    model, instructions = cpu_facts()
    yield (
        f"CPU  {model} ({' '.join(instructions) or 'instructions unknown'}), {os.environ['OMP_NUM_THREADS']} threads"
    )
    try:
        for remark in check_type("bfloat16", [mx.cpu()]) or ["--dtype bfloat16 can be used"]:
            yield "     " + remark
    except InputError as reason:
        yield f"     {reason.as_flags({'dtype': '--dtype'})}"
    usable, reasons = find_gpus()
    for index in usable:
        yield f"GPU {index} can be used"
    for line in reasons:
        yield line if usable else f"no GPU: {line}"


def describe_networks() -> Iterator[str]:
    """Yield lines: each depth with its parameters and multiply-accumulates, for CIFAR-10 and for ImageNet."""
    from ..models.spec import attention_net_spec
    from ..models.summary import layers, total
    from ..zoo.builders import get_attention_cifar, get_attention_net

    kinds = (
        ("CIFAR-10, thin", get_attention_cifar, 10, "thin", 32),
        ("CIFAR-10", get_attention_cifar, 10, "full", 32),
        ("ImageNet", get_attention_net, 1000, "full", 224),
    )
    yield ("depth  " + "  ".join(f"{name:<28}" for name, _, _, _, _ in kinds)).rstrip()
    for depth in attention_net_spec:
        cells = []
        for _, build, classes, widths, side in kinds:
            parameters, macs = total(layers(build(classes, depth, widths), side, side))
            cells.append(f"{parameters:>11,}  {macs / 1e9:7.3f} GMACs".ljust(28))
        yield (f"{depth:5d}  " + "  ".join(cells)).rstrip()


def describe_packaged() -> Iterator[str]:
    """Yield lines: the trained parameters that come with the package."""
    from ..zoo.packaged import packaged_names
    from ..zoo.pretrained import describe_pretrained

    for name in packaged_names():
        description = describe_pretrained(name)
        yield f"--params {name}: trained on {description['dataset']}, top-1 {description['validation_top1']:.4f}"


def main(given: Dict[str, Any]) -> None:
    """Print all of these lines; without MXNet only the first."""
    from ..system.errors import InputError

    for line in describe_versions():
        print(line, flush=True)
    try:
        from ..machine import mxnet  # noqa: F401
    except InputError:  # its reason is printed
        return
    for describe in (describe_devices, describe_networks, describe_packaged):
        for line in describe():
            print(line, flush=True)
