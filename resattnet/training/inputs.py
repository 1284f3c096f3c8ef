"""What a run reads: the transform of its training images, and the loaders of training and of validation."""

from typing import Any, NamedTuple

from ..data import datasets, recordio
from ..data.dali import DaliLoader
from ..data.loaders import ArrayLoader
from ..data.transforms import Transform, label_noise
from ..system.errors import InputError


class Inputs(NamedTuple):
    """Number of classes, transform of the training images, loaders."""

    classes: int
    transform: Transform
    train_loader: Any
    validation_loader: Any


def open_inputs(options, devices):
    """The `Inputs` of a run on these devices.

    Parameters
    ----------
    options : options.TrainingOptions
    devices : list of mx.Context

    Raises
    ------
    InputError
        If the data set is absent or damaged, or does not go with the options.
    """
    facts = datasets.describe_data(options.dataset, options.data_dir, options.data_format)
    classes = len(facts.classes)
    plain = Transform(facts.mean, facts.std, classes)
    transform = plain._replace(
        pad=4,
        flip=facts.flip,
        cutout=options.cutout,
        epsilon=options.epsilon,
        alpha=options.alpha if options.mix_up else 0.0,
        cut_alpha=options.alpha if options.cutmix else 0.0,
        mix_epochs=options.epochs - options.mixup_off_epochs,
        seed=options.seed,
    )
    size = options.batch_size * len(devices)
    return Inputs(
        classes,
        transform,
        _make_loader(options, devices, facts, "train", transform, size * options.accumulate, options.seed),
        _make_loader(options, devices, facts, "test", plain, size),
    )


def _make_loader(options, devices, facts, split, transform, batch_size, shuffle_seed=None):
    if options.loader == "dali":
        record_file = recordio.locate(facts, options.data_dir, split)
        return DaliLoader(record_file, transform, batch_size, shuffle_seed, options.workers, devices[0])
    image_set = datasets.load_images(options.dataset, options.data_dir, split, data_format=options.data_format)
    if split == "train" and options.label_noise:
        if transform.classes < 2:
            raise InputError(f"--label-noise {options.label_noise:g}: {options.dataset} has one class only")
        image_set = image_set._replace(
            labels=label_noise(image_set.labels, transform.classes, options.label_noise, options.seed)
        )
    return ArrayLoader(image_set, transform, batch_size, shuffle_seed, options.workers)
