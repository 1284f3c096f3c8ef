"""What `benchmarks` measures: contenders, as rows of `CONTENDERS`, and their builders.

A builder takes `benchmark.options.BenchmarkOptions` and what its row adds, and returns a function that does its work once
and says how many images that were. All measure on the CPU.
"""

import dataclasses
import functools
import os
import tempfile
from typing import Callable, NamedTuple, Optional

import numpy as np

from ..data import datasets
from ..data.loaders import ArrayLoader
from ..data.transforms import Transform
from ..models.graphs import fuse, quantize
from ..models.zoo import get_attention_cifar
from ..system.cores import SCRATCH_PER_DEVICE
from ..system.devices import check_type, choose_devices, cpu_facts
from ..system.errors import InputError
from ..system.mxnet import SPIN_COUNT, mx
from ..training.loop import Run
from ..training.options import TrainingOptions
from ..training.schedules import importing_gluoncv

INPUT_FACTOR = 20  # batches made by array for each made image by image: both then take a time that can be measured


class Unavailable(InputError):
    """This contender cannot run here; the others can."""


class Contender(NamedTuple):
    """A contender: its part and name, what builds it, the PyTorch rival, the process it shares with others.

    `environment` is what its process finds there.
    """

    part: str
    name: str
    build: Callable
    arguments: dict = {}
    rival: Optional[str] = None
    process: Optional[str] = None
    environment: dict = {}

    @property
    def devices(self):
        """CPU devices that it divides its threads and its batch among."""
        return self.arguments.get("devices", 1)

    @property
    def child_environment(self):
        """Environment variables for its process, which MXNet reads at its import; the user's scratch pieces win."""
        if self.devices == 1:
            return self.environment
        pieces = os.environ.get("MXNET_CPU_TEMP_COPY", str(SCRATCH_PER_DEVICE * self.devices))
        return dict(
            {"OMP_NUM_THREADS": str(threads() // self.devices), "MXNET_CPU_TEMP_COPY": pieces}, **self.environment
        )

    @property
    def obstacle(self):
        """Why it cannot be measured fairly here, or None."""
        if threads() % self.devices:
            return (
                f"{self.name}: left out, since its devices cannot share {threads()} thread{'s' * (threads() > 1)} "
                "evenly"
            )


def threads():
    """How many threads each contender computes with: `OMP_NUM_THREADS`, which `_mxnet` sets where the user has not."""
    text = os.environ["OMP_NUM_THREADS"].split(",")[0]
    if not text.isdigit() or not int(text):
        raise InputError(f"OMP_NUM_THREADS {text}: give a whole number of at least 1")
    return int(text)


def random_batch(options):
    """Normalised images of noise and labels, as the loader gives them."""
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(options.batch_size, 3, 32, 32)).astype(np.float32),
        rng.integers(0, 10, options.batch_size).astype(np.int32),
    )


def repeated(step, options):
    """`options.steps` steps on the same batch, to the end of the last one."""

    def repeat():
        for _ in range(options.steps):
            step()
        mx.nd.waitall()
        return options.steps * options.batch_size

    return repeat


def make_run(options, devices=1, **changes):
    """A training run as the script would make it, of which only `train_step` will be used."""
    run_options = TrainingOptions(
        **dict(
            dict(
                dataset="digits",
                data_dir=options.data_dir,
                num_layers=options.num_layers,
                widths=options.widths,
                batch_size=options.batch_size,
                epochs=1000,
                warmup_epochs=0,
                lr=1e-3,
                dtype=options.dtype,
            ),
            **changes,
        )
    )
    try:
        check_type(run_options.dtype, [mx.cpu()])
    except InputError as reason:
        raise Unavailable(str(reason))
    with tempfile.TemporaryDirectory() as folder:  # a run makes its folder, and this one writes nothing there
        return Run(dataclasses.replace(run_options, model_dir=folder), choose_devices(0, devices)[0])


