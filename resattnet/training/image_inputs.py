"""Open the data of a run on a folder of images, which are read as they are needed."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from ..data.file_images import FileImages, RandomResizedCrop
from ..data.geometry import Geometry
from ..data.image_set import DataFacts
from ..data.mixing import label_noise
from ..data.stream_loader import StreamLoader
from ..data.transforms import Transform
from ..datasets.image_folders import describe_folder, open_image_folder
from ..run_options.image_options import ImageTrainingOptions
from ..system.world import ALONE, World
from .inputs import Inputs, smallest_batch, training_transform

# Mean and standard deviation of ImageNet's training images, for pixels in 0..1: the usual ones for photographs.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def open_image_inputs(options: ImageTrainingOptions, devices: Sequence[Any], world: World = ALONE) -> Inputs:
    """Open the data of a run on these devices.

    Parameters
    ----------
    options : ImageTrainingOptions
    devices : sequence of mx.Context
    world : World
        The part of each epoch that the loaders of this process yield.

    Raises
    ------
    InputError
        If the folder has not the images that the options name, or their labels cannot be found.
    """
    folder = open_image_folder(str(options.data_dir), **options.splits)
    facts = describe_folder(folder, unread_facts(options))
    size, geometry = (options.image_size, options.image_size), facts.geometry
    transform, plain = training_transform(options, facts, pad=0), Transform(facts.mean, facts.std, len(facts.classes))
    batch = options.batch_size * len(devices)
    train_labels = folder.train.labels
    if options.label_noise:
        train_labels = label_noise(train_labels, len(facts.classes), options.label_noise, options.seed)
    train_loader = StreamLoader(
        FileImages(folder.train, size, geometry),
        train_labels,
        transform,
        batch * options.accumulate,
        RandomResizedCrop((options.crop_scale, 1.0)),
        options.seed,
        options.workers,
        world,
        smallest=smallest_batch(options, devices),
        sampler=options.sampler,
        skip_broken=options.skip_broken,
    )
    validation_loader = StreamLoader(
        FileImages(folder.validation, size, geometry),
        folder.validation.labels,
        plain,
        batch,
        workers=options.workers,
        world=world,
        skip_broken=options.skip_broken,
    )
    counts = np.bincount(train_labels, minlength=len(facts.classes))
    return Inputs(facts, transform, train_loader, validation_loader, counts=counts)


def unread_facts(options: ImageTrainingOptions) -> DataFacts:
    """Return the facts that the options of a run set, without those of its folder."""
    return DataFacts(
        title="",
        classes=(),
        samples={},
        mean=MEAN,
        std=STD,
        flip=options.flip,
        image_size=(options.image_size, options.image_size),
        geometry=Geometry("crop", options.interpolation, options.crop_ratio),
    )
