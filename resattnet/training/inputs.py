"""Open the data of a run: the transform of its training images, the loaders of training and validation."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Sequence

from ..data import datasets, recordio
from ..data.dali import DaliLoader
from ..data.image_set import DataFacts
from ..data.loaders import ArrayLoader
from ..data.transforms import Transform, label_noise
from ..system.errors import InputError
from .options import TrainingOptions

PADDING = 4  # pixels on each side, from which training images are cropped (section 4.1)


class Inputs(NamedTuple):
    """The data of a run.

    Attributes
    ----------
    facts : DataFacts
        Of the data set.
    transform : Transform
        Of the training images.
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
        If the data set is absent or damaged, or does not go with the options.
    """
    facts = datasets.describe_data(options.dataset, options.data_dir, options.data_format)
    transform, plain = training_transform(options, facts), Transform(facts.mean, facts.std, len(facts.classes))
    size = options.batch_size * len(devices)
    return Inputs(
        facts,
        transform,
        _make_loader(options, devices, facts, "train", transform, size * options.accumulate, options.seed),
        _make_loader(options, devices, facts, "test", plain, size),
    )


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


def _make_loader(
    options: TrainingOptions,
    devices: Sequence[Any],
    facts: DataFacts,
    split: str,
    transform: Transform,
    batch_size: int,
    shuffle_seed: Optional[int] = None,
) -> Any:
    if options.loader == "dali":
        record_file = recordio.locate(options.dataset, options.data_dir, split)
        return DaliLoader(record_file, transform, batch_size, shuffle_seed, options.workers, devices[0])
    image_set = datasets.load_images(options.dataset, options.data_dir, split, data_format=options.data_format)
    if split == "train" and options.label_noise:
        if transform.classes < 2:
            raise InputError(f"`label_noise={options.label_noise:g}`: {options.dataset} has one class only")
        labels = label_noise(image_set.labels, transform.classes, options.label_noise, options.seed)
        image_set = image_set._replace(labels=labels)
    return ArrayLoader(image_set, transform, batch_size, shuffle_seed, options.workers)
