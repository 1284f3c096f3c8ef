"""Options of an export."""

from dataclasses import dataclass
from typing import Optional

from ..evaluation.options import ModelFileOptions
from ..system.errors import InputError
from ..system.options import option, resolve_output

EXPORT_FORMATS = ("onnx", "symbol", "int8", "float16")


@dataclass(frozen=True)
class ExportOptions(ModelFileOptions):
    """Arguments of an export; each is the flag of the same name of `scripts/export.py`."""

    to: str = option(
        "onnx",
        "onnx: one file for ONNX runtimes, of one image size; symbol: Gluon's symbol.json and "
        "params, of any; int8: the same of the network on whole numbers, for MXNet on CPUs; float16: "
        "the same .params and .json at half the size",
        choices=EXPORT_FORMATS,
    )
    output: Optional[str] = option(
        None, "the .onnx file; of the others, what their two files begin with", unset="as the parameters are called"
    )
    image_size: Optional[int] = option(
        None,
        "with --to onnx: height and width of the images",
        low=1,
        unset="as the test images are; if they are not here, 32, or 224 with ImageNet's stem",
    )
    calibration_images: Optional[int] = option(
        None,
        "with --to int8: training images to take the ranges of the layers from",
        low=1,
        unset="256, or all if there are fewer",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.image_size and self.to != "onnx":
            raise InputError("--image-size goes with --to onnx: the others take images of any size")
        if self.classes and self.to != "onnx":
            raise InputError("--classes goes with --to onnx: the others hold no names of classes")
        if self.calibration_images and self.to != "int8":
            raise InputError("--calibration-images goes with --to int8")
        if self.output is not None:
            resolve_output(self, "output", a_folder_is_none=self.to == "onnx")
            if self.to == "onnx" and not self.output.endswith(".onnx"):
                raise InputError(f"--output {self.output}: give a name that ends in .onnx")
