"""Open the data of a run: the transform of the training images, and the training and validation loaders."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..data.augmentation import ColourJitter
from ..data.facts import DataFacts
from ..data.image_set import ImageSet
from ..data.mixing import label_noise
from ..data.rand_augment import RandAugment
from ..data.transforms import Transform
from ..datasets import catalog, recordio
from ..loaders.array_loader import ArrayLoader
from ..loaders.dali import DaliLoader
from ..run_options.options import RunOptions, TrainingOptions
from ..system.errors import InputError
from ..system.world import ALONE, World

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
        Sized iterables of (images, labels); see `loaders.array_loader`.
    test_loader : loader or None
        The test images, where `val_split` validates on training images that are held out; else None: they are the
        validation images.
    counts : int array (classes,) or None
        Number of training images of each class, with the labels as they are trained on; None if DALI reads them.
    """

    facts: DataFacts
    transform: Transform
    train_loader: Any
    validation_loader: Any
    test_loader: Any = None
    counts: Optional[np.ndarray] = None

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.facts.classes)


def open_inputs(options: TrainingOptions, devices: Sequence[Any], world: World = ALONE) -> Inputs:
    """Open the data of a run on these devices.

    Parameters
    ----------
    options : TrainingOptions
    devices : sequence of mx.Context
    world : World
        The part of each epoch that the loaders of this process yield.

    Raises
    ------
    InputError
        If the data set is missing or damaged, or is incompatible with the options.
    """
    facts = catalog.describe_data(options.dataset, options.data_dir, options.data_format)
    transform, plain = training_transform(options, facts), Transform(facts.mean, facts.std, len(facts.classes))
    size = options.batch_size * len(devices)
    train_batch, seed = size * options.accumulate, options.seed
    smallest = smallest_batch(options, devices)
    if options.loader == "dali":
        train_file, test_file = (recordio.locate(options.dataset, options.data_dir, split) for split in SPLITS)
        image_size = facts.image_size or recordio.image_size(options.dataset, options.data_dir)
        facts = dataclasses.replace(facts, image_size=image_size)
        train_loader: Any = DaliLoader(
            train_file, transform, train_batch, seed, options.workers, devices[0], world, smallest
        )
        test_loader: Any = DaliLoader(test_file, plain, size, None, options.workers, devices[0], world)
        return Inputs(facts, transform, train_loader, test_loader)
    train_set, test_set = (
        catalog.load_images(options.dataset, options.data_dir, split, data_format=options.data_format)
        for split in SPLITS
    )
    facts = facts.complete(train_set)

    def in_order(image_set: ImageSet) -> ArrayLoader:
        return ArrayLoader(image_set, plain, size, None, options.workers, world)

    held_out = None
    if options.val_split:
        train_set, held_out = hold_out(train_set, options.val_split, options.seed)
    train_set = _add_noise(train_set, options)
    train_loader = ArrayLoader(
        train_set, transform, train_batch, seed, options.workers, world, smallest, options.sampler
    )
    counts = np.bincount(train_set.labels, minlength=len(facts.classes))
    validation_loader = in_order(held_out or test_set)
    return Inputs(facts, transform, train_loader, validation_loader, in_order(test_set) if held_out else None, counts)


def smallest_batch(options: RunOptions, devices: Sequence[Any]) -> int:
    """Return the number of samples below which what remains of an epoch is added to the batch before."""
    return min(SMALLEST_PART, options.batch_size) * len(devices) * options.accumulate


def hold_out(train_set: ImageSet, fraction: float, seed: int) -> Tuple[ImageSet, ImageSet]:
    """Return a training set without a fraction of each class, and the images held out.

    Parameters
    ----------
    train_set : ImageSet
    fraction : float
        Fraction of the images of each class, in 0..1, that is held out: at least one, and not all.
    seed : int
        Seed of the choice.

    Raises
    ------
    InputError
        If a class has only one image.
    """
    rng = np.random.default_rng((seed, 0, 0, 2))  # differs from the streams of orders, batches and label noise
    held_out = np.zeros(len(train_set.labels), bool)
    for label, name in enumerate(train_set.classes):
        rows = np.flatnonzero(train_set.labels == label)
        if len(rows) == 1:
            raise InputError(f"`val_split={fraction:g}`: the class {name} has one training image only")
        if len(rows):
            count = min(max(1, round(fraction * len(rows))), len(rows) - 1)
            held_out[rng.choice(rows, count, replace=False)] = True
    parts = [
        train_set._replace(images=train_set.images[rows], labels=train_set.labels[rows])
        for rows in (~held_out, held_out)
    ]
    return parts[0], parts[1]


def training_transform(options: RunOptions, facts: DataFacts, pad: int = PADDING) -> Transform:
    """Return the transform of the training images that the options of a run describe, with a random crop by `pad`."""
    return Transform(
        facts.mean,
        facts.std,
        len(facts.classes),
        pad=pad,
        flip=facts.flip,
        rand_augment=RandAugment(*options.rand_augment) if options.rand_augment else RandAugment(),
        jitter=ColourJitter(options.color_jitter, options.hue, options.lighting),
        cutout=options.cutout,
        erasing=options.random_erasing,
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
