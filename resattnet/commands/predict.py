"""Name the classes of images with a trained network, the most probable first.

    {command} --params models/RUN/best.params photo.jpg scan.tif
    {command} --params models/RUN/best.params folder --output folder.csv
    {command} --params best.onnx photo.jpg
    find . -name '*.webp' | {command} --params models/RUN/best.params - --format json

Images may have any format that Pillow reads, and any size. Each image is brought to the size of the data set's images
as its records were: by default the middle is cropped and scaled. The EXIF
orientation is applied; transparent parts are laid on white; 16 bits are rounded to 8; of a file with several images the
first is taken; colour profiles are not applied.

Network and data set are read from the .json beside the parameters. A file that the command export wrote as ONNX or for
PyTorch holds them, and is computed without MXNet. A file that cannot be read is named on stderr and skipped. Exit
codes: 0 done; 1 some files could not be read; 2 wrong arguments or input; 130 interrupted.
"""

from __future__ import annotations

from typing import Any, Dict

from ..options import command_line
from ..options.common_arguments import add_images, add_params, add_quiet
from ..prediction.options import PredictionOptions


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the parameter file, the images and the options."""
    add_params(parser, exported=".onnx or .safetensors")
    add_images(parser, "+")
    command_line.add_options(parser, PredictionOptions)
    add_quiet(parser)


def main(given: Dict[str, Any]) -> int:
    """Predict the classes of all images; return 1 if some could not be read."""
    given = dict(given)
    path, images = given.pop("params"), given.pop("images")
    options = PredictionOptions(**given)

    from ..prediction.prediction_files import predict_files

    return 1 if predict_files(path, images, options) else 0
