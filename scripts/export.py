#!/usr/bin/env python3
"""Bring trained parameters into another format: ONNX, Gluon's symbol.json and params, plain or in INT8, or float16.

    python scripts/export.py --params models/RUN/best.params --to onnx

writes models/RUN/best.onnx: input `images` (batch, 3, height, width), output `logits` (batch, classes), any batch size;
the preprocessing, the class names and what the network is are in the model's metadata. `--to symbol` and `--to int8`
write what `mxnet.gluon.SymbolBlock.imports` reads, with the input `data`; `--to float16` what the scripts here read,
at half the size.

What is written is read again and compared with the network, on test images where they are here; if it gives other
logits, that is an error, and no file is left. Depth, widths and data set are read from the .json beside the parameters;
only where that is missing do they have to be given.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from resattnet.export.options import ExportOptions  # noqa: E402
from resattnet.system import command_line  # noqa: E402


def main():
    """Export."""
    parser = command_line.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_params(parser)
    command_line.add_options(parser, ExportOptions)
    given = vars(parser.parse_args())
    path = given.pop("params")
    options = ExportOptions(**given)

    from resattnet.export.export_file import export_file

    paths, comparison, what = export_file(path, options)
    for name in paths:
        print(f"{name}: {os.path.getsize(name) / 1e6:.1f} MB")
    print(
        f"compared with the float32 network on {what}: largest error {comparison.error:.2g} (largest logit "
        f"{comparison.largest:.3g}), same top-1 on {comparison.agreeing} of {comparison.images}"
    )


if __name__ == "__main__":
    command_line.run(main)
