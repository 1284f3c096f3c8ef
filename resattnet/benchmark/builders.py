"""Build the work of the contenders; that of PyTorch is in `torch_builders`.

A builder takes the `BenchmarkOptions` and the arguments of its row in `cases.CONTENDERS`, and returns a function that
does the work once and returns the number of images. All work runs on the CPU.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from typing import Any, Callable, Optional, Tuple

import numpy as np

from ..data.transforms import Transform
from ..datasets import catalog
from ..distributed.group import SOLO, Group
from ..loaders.array_loader import ArrayLoader
from ..loaders.samplers import BatchSampler
from ..machine.devices import check_type, choose_devices
from ..machine.mxnet import mx
from ..machine.packages import importing_gluoncv
from ..models.graphs import quantize
from ..models.network import build
from ..models.spec import NetworkSpec
from ..optimization.schedules import make_schedule
from ..run_options.options import TrainingOptions
from ..system.errors import InputError
from ..training.inputs import training_transform
from ..training.step import TrainingStep, array_type, make_net, make_step
from .contender import Unavailable
from .options import BenchmarkOptions

# Batches made as arrays for each batch made image by image, so that both take a time that can be measured.
INPUT_FACTOR = 20
LATENCY_FACTOR = 5  # calls with one image for each step with a batch


def random_batch(options: BenchmarkOptions) -> Tuple[np.ndarray, np.ndarray]:
    """Return normalised images of noise and labels, in the types of a loader's batch."""
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(options.batch_size, 3, 32, 32)).astype(np.float32),
        rng.integers(0, 10, options.batch_size).astype(np.int32),
    )


def repeated(step: Callable[[], Any], options: BenchmarkOptions) -> Callable[[], int]:
    """Return a function that runs `options.steps` steps, waits for the last and returns the number of images."""

    def repeat() -> int:
        for _ in range(options.steps):
            step()
        mx.nd.waitall()
        return options.steps * options.batch_size

    return repeat


def training_options(options: BenchmarkOptions, **changes: Any) -> TrainingOptions:
    """Return the options of the training run whose step is measured; options that do not change its speed are fixed."""
    given = dict(
        dataset=options.dataset,
        data_dir=options.data_dir,
        num_layers=options.num_layers,
        widths=options.widths,
        unit=options.unit,
        batch_size=options.batch_size,
        epochs=1000,
        warmup_epochs=0,
        lr=1e-3,
        dtype=options.dtype,
    )
    return TrainingOptions(**dict(given, **changes))


def make_training_step(
    options: BenchmarkOptions, classes: int = 10, devices: int = 1, group: Group = SOLO, **changes: Any
) -> TrainingStep:
    """Return a `TrainingStep`, as a run in the processes of a group has it, on CPU devices."""
    chosen, contexts = training_options(options, **changes), choose_devices(0, devices)[0]
    try:
        check_type(chosen.dtype, contexts)
    except InputError as reason:
        raise Unavailable(f"{reason}") from reason
    mx.random.seed(chosen.seed)
    net = make_net(NetworkSpec(classes, **chosen.network), contexts, array_type(chosen))
    return make_step(net, chosen, contexts, make_schedule(chosen, devices, epoch_steps=100), group=group)


def training(
    options: BenchmarkOptions, accumulate: int = 1, dtype: Optional[str] = None, devices: int = 1
) -> Callable[[], int]:
    """Measure training steps: forward, loss, backward, update, metrics; each of `accumulate` batches.

    The devices share a batch, so that an update has the same number of images on any number of devices.
    """
    per_device = _batch_per_device(options, devices)
    step = make_training_step(
        options, devices=devices, accumulate=accumulate, dtype=dtype or options.dtype, batch_size=per_device
    )
    options = dataclasses.replace(options, batch_size=per_device * devices * accumulate)
    images, labels = random_batch(options)
    return repeated(lambda: step(images, labels), options)


@functools.lru_cache(maxsize=1)
def _step_on_data(options: BenchmarkOptions) -> Tuple[TrainingStep, Transform, Any]:
    """Return a training step, the transform and the images for `options.steps` batches of the data set."""
    facts = catalog.describe_data(options.dataset, options.data_dir)
    samples = options.steps * options.batch_size
    image_set = catalog.load_images(options.dataset, options.data_dir, "train")
    BatchSampler(len(image_set.labels), options.batch_size, shuffle_seed=0)  # raises if one batch is too large
    if samples > len(image_set.labels):
        raise InputError(
            f"`steps={options.steps}`: {options.steps} batches of {options.batch_size} need more than the "
            f"{len(image_set.labels)} images of {options.dataset}"
        )
    step = make_training_step(options, len(facts.classes))
    transform = training_transform(training_options(options), facts)
    return step, transform, image_set._replace(images=image_set.images[:samples], labels=image_set.labels[:samples])


