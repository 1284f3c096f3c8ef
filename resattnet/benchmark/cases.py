"""Name what the benchmark measures: `CONTENDERS`, one row for each case."""

from __future__ import annotations

from typing import Iterator

from ..models.graphs import fuse
from .builders import batch_input, constant_epoch, image_input, inference, int8, latency, loader_epoch, training
from .contender import Contender
from .engine_builders import BARE, PRECISIONS, TITLES, engine_inference
from .photographs import record_input, stream_input, torchvision_input
from .torch_builders import torch_inference, torch_training


def _engine_rows() -> Iterator[Contender]:
    """Yield each engine in each precision: by our path, and by a loop of its own calls in the same process."""
    for engine, precision in PRECISIONS:
        title = f"{TITLES[engine]} {precision}"
        arguments = dict(engine=engine, precision=precision)
        ours = Contender("inference", title, engine_inference, arguments, "PyTorch float32", title, package=engine)
        yield ours
        yield ours._replace(name=title + BARE, arguments=dict(arguments, bare=True))


_INFERENCE = (
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
    *_engine_rows(),
    Contender(
        "inference", "PyTorch float32", torch_inference, dict(dtype="float32"), "PyTorch float32", package="torch"
    ),
    Contender(
        "inference", "PyTorch bfloat16", torch_inference, dict(dtype="bfloat16"), "PyTorch bfloat16", package="torch"
    ),
    Contender(
        "inference",
        "torch.compile float32",
        torch_inference,
        dict(dtype="float32", compiled=True),
        "PyTorch float32",
        package="torch",
    ),
    Contender(
        "inference",
        "torch.compile bfloat16",
        torch_inference,
        dict(dtype="bfloat16", compiled=True),
        "PyTorch bfloat16",
        package="torch",
    ),
)


def _latency_rows() -> Iterator[Contender]:
    """Yield the contenders of `_INFERENCE` with a batch of one image, where that is another case."""
    for contender in _INFERENCE:
        if contender.devices == 1 and not contender.arguments.get("compiled"):  # compiling takes a minute
            arguments = dict(contender.arguments, build=contender.build)
            yield contender._replace(part="latency", build=latency, arguments=arguments)


CONTENDERS = (
    Contender("train", "ours float32", training, dict(dtype="float32"), "PyTorch float32"),
    Contender("train", "ours bfloat16", training, dict(dtype="bfloat16"), "PyTorch bfloat16"),
    Contender("train", "ours float32, 2 CPU devices", training, dict(dtype="float32", devices=2), "PyTorch float32"),
    Contender("train", "ours bfloat16, 2 CPU devices", training, dict(dtype="bfloat16", devices=2), "PyTorch bfloat16"),
    Contender("train", "PyTorch float32", torch_training, dict(dtype="float32"), "PyTorch float32", package="torch"),
    Contender("train", "PyTorch bfloat16", torch_training, dict(dtype="bfloat16"), "PyTorch bfloat16", package="torch"),
    Contender(
        "train",
        "torch.compile float32",
        torch_training,
        dict(dtype="float32", compiled=True),
        "PyTorch float32",
        package="torch",
    ),
    Contender(
        "train",
        "torch.compile bfloat16",
        torch_training,
        dict(dtype="bfloat16", compiled=True),
        "PyTorch bfloat16",
        package="torch",
    ),
    *_INFERENCE,
    *_latency_rows(),
    Contender("input", "image by image: crop, flip, normalise", image_input),
    Contender("input", "by batch: crop, flip, normalise", batch_input),
    Contender("input", "by batch: the same, cutout and mixup", batch_input, dict(cutout=16, alpha=1.0)),
    Contender("input", "photographs, ours", stream_input, {}, "photographs, torchvision"),
    Contender("input", "photographs, torchvision", torchvision_input, {}, "photographs, torchvision"),
    Contender("input", "photographs, ImageRecordIter", record_input, {}, "photographs, torchvision"),
    # One network serves all three, since two of the same speed may differ by more than the input costs.
    Contender("epoch", "one constant batch", constant_epoch, process="epoch"),
    Contender("epoch", "loader, 0 workers", loader_epoch, dict(workers=0), process="epoch"),
    Contender("epoch", "loader, 2 workers", loader_epoch, dict(workers=2), process="epoch"),
)
