#!/usr/bin/env python3
"""Train a Residual Attention Network on CIFAR-10, CIFAR-100 or the embedded digits.

    python scripts/cifar10_train.py --num-layers 92 --mix-up 1         # the real job: CIFAR-10, with mixup
    python scripts/cifar10_train.py --dataset digits --widths thin     # no download, minutes on a CPU
    python scripts/cifar10_train.py --resume models/RUN                # go on where a run was stopped

A run writes log/board/RUN (TensorBoard), log/text/RUN.log, log/csv/RUN.csv and models/RUN. Ctrl-C saves
and leaves. Exit codes: 0 done; 2 wrong arguments or input; 130, 143 stopped after saving.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from resattnet import cli  # noqa: E402
from resattnet.errors import InputError  # noqa: E402
from resattnet.options import FIXED_BY_STATE, TrainingOptions, flag_name  # noqa: E402


def parse():
    """Return the options given as a dict, and the run to resume or None."""
    parser = cli.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_options(parser, TrainingOptions)
    parser.add_argument("--resume", metavar="RUN", help="folder or state of a run to go on with, under its own "
                        "arguments; flags given beside it win where they leave the network and the data as they are")
    given = vars(parser.parse_args())
    return given, given.pop("resume")


def main():
    """Train."""
    given, resume = parse()
    if resume is None:
        options, state = TrainingOptions(**given), None
    else:
        from resattnet.checkpoints import load_state

        state = load_state(resume)
        before = TrainingOptions(**state.options)
        for name in FIXED_BY_STATE:
            if name in given and given[name] != getattr(before, name):
                raise InputError("%s %s: the run to resume has %s, and its state fits nothing else"
                                 % (flag_name(name), given[name], getattr(before, name)))
        options = TrainingOptions(**dict(state.options, **given))
    from resattnet.training import train

    train(options, state)


if __name__ == "__main__":
    cli.run(main)