def training(options, accumulate=1, dtype=None, devices=1):
    """The step of `training.Run`: forward, loss, backward, update, metrics; of `accumulate` batches.

    The devices share a batch: an update is of as many images whatever their number.
    """
    share = _share_of_batch(options, devices)
    run = make_run(options, devices, accumulate=accumulate, dtype=dtype or options.dtype, batch_size=share)
    options = dataclasses.replace(options, batch_size=share * devices * accumulate)
    images, labels = random_batch(options)
    return repeated(lambda: run.train_step(images, labels), options)


@functools.lru_cache(maxsize=1)
def _run_on_data(options):
    run = make_run(options, dataset=options.dataset)
    samples = options.steps * options.batch_size
    image_set = datasets.load_images(options.dataset, options.data_dir, "train")
    if samples > len(image_set.labels):
        raise InputError(
            f"--steps {options.steps}: {options.steps} batches of {options.batch_size} are more than "
            f"the {len(image_set.labels)} images of {options.dataset}"
        )
    return run, image_set._replace(images=image_set.images[:samples], labels=image_set.labels[:samples])


def constant_epoch(options):
    """Training steps on one batch: what an epoch would cost if its input were free."""
    run, image_set = _run_on_data(options)
    images, labels = run.transform(image_set.images[: options.batch_size], image_set.labels[: options.batch_size])
    return repeated(lambda: run.train_step(images, labels), options)


def loader_epoch(options, workers):
    """The same steps on an epoch of `options.steps` batches from the loader."""
    run, image_set = _run_on_data(options)
    loader = ArrayLoader(image_set, run.transform, options.batch_size, shuffle_seed=0, workers=workers)

    def repeat():
        for images, labels in loader.epoch(0):
            run.train_step(images, labels)
        mx.nd.waitall()
        return loader.samples

    return repeat


def _share_of_batch(options, devices):
    """Images that each of the devices gets of a batch."""
    if options.batch_size % devices:
        raise Unavailable(
            f"{devices} CPU devices are left out: a batch of {options.batch_size} cannot be divided evenly"
        )
    return options.batch_size // devices


def initialised_net(options, devices=1):
    """The network, with random weights."""
    mx.random.seed(0)
    net = get_attention_cifar(10, options.num_layers, widths=options.widths)
    net.initialize(ctx=choose_devices(0, devices)[0])
    return net


def inference(options, graph=None, devices=1):
    """Logits of a batch, shared by the devices; `graph`, a function of `resattnet.models.graphs`, changes the net first."""
    _share_of_batch(options, devices)
    net = initialised_net(options, devices)
    parts = mx.gluon.utils.split_and_load(random_batch(options)[0], choose_devices(0, devices)[0])
    net.hybridize(static_alloc=True, static_shape=True)
    net = graph(net) if graph else net
    return repeated(lambda: [net(part) for part in parts], options)


def int8(net):
    """The network in INT8, its ranges taken from noise: good enough for its speed."""
    return quantize(net, np.random.default_rng(1).normal(size=(64, 3, 32, 32)).astype(np.float32))


def torch_twin(options, dtype):
    """The module `torch_network`, and its net with the weights of ours."""
    model, instructions = cpu_facts()
    if dtype == "bfloat16" and instructions and "avx512f" not in instructions:
        raise Unavailable(
            f"PyTorch bfloat16 is left out: {model} has no instructions for it, and takes minutes for a step"
        )
    if os.environ.get("GOMP_SPINCOUNT") == SPIN_COUNT:  # ours, not the user's: PyTorch is faster with its own
        del os.environ["GOMP_SPINCOUNT"]
    try:
        from . import torch_network
    except ImportError as error:
        raise Unavailable(
            f"PyTorch is not here ({error}) and its rows are left out: python -m pip install -e '.[bench]'"
        )
    torch_network.torch.set_num_threads(threads())
    net = initialised_net(options)
    return torch_network, torch_network.load_gluon(torch_network.build(net.spec), net)


def torch_training(options, dtype):
    """The training step in PyTorch."""
    torch_network, net = torch_twin(options, dtype)
    return repeated(torch_network.training_step(net, *random_batch(options), dtype=dtype), options)


def torch_inference(options, dtype):
    """Logits of a batch in PyTorch."""
    torch_network, net = torch_twin(options, dtype)
    return repeated(torch_network.inference_step(net, random_batch(options)[0], dtype), options)


