"""The options that say what computes a network."""

from __future__ import annotations

from dataclasses import dataclass

from ..options.fields import Options, option
from ..options.groups import CHOSEN_GPUS, GPUS
from ..options.rules import Conflict, When
from .engines import ENGINES
from .program import PRECISIONS
from .torch_program import RUNTIME

BY_ENGINE = tuple(When("runtime", name) for name in ENGINES) + (
    When("precision", "bfloat16"),
    When("precision", "int8"),
)
ENGINE_RULES = tuple(Conflict(setting, GPUS, CHOSEN_GPUS, reason="engines compute on the CPU") for setting in BY_ENGINE)


@dataclass(frozen=True)
class RuntimeOptions(Options):
    """What computes a network, and in which type."""

    heading = "runtime"

    runtime: str = option(
        "auto",
        "what computes; mxnet: parameter files; openvino, onnxruntime: ONNX files that the command export wrote, "
        "without MXNet, and parameter files, which are converted first; both on the CPU; torch: .safetensors files; "
        "auto: for an ONNX file the first of the two that is installed, or for a few photographs the one that starts "
        "first; for a parameter file too, where there are many images and no GPU, as long as its logits are MXNet's; "
        "else MXNet",
        choices=("auto", "mxnet", *ENGINES, RUNTIME),
    )
    precision: str = option(
        "auto",
        "type to compute in; bfloat16: by OpenVINO, on CPUs that have it; int8: an ONNX file that export wrote in "
        "INT8; auto: that of the file",
        choices=("auto", *PRECISIONS),
    )


@dataclass(frozen=True)
class ValidationOptions(Options):
    """What computes the validation of a training run."""

    heading = "devices and batches"

    validation_runtime: str = option(
        "mxnet",
        "what computes the validation after each epoch; openvino, onnxruntime: on the CPU, in less time than MXNet "
        "where there are thousands of images; the network is converted each time, which takes some seconds",
        choices=("mxnet", *ENGINES),
    )