def constant_epoch(options: BenchmarkOptions) -> Callable[[], int]:
    """Measure training steps on one batch: an epoch whose input costs nothing."""
    step, transform, image_set = _step_on_data(options)
    images, labels = transform(image_set.images[: options.batch_size], image_set.labels[: options.batch_size])
    return repeated(lambda: step(images, labels), options)


def loader_epoch(options: BenchmarkOptions, workers: int) -> Callable[[], int]:
    """Measure the same steps on an epoch of `options.steps` batches from the loader."""
    step, transform, image_set = _step_on_data(options)
    loader = ArrayLoader(image_set, transform, options.batch_size, shuffle_seed=0, workers=workers)

    def repeat() -> int:
        for images, labels in loader.epoch(0):
            step(images, labels)
        mx.nd.waitall()
        return loader.samples

    return repeat


def _batch_per_device(options: BenchmarkOptions, devices: int) -> int:
    """Return the number of images of a batch on each device."""
    if options.batch_size % devices:
        raise Unavailable(
            f"{devices} CPU devices are left out: a batch of {options.batch_size} cannot be divided evenly"
        )
    return options.batch_size // devices


def initialised_net(options: BenchmarkOptions, devices: int = 1) -> Any:
    """Return the network with random weights."""
    mx.random.seed(0)
    net = build(NetworkSpec(10, options.num_layers, widths=options.widths, unit=options.unit))
    net.initialize(ctx=choose_devices(0, devices)[0])
    return net


def inference(
    options: BenchmarkOptions, graph: Optional[Callable[[Any], Any]] = None, devices: int = 1
) -> Callable[[], int]:
    """Measure the logits of a batch that the devices share; `graph` (of `models.graphs`) changes the network first."""
    _batch_per_device(options, devices)
    net = initialised_net(options, devices)
    parts = mx.gluon.utils.split_and_load(random_batch(options)[0], choose_devices(0, devices)[0])
    net.hybridize(static_alloc=True, static_shape=True)
    net = graph(net) if graph else net
    return repeated(lambda: [net(part) for part in parts], options)


def latency(
    options: BenchmarkOptions, build: Callable[..., Callable[[], int]], **arguments: Any
) -> Callable[[], Tuple[float, ...]]:
    """Measure the seconds of each of `LATENCY_FACTOR` x `options.steps` calls with one image; `build` is a builder."""
    call = build(dataclasses.replace(options, batch_size=1, steps=1), **arguments)

    def repeat() -> Tuple[float, ...]:
        seconds = []
        for _ in range(LATENCY_FACTOR * options.steps):
            begin = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - begin)
        return tuple(seconds)

    return repeat


def int8(net: Any) -> Any:
    """Return the network in INT8, calibrated on noise, which is good enough to measure its speed."""
    return quantize(net, calibration_noise())


def calibration_noise() -> np.ndarray:
    """Return images to calibrate INT8 on; they are of noise."""
    return np.random.default_rng(1).normal(size=(64, 3, 32, 32)).astype(np.float32)


def plain_transform(options: BenchmarkOptions) -> Transform:
    """Return the transform of the data set without randomness."""
    facts = catalog.describe_data(options.dataset)
    return Transform(facts.mean, facts.std, len(facts.classes))


def reference_chain(mean: Tuple[float, ...], std: Tuple[float, ...], pad: int = 4, flip: bool = True) -> Any:
    """Return the reference implementation's chain of Gluon transforms: one NDArray (H, W, C) uint8 to (C, H, W)."""
    with importing_gluoncv():
        from gluoncv.data import transforms as cv
    transforms = mx.gluon.data.vision.transforms
    chain = []
    if pad:
        chain.append(cv.RandomCrop(32, pad=pad))
    if flip:
        chain.append(transforms.RandomFlipLeftRight())
    return transforms.Compose([*chain, transforms.ToTensor(), transforms.Normalize(mean, std)])


def image_input(options: BenchmarkOptions) -> Callable[[], int]:
    """Measure batches made image by image: crop, flip, normalise."""
    transform, image_set = plain_transform(options), catalog.load_images(options.dataset, options.data_dir, "train")
    chain, images = reference_chain(transform.mean, transform.std), mx.nd.array(image_set.images, dtype="uint8")
    draws = np.random.default_rng(0)

    def step() -> None:
        mx.nd.stack(*(chain(images[int(index)]) for index in draws.integers(0, len(images), options.batch_size)))

    return repeated(step, options)


def batch_input(options: BenchmarkOptions, **extra: Any) -> Callable[[], int]:
    """Measure batches made by `data.transforms.Transform`: crop, flip, normalise and the transforms in `extra`."""
    transform = plain_transform(options)._replace(pad=4, flip=True, **extra)
    image_set = catalog.load_images(options.dataset, options.data_dir, "train")
    draws = np.random.default_rng(0)

    def step() -> None:
        chosen = draws.integers(0, len(image_set.labels), options.batch_size)
        transform(image_set.images[chosen], image_set.labels[chosen])

    return repeated(step, dataclasses.replace(options, steps=INPUT_FACTOR * options.steps))
