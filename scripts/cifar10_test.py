#!/usr/bin/env python3
"""Measure trained parameters on the test images: top-1, top-5 and loss, each image exactly once, and a row per class.

    python scripts/cifar10_test.py --params models/RUN/best.params

Depth, widths and data set are read from the .json beside the parameters; only where that is missing do they
have to be given.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from resattnet import cli  # noqa: E402
from resattnet.script_options import TestingOptions  # noqa: E402


def table(classes, evaluation):
    """Rows of the per-class table: name, images, top-1, and what it is most often taken for."""
    width = max(len(name) for name in classes)
    yield "%-*s  images   top-1  most often taken for" % (width, "class")
    for index, (name, row) in enumerate(zip(classes, evaluation.confusion)):
        wrong = row.copy()
        wrong[index] = 0
        mistake = "%s (%d)" % (classes[wrong.argmax()], wrong.max()) if wrong.any() else "-"
        yield "%-*s  %6d  %6.4f  %s" % (width, name, row.sum(), evaluation.class_accuracy[index], mistake)


def main():
    """Evaluate."""
    parser = cli.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", required=True, metavar="FILE", help="parameters that a run has saved")
    cli.add_options(parser, TestingOptions)
    given = vars(parser.parse_args())
    path = given.pop("params")

    from resattnet.trained import evaluate_parameters

    options = TestingOptions(**given)
    evaluation, classes = evaluate_parameters(path, options)
    print("%s: %d test images" % (path, evaluation.samples))
    print("top-1 %.4f  top-5 %.4f  loss %.4f" % (evaluation.top1, evaluation.top5, evaluation.loss))
    if evaluation.mirrored:
        print("top-1 with mirrored images %.4f  top-5 with them %.4f  loss with them %.4f (mean of the probabilities "
              "of each image and its mirror image)"
              % (evaluation.mirrored.top1, evaluation.mirrored.top5, evaluation.mirrored.loss))
    print("\n".join(table(classes, evaluation)))
    if options.corruption_names:
        from resattnet import robustness

        print("\n".join(robustness.table(robustness.measure_parameters(path, options))))


if __name__ == "__main__":
    cli.run(main)
