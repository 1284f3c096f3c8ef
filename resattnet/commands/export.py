"""Convert a trained network to another format: ONNX, Gluon's symbol.json and params, plain or in INT8, or float16.

    {command} --params models/RUN/best.params --to onnx

writes models/RUN/best.onnx: input `images` (batch, 3, height, width), output `logits` (batch, classes), any batch size;
the preprocessing, the class names and the network's specification are in the model's metadata. `--to symbol` and
`--to int8` write what `mxnet.gluon.SymbolBlock.imports` reads, with the input `data`; `--to float16` writes a parameter
file for the commands of this package, at half the size.

The written file is read again and its logits are compared with the network's, on test images where they are available;
if the logits differ, that is an error, and no file is left. Depth, widths and data set are read from the .json beside
the parameters; they have to be given only where it is missing.
"""

from __future__ import annotations

import os
from typing import Any, Dict

from ..export.options import ExportOptions
from ..options import command_line
from ..options.common_arguments import add_params, add_quiet
from ..system.console import say


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the parameter file and the options."""
    add_params(parser)
    command_line.add_options(parser, ExportOptions)
    add_quiet(parser)


def main(given: Dict[str, Any]) -> None:
    """Export, and print the files and the comparison."""
    given = dict(given)
    path = given.pop("params")
    options = ExportOptions(**given)

    from ..export.export_file import export_file

    paths, comparison, images = export_file(path, options)
    for name in paths:
        print(f"{name}: {os.path.getsize(name) / 1e6:.1f} MB")
    say(
        f"compared with the float32 network on {images}: largest error {comparison.error:.2g} (largest logit "
        f"{comparison.largest:.3g}), same top-1 on {comparison.agreeing} of {comparison.images}"
    )
