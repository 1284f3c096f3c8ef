"""Convert a trained network to another format: ONNX, Gluon's symbol and params, plain or in INT8, float16, or PyTorch.

    {command} --params models/RUN/best.params --to onnx

writes models/RUN/best.onnx: input `images` (batch, 3, height, width), output `logits` (batch, classes), any batch size;
the preprocessing, the class names and the network's specification are in the model's metadata. `--to symbol` and
`--to int8` write what `mxnet.gluon.SymbolBlock.imports` reads, with the input `data`; `--to float16` writes a parameter
file for the commands of this package, at half the size; `--to torch` writes a .safetensors file for
`resattnet.torch.load`, which builds the same network in PyTorch.

    {command} --from-torch tuned.safetensors --output tuned.params

is the way back: it writes the weights of a .safetensors file as a parameter file, bit for bit.

The written file is read again and its logits are compared with the network's, on test images where they are available;
if the logits differ, that is an error, and no file is left. Depth, widths and data set are read from the .json beside
the parameters; they have to be given only where it is missing.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Optional, Sequence

from ..export.options import ExportOptions
from ..options import command_line
from ..options.common_arguments import add_params, add_quiet
from ..system.console import say
from ..system.errors import InputError


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the parameter file and the options."""
    add_params(parser, required=False, default=None)
    command_line.add_options(parser, ExportOptions)
    add_quiet(parser)


def main(given: Dict[str, Any]) -> None:
    """Export, and print the files and the comparison."""
    given = dict(given)
    path = given.pop("params")
    options = ExportOptions(**given)
    options.check_given(given)
    if (path is None) == (options.from_torch is None):
        raise InputError("give either `params`, to export, or `from_torch`, the way back")
    if options.from_torch:
        _import(options.from_torch, options.output)
        return

    from ..export.export_file import export_file

    paths, comparison, images = export_file(path, options)
    _print_sizes(paths)
    say(
        f"compared with the float32 network on {images}: largest error {comparison.error:.2g} (largest logit "
        f"{comparison.largest:.3g}), same top-1 on {comparison.agreeing} of {comparison.images}"
    )


def _import(path: str, output: Optional[str]) -> None:
    """Write a .safetensors file as a parameter file, and print the files and what they hold."""
    from ..export.from_torch import import_file

    paths, file = import_file(path, output)
    _print_sizes(paths)
    say(f"{len(file.arrays)} arrays, read back bit for bit; dataset {file.metadata['dataset']}, {file.spec}")


def _print_sizes(paths: Sequence[str]) -> None:
    for name in paths:
        print(f"{name}: {os.path.getsize(name) / 1e6:.1f} MB")
