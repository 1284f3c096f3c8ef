"""The options of an export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Optional

from ..evaluation.options import CalibrationOptions
from ..options.fields import assignment, option, resolve_output
from ..options.rules import Conflict, Need, When
from ..prediction.options import ModelFileOptions
from ..system.errors import InputError
from .targets import TARGETS

_TO_ONNX, _TO_INT8_ONNX, _TO_TORCH = When("to", "onnx"), When("to", "int8-onnx"), When("to", "torch")

_ALONE = Conflict(
    When("from_torch"),
    *map(When, ("to", "image_size", "normalise_inside", "calibration_images", *ModelFileOptions.defaults())),
    reason="the file describes itself, and becomes a parameter file",
    advice="leave the others out",
)


@dataclass(frozen=True)
class ExportOptions(CalibrationOptions, ModelFileOptions):
    """Options of an export; each is set by the flag of the same name of the command `export`."""

    heading = "export"

    to: str = option(
        "onnx",
        "onnx: one file for ONNX runtimes, for one image size; symbol: Gluon's symbol.json and params, for any image "
        "size; int8: the same files of the network in whole numbers, for MXNet on CPUs; float16: the same .params and "
        ".json at half the size; int8-onnx: one ONNX file in whole numbers, for OpenVINO and onnxruntime; torch: one "
        ".safetensors file for resattnet.torch, in PyTorch",
        choices=tuple(TARGETS),
    )
    output: Optional[str] = option(
        None,
        "the .onnx or .safetensors file; with the other formats, the beginning of the names of the two files",
        unset="the name of the parameters",
    )
    image_size: Optional[int] = option(
        None,
        "with --to onnx and int8-onnx: height and width of the images",
        low=1,
        high=2048,
        why_high="the export is compared on images of this size",
        unset="that of the test images; without them, 32, or 224 with the ImageNet stem",
    )
    normalise_inside: bool = option(
        False,
        "with --to onnx and int8-onnx; 1: the file normalises the images itself: its input is their pixels, uint8 "
        "(batch, height, width, 3)",
    )
    from_torch: Optional[str] = option(
        None,
        "the way back, in place of --params: write this .safetensors file as a .params file, whose name is the output "
        "(by default, the same name with -torch.params)",
        metavar="FILE",
    )

    rules = (
        _ALONE,
        Need(When("image_size"), _TO_ONNX, _TO_INT8_ONNX, reason="the other formats take images of any size"),
        Need(When("classes"), _TO_ONNX, _TO_INT8_ONNX, _TO_TORCH, reason="the other formats hold no class names"),
        Need(When("calibration_images"), When("to", "int8"), _TO_INT8_ONNX),
        Need(When("normalise_inside"), _TO_ONNX, _TO_INT8_ONNX, reason="the other formats take normalised images"),
    )

    def check_given(self, given: Iterable[str]) -> None:
        """Raise InputError if an option that does not go with `from_torch` was given, even with its default value."""
        _ALONE.check(vars(self), {**self.defaults(), **dict.fromkeys(set(given) - {"from_torch"}, object())})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is None:
            return
        target = TARGETS[self.to]
        ending = ".params" if self.from_torch else target.ending
        resolve_output(self, "output", must_be_file=bool(ending))
        if not self.output.endswith(ending):
            raise InputError(f"{assignment('output', self.output)}: give a name that ends in {ending}")
