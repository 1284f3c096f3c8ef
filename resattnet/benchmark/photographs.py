"""Build the contenders that read photographs: JPEG files of 500x375 pixels to random crops of 224, normalised.

A turn is an epoch of `options.steps` batches. Each contender works with as many processes, ImageRecordIter with as many
threads, as the benchmark has threads.
"""

from __future__ import annotations

import atexit
import io
import itertools
import os
import shutil
import tempfile
from typing import Any, Callable, Iterable, Iterator

import numpy as np
from PIL import Image

from ..data.file_images import FileImages, RandomResizedCrop
from ..data.geometry import Geometry
from ..data.transforms import Transform
from ..folders.file_lists import FileList
from ..loaders.stream_loader import StreamLoader
from ..machine.mxnet import mx
from ..training.image_inputs import MEAN, STD
from .contender import Unavailable, threads
from .options import BenchmarkOptions

WIDTH, HEIGHT, SIDE = 500, 375, 224  # pixels: of the photographs, and of their crops
CLASSES = 2
CROP = RandomResizedCrop()  # its defaults are torchvision's


def photograph(number: int) -> bytes:
    """Return a JPEG file of about 50 kB, as ImageNet's are: patches of colour with a grain of noise."""
    rng = np.random.default_rng((7, number))
    patches = Image.fromarray(rng.integers(0, 256, (15, 20, 3), dtype=np.uint8))
    smooth = np.asarray(patches.resize((WIDTH, HEIGHT), Image.BICUBIC)).astype(np.float32)
    pixels = (smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=90)
    return data.getvalue()


def temporary_folder() -> str:
    """Make a folder that is removed when the process ends: the contender reads it until then."""
    folder = tempfile.mkdtemp(prefix="resattnet-photographs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def write_photographs(options: BenchmarkOptions) -> str:
    """Write `options.steps` batches into class folders of a temporary folder, and return it."""
    folder = temporary_folder()
    for label in range(CLASSES):
        os.mkdir(os.path.join(folder, str(label)))
    for number in range(options.steps * options.batch_size):
        with open(os.path.join(folder, str(number % CLASSES), f"{number}.jpg"), "wb") as file:
            file.write(photograph(number))
    return folder


def read_epochs(epoch: Callable[[int], Iterable[Any]], options: BenchmarkOptions) -> Callable[[], int]:
    """Return a function that reads an epoch and returns its number of images.

    Between two calls, nothing is made in advance: an epoch is read from its beginning to its end.
    """
    numbers = itertools.count()

    def read() -> int:
        batches = sum(1 for _ in epoch(next(numbers)))
        return batches * options.batch_size

    return read


def stream_input(options: BenchmarkOptions) -> Callable[[], int]:
    """Measure our loader of image files."""
    folder = write_photographs(options)
    names = [sorted(os.listdir(os.path.join(folder, str(label)))) for label in range(CLASSES)]
    groups = [([os.fsencode(f"{label}/{name}") for name in part], label) for label, part in enumerate(names)]
    files = FileList.from_names(folder, tuple(map(str, range(CLASSES))), groups)
    loader = StreamLoader(
        FileImages(files, (SIDE, SIDE), Geometry("crop", "bilinear", 0.875)),
        files.labels,
        Transform(MEAN, STD, CLASSES, flip=True),
        options.batch_size,
        CROP,
        0,
        threads(),
    )
    return read_epochs(loader.epoch, options)


def torchvision_input(options: BenchmarkOptions) -> Callable[[], int]:
    """Measure torchvision's ImageFolder and PyTorch's DataLoader."""
    try:
        import torch
        from torchvision import datasets, transforms
    except ImportError as error:
        raise Unavailable(
            f"torchvision is not installed ({error}), and its row is left out: python -m pip install -e '.[bench]'"
        ) from error
    torch.set_num_threads(threads())
    chain = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIDE),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(write_photographs(options), chain),
        options.batch_size,
        shuffle=True,
        num_workers=threads(),
        drop_last=True,
        persistent_workers=True,
    )
    return read_epochs(lambda _: loader, options)


def record_input(options: BenchmarkOptions) -> Callable[[], int]:
    """Measure MXNet's ImageRecordIter, with its own random parts of an image."""
    path = os.path.join(temporary_folder(), "photographs.rec")
    writer = mx.recordio.MXRecordIO(path, "w")
    for number in range(options.steps * options.batch_size):
        header = mx.recordio.IRHeader(0, float(number % CLASSES), number, 0)
        writer.write(mx.recordio.pack(header, photograph(number)))
    writer.close()
    records = mx.io.ImageRecordIter(
        path_imgrec=path,
        data_shape=(3, SIDE, SIDE),
        batch_size=options.batch_size,
        shuffle=True,
        rand_mirror=True,
        random_resized_crop=True,
        min_random_area=CROP.scale[0],
        max_random_area=CROP.scale[1],
        min_aspect_ratio=CROP.ratio[0],
        max_aspect_ratio=CROP.ratio[1],
        **{f"mean_{name}": 255 * value for name, value in zip("rgb", MEAN)},
        **{f"std_{name}": 255 * value for name, value in zip("rgb", STD)},
        preprocess_threads=threads(),
    )

    def epoch(_: int) -> Iterator[Any]:
        records.reset()
        for batch in records:
            yield batch.data[0].asnumpy(), batch.label[0].asnumpy()

    return read_epochs(epoch, options)
