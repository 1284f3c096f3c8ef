"""The options of an export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ..evaluation.options import CalibrationOptions, ModelFileOptions
from ..options.fields import assignment, option, resolve_output
from ..options.rules import Need, When
from ..system.errors import InputError
from .targets import TARGETS

_TO_ONNX = When("to", "onnx")


@dataclass(frozen=True)
class ExportOptions(CalibrationOptions, ModelFileOptions):
    """Options of an export; each is set by the flag of the same name of the command `export`."""

    heading = "export"

    to: str = option(
        "onnx",
        "onnx: one file for ONNX runtimes, for one image size; symbol: Gluon's symbol.json and params, for any image "
        "size; int8: the same files of the network in whole numbers, for MXNet on CPUs; float16: the same .params and "
        ".json at half the size",
        choices=tuple(TARGETS),
    )
    output: Optional[str] = option(
        None,
        "the .onnx file; with the other formats, the beginning of the names of the two files",
        unset="the name of the parameters",
    )
    image_size: Optional[int] = option(
        None,
        "with --to onnx: height and width of the images",
        low=1,
        high=2048,
        why_high="the export is compared on images of this size",
        unset="that of the test images; without them, 32, or 224 with the ImageNet stem",
    )

    rules = (
        Need(When("image_size"), _TO_ONNX, reason="the other formats take images of any size"),
        Need(When("classes"), _TO_ONNX, reason="the other formats hold no class names"),
        Need(When("calibration_images"), When("to", "int8")),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is None:
            return
        resolve_output(self, "output", must_be_file=self.to == "onnx")
        if self.to == "onnx" and not self.output.endswith(".onnx"):
            raise InputError(f"{assignment('output', self.output)}: give a name that ends in .onnx")