def plain_transform(options):
    """The transform of the data set, without randomness."""
    facts = datasets.describe_data(options.dataset)
    return Transform(facts.mean, facts.std, len(facts.classes))


def reference_chain(mean, std, pad=4, flip=True):
    """The reference scripts' input: a chain of Gluon transforms for one image, NDArray (H, W, C) uint8 to (C, H, W)."""
    with importing_gluoncv():
        from gluoncv.data import transforms as cv
    transforms = mx.gluon.data.vision.transforms
    return transforms.Compose(
        [cv.RandomCrop(datasets.SIDE, pad=pad)] * bool(pad)
        + [transforms.RandomFlipLeftRight()] * flip
        + [transforms.ToTensor(), transforms.Normalize(mean, std)]
    )


def image_input(options):
    """Batches made image by image: crop, flip, normalise."""
    transform, image_set = plain_transform(options), datasets.load_images(options.dataset, options.data_dir, "train")
    chain, images = reference_chain(transform.mean, transform.std), mx.nd.array(image_set.images, dtype="uint8")
    draws = np.random.default_rng(0)

    def step():
        mx.nd.stack(*(chain(images[int(index)]) for index in draws.integers(0, len(images), options.batch_size)))

    return repeated(step, options)


def batch_input(options, **extra):
    """Batches made by `augment.Transform`: crop, flip, normalise and what else is asked for."""
    transform = plain_transform(options)._replace(pad=4, flip=True, **extra)
    image_set = datasets.load_images(options.dataset, options.data_dir, "train")
    draws = np.random.default_rng(0)

    def step():
        chosen = draws.integers(0, len(image_set.labels), options.batch_size)
        transform(image_set.images[chosen], image_set.labels[chosen])

    return repeated(step, dataclasses.replace(options, steps=INPUT_FACTOR * options.steps))


CONTENDERS = (
    Contender("train", "ours float32", training, dict(dtype="float32"), "PyTorch float32"),
    Contender("train", "ours bfloat16", training, dict(dtype="bfloat16"), "PyTorch bfloat16"),
    Contender("train", "ours float32, 2 CPU devices", training, dict(dtype="float32", devices=2), "PyTorch float32"),
    Contender("train", "ours bfloat16, 2 CPU devices", training, dict(dtype="bfloat16", devices=2), "PyTorch bfloat16"),
    Contender("train", "PyTorch float32", torch_training, dict(dtype="float32"), "PyTorch float32"),
    Contender("train", "PyTorch bfloat16", torch_training, dict(dtype="bfloat16"), "PyTorch bfloat16"),
    Contender("inference", "ours float32", inference, {}, "PyTorch float32"),
    Contender("inference", "ours float32, fused", inference, dict(graph=fuse), "PyTorch float32"),
    Contender("inference", "ours float32, 2 CPU devices", inference, dict(devices=2), "PyTorch float32"),
    Contender(
        "inference",
        "ours float32, 2 CPU devices, 4 scratch pieces",
        inference,
        dict(devices=2),
        "PyTorch float32",
        environment={"MXNET_CPU_TEMP_COPY": "4"},
    ),
    Contender("inference", "ours INT8", inference, dict(graph=int8), "PyTorch float32"),
    Contender("inference", "PyTorch float32", torch_inference, dict(dtype="float32"), "PyTorch float32"),
    Contender("inference", "PyTorch bfloat16", torch_inference, dict(dtype="bfloat16"), "PyTorch bfloat16"),
    Contender("input", "image by image: crop, flip, normalise", image_input),
    Contender("input", "by batch: crop, flip, normalise", batch_input),
    Contender("input", "by batch: the same, cutout and mixup", batch_input, dict(cutout=16, alpha=1.0)),
    # One network serves all three, since two of the same speed may differ by more than the input costs.
    Contender("epoch", "one constant batch", constant_epoch, process="epoch"),
    Contender("epoch", "loader, 0 workers", loader_epoch, dict(workers=0), process="epoch"),
    Contender("epoch", "loader, 2 workers", loader_epoch, dict(workers=2), process="epoch"),
)
