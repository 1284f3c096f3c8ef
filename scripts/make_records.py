#!/usr/bin/env python3
"""Write both splits of a data set, or of your own folder of images, as RecordIO: lossless PNG with an index.

    python scripts/make_records.py --dataset cifar10                # data/cifar10_{train,test}.{rec,idx}
    python scripts/cifar10_train.py --data-format rec               # trains from them: the same batches

    python scripts/make_records.py --images pets --size 32          # pets/train/CLASS/*.jpg, pets/test/CLASS/*.jpg
    python scripts/make_records.py --images pets --size 32 --test-share 0.2         # pets/CLASS/*.jpg
    python scripts/cifar10_train.py --dataset pets --data-format rec

Class names, source, mean and standard deviation of the training images go to data/NAME_records.json. All is
read back and compared, pixel by pixel, before it is put in place; an interrupted writing leaves nothing.
Exit codes: 0 done; 2 wrong arguments or input; 130, 143 interrupted.
"""

import argparse
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from resattnet.commands.make_records import RecordsOptions  # noqa: E402
from resattnet.system import command_line  # noqa: E402


def stop(signum, _):
    """Leave through the `with` blocks, which remove what is not whole."""
    sys.exit(128 + signum)


def read(options):
    """Return both splits by name, and the rest of what `records.write` wants to know of them."""
    from resattnet.data import datasets, folders, image_set

    if options.images:
        sets = folders.read_folder(os.path.expanduser(options.images), options.size, options.test_share, options.seed)
        mean, std = image_set.channel_statistics(sets["train"].images)
        return sets, dict(source="images of " + options.images, mean=mean, std=std, flip=options.flip is not False)
    facts = datasets.describe_data(options.dataset)
    sets = {split: datasets.load_images(options.dataset, options.data_dir, split) for split in facts.samples}
    return sets, dict(source=facts.title, mean=facts.mean, std=facts.std, flip=facts.flip)


def main():
    """Write the records."""
    parser = command_line.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_options(parser, RecordsOptions)
    options = RecordsOptions(**vars(parser.parse_args()))
    signal.signal(signal.SIGTERM, stop)

    from resattnet.data import recordio

    recordio.check_output(options.output, options.title, options.overwrite)
    sets, facts = read(options)
    recordio.write_records(options.output, options.title, sets, overwrite=options.overwrite, **facts)
    for split, image_set in sets.items():
        path = recordio.paths(options.output, options.title, split)[0]
        height, width = image_set.images.shape[1:3]
        print(
            f"{path}: {len(image_set.labels)} images of {width}x{height} pixels, {len(image_set.classes)} "
            f"classes, {os.path.getsize(path) / 1000000.0:.1f} MB"
        )


if __name__ == "__main__":
    command_line.run(main)
