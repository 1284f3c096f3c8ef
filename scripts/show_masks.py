#!/usr/bin/env python3
"""Draw what trained parameters look at: the soft masks of every attention module, as in the paper's figures 1 and 4.

    python scripts/show_masks.py --params models/RUN/best.params photo.jpg --output photo_masks.png
    python scripts/show_masks.py --params models/RUN/best.params --from-test 6 --channels 0,5,9
    python scripts/show_masks.py --params models/RUN/best.params --from-test 6 --grad-cam 1
    python scripts/show_masks.py --params models/RUN/epoch-0050.params --from-test 6 --board log/board

A row of the sheet is an image, with its prediction; then, for each module, its mask M, its trunk's output T and the
product, (1 + M) T or M T, brought to the size of the image. A module's masks have one colour scale, given below them;
its features before and after another. Images are read as by scripts/predict.py.

What the parameters are of is read from the .json beside them. As arrays: `resattnet.soft_masks(net, images)`.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from resattnet.reports.options import MaskOptions  # noqa: E402
from resattnet.system import command_line  # noqa: E402


def main():
    """Draw the sheet."""
    parser = command_line.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_params(parser)
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="a file, a folder whose images are taken, those of "
        "its sub-folders too, or - for names of these on stdin, one a line",
    )
    command_line.add_options(parser, MaskOptions)
    given = vars(parser.parse_args())
    path, images = given.pop("params"), given.pop("images")
    options = MaskOptions(**given)
    if not images and not options.from_test:
        parser.error("give images, or --from-test 6 for test images of the data set")

    from resattnet.reports.mask_sheet import make_sheet

    output, predictions, attentions = make_sheet(path, images, options)
    for row, prediction in predictions:
        print(f"{row.title} -> {prediction.classes[0]} ({100 * prediction.probabilities[0]:.1f} %)")
    for attention in attentions:
        mask = attention.mask
        print(
            "%s, stage %d, module %d: masks of %d channels, %d x %d, from %.3f to %.3f, mean %.3f"
            % (attention[:3] + mask.shape[1:] + (mask.min(), mask.max(), mask.mean()))
        )
    print(f"sheet: {output}")
    if options.board:
        print(f"board: tensorboard --logdir {options.board}")


if __name__ == "__main__":
    command_line.run(main)
