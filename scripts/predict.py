#!/usr/bin/env python3
"""Name the classes of images with trained parameters, the most probable first.

    python scripts/predict.py --params models/RUN/best.params photo.jpg scan.tif
    python scripts/predict.py --params models/RUN/best.params folder --output folder.csv
    find . -name '*.webp' | python scripts/predict.py --params models/RUN/best.params - --format json

Images may be of any format that Pillow reads, and of any size. Each is brought to the size of the data set's images
whole, by bilinear interpolation, whatever its proportions: cut out what matters where these are far from those. It is
turned upright by its EXIF orientation; what is transparent is laid on white; 16 bits are rounded to 8; of several
images in a file the first is taken; colour profiles are not applied.

What the parameters are of is read from the .json beside them. A file that cannot be read is named on stderr and left
out, and the others go on. Exit codes: 0 done; 1 some could not be read; 2 wrong arguments or input; 130 interrupted.
"""

import argparse
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from resattnet.evaluation.options import PredictionOptions  # noqa: E402
from resattnet.system import command_line  # noqa: E402


def main():
    """Predict."""
    parser = command_line.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_params(parser)
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="a file, a folder whose images are taken, those of "
        "its sub-folders too, or - for names of these on stdin, one a line",
    )
    command_line.add_options(parser, PredictionOptions)
    given = vars(parser.parse_args())
    path, images = given.pop("params"), given.pop("images")
    options = PredictionOptions(**given)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it, as it ends others

    from resattnet.evaluation.prediction_files import predict_files

    return 1 if predict_files(path, images, options) else 0


if __name__ == "__main__":
    command_line.run(main)
