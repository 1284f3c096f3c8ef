"""Open the data of a run on a folder of images, which are read as they are needed."""

from __future__ import annotations

import functools
from typing import Any, Sequence

import numpy as np

from ..data.decoding import missing_packages
from ..data.facts import DataFacts
from ..data.file_images import FileImages, RandomResizedCrop
from ..data.geometry import Geometry
from ..data.mixing import label_noise
from ..data.transforms import Transform
from ..folders.image_sources import open_images
from ..folders.image_splits import describe_folder
from ..loaders.dali_crops import DaliCropLoader
from ..loaders.stream_loader import StreamLoader
from ..run_options.image_options import ImageTrainingOptions
from ..system.errors import remark
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
    folder = open_images(str(options.data_dir), **options.splits)
    facts = describe_folder(folder, unread_facts(options))
    size, geometry = (options.image_size, options.image_size), facts.geometry
    transform, plain = training_transform(options, facts, pad=0), Transform(facts.mean, facts.std, len(facts.classes))
    batch = options.batch_size * len(devices)
    train_labels = folder.train.labels
    if options.label_noise:
        train_labels = label_noise(train_labels, len(facts.classes), options.label_noise, options.seed)
    for line in missing_packages():
        remark(line)
    make_loader: Any = functools.partial(StreamLoader, workers=options.workers)
    if options.loader == "dali":
        make_loader = functools.partial(DaliCropLoader, threads=options.workers, device=devices[0])
    train_loader = make_loader(
        FileImages(folder.train, size, geometry),
        train_labels,
        transform,
        batch * options.accumulate,
        RandomResizedCrop((options.crop_scale, 1.0)),
        options.seed,
        world=world,
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
