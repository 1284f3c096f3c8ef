"""Open the data of a run: the transform of the training images, and the training and validation loaders."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, Sequence

from ..data import datasets, recordio
from ..data.dali import DaliLoader
from ..data.image_set import DataFacts, ImageSet
from ..data.loaders import ArrayLoader
from ..data.transforms import Transform, label_noise
from ..system.errors import InputError
from .options import TrainingOptions

SPLITS = ("train", "test")
# Images of the smallest batch that a device trains on, unless `batch_size` is smaller: batch normalisation takes its
# statistics from them. What remains of an epoch beside full batches is a batch of its own only if it is larger.
SMALLEST_PART = 8
PADDING = 4  # pixels on each side, from which training images are cropped (section 4.1)


class Inputs(NamedTuple):
    """The data of a run.

    Attributes
    ----------
    facts : DataFacts
        Facts of the data set.
    transform : Transform
        Transform of the training images.
    train_loader, validation_loader : loader
        Sized iterables of (images, labels); see `data.loaders`.
    """

    facts: DataFacts
    transform: Transform
    train_loader: Any
    validation_loader: Any

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.facts.classes)


def open_inputs(options: TrainingOptions, devices: Sequence[Any]) -> Inputs:
    """Open the data of a run on these devices.

    Parameters
    ----------
    options : TrainingOptions
    devices : sequence of mx.Context

    Raises
    ------
    InputError
        If the data set is missing or damaged, or is incompatible with the options.
    """
    facts = datasets.describe_data(options.dataset, options.data_dir, options.data_format)
    transform, plain = training_transform(options, facts), Transform(facts.mean, facts.std, len(facts.classes))
    size = options.batch_size * len(devices)
    train_batch, seed = size * options.accumulate, options.seed
    smallest = min(SMALLEST_PART, options.batch_size) * len(devices) * options.accumulate
    if options.loader == "dali":
        train_file, test_file = (recordio.locate(options.dataset, options.data_dir, split) for split in SPLITS)
        image_size = facts.image_size or recordio.image_size(options.dataset, options.data_dir)
        facts = dataclasses.replace(facts, image_size=image_size)
        train_loader: Any = DaliLoader(
            train_file, transform, train_batch, seed, options.workers, devices[0], smallest=smallest
        )
        test_loader: Any = DaliLoader(test_file, plain, size, None, options.workers, devices[0])
        return Inputs(facts, transform, train_loader, test_loader)
    train_set, test_set = (
        datasets.load_images(options.dataset, options.data_dir, split, data_format=options.data_format)
        for split in SPLITS
    )
    facts = facts.complete(train_set)
    train_loader = ArrayLoader(
        _add_noise(train_set, options), transform, train_batch, seed, options.workers, smallest=smallest
    )
    return Inputs(facts, transform, train_loader, ArrayLoader(test_set, plain, size, None, options.workers))


def training_transform(options: TrainingOptions, facts: DataFacts) -> Transform:
    """Return the transform of the training images that the options of a run describe."""
    return Transform(
        facts.mean,
        facts.std,
        len(facts.classes),
        pad=PADDING,
        flip=facts.flip,
        cutout=options.cutout,
        epsilon=options.epsilon,
        alpha=options.alpha if options.mix_up else 0.0,
        cut_alpha=options.alpha if options.cutmix else 0.0,
        mix_epochs=options.epochs - options.mixup_off_epochs,
        seed=options.seed,
    )


def _add_noise(train_set: ImageSet, options: TrainingOptions) -> ImageSet:
    """Return the training set with the fraction of wrong labels that the options ask for."""
    if not options.label_noise:
        return train_set
    classes = len(train_set.classes)
    if classes < 2:
        raise InputError(f"`label_noise={options.label_noise:g}`: {options.dataset} has one class only")
    return train_set._replace(labels=label_noise(train_set.labels, classes, options.label_noise, options.seed))
