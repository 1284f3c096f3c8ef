"""Batches made by NVIDIA DALI from records: read and decoded, then cropped, mirrored and normalised on CPU or GPU.

DALI is imported where a pipeline is built. Its RecordIO reader follows the order of the file, whatever the order of
the index (it sorts the index), and shuffles by drawing from a buffer. The buffer is therefore as large as the data
set: the order is then a permutation of the whole set, at the price of the `.rec` file in memory. A pipeline cannot be
set to an epoch, so each epoch has its own pipeline, with seeds that depend on the epoch.
"""

from __future__ import annotations

import ctypes
import itertools
from typing import Any, Iterator, Optional

import numpy as np

from ..data.transforms import Transform
from ..datasets.record_files import RecordFile
from ..system.errors import InputError
from ..system.world import ALONE, World
from .array_loader import Batch
from .samplers import BatchSampler


def import_dali() -> Any:
    """Return the package `nvidia.dali`.

    Raises
    ------
    InputError
        If it cannot be imported. The message says how to install it.
    """
    try:
        import nvidia.dali
        import nvidia.dali.fn
        import nvidia.dali.types
    except ImportError as error:
        fault = describe_fault(error)
        raise InputError(
            f"`loader=dali`: NVIDIA DALI cannot be imported ({fault}): python -m pip install -e '.[dali]'"
        ) from error
    return nvidia.dali


def describe_fault(error: Exception) -> str:
    """Return the message of an error of DALI on one line, without its stack."""
    return " ".join(str(error).split("Stacktrace")[0].split())


def _seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


class DaliLoader:
    """Batches of a record file, made by a DALI pipeline; used as `array_loader.ArrayLoader`.

    `epoch(number)` yields the batches `(images, labels)` of one epoch as NumPy arrays. They are the same for the same
    number, whatever was read before and whatever the number of threads. DALI draws crops, mirrors and order, so the
    training batches differ from those of an `ArrayLoader` with the same seed. Validation batches do not.

    Parameters
    ----------
    record_file : RecordFile
    transform : Transform
        DALI does its geometry and its normalisation; `transform.finish` does the rest.
    batch_size : int
    shuffle_seed : int or None
        An int draws a new order in every epoch. None keeps the order of the file.
    workers : int
        Number of DALI's threads, at least one.
    device : mx.Context, optional
        Where the images are cropped, mirrored and normalised. Default: the CPU.
    world : World
        Only a process that trains alone is supported.
    smallest : int
        See `ArrayLoader`.

    Attributes
    ----------
    samples : int
        Number of samples that an epoch yields.
    sampler : BatchSampler

    Raises
    ------
    InputError
        If DALI is not installed, a batch is larger than the data set, or there are several processes; while
        iterating, if DALI cannot read the file or use the device.
    """

    def __init__(
        self,
        record_file: RecordFile,
        transform: Transform,
        batch_size: int,
        shuffle_seed: Optional[int] = None,
        workers: int = 0,
        device: Any = None,
        world: World = ALONE,
        smallest: int = 1,
    ) -> None:
        if world.size > 1:
            raise InputError(f"`loader=dali`: supports one process, not {world.size}: give `loader=array`")
        import_dali()
        self.sampler = BatchSampler(record_file.samples, batch_size, shuffle_seed, world, smallest)
        self.samples = self.sampler.samples
        self._file, self._transform, self._batch_size = record_file, transform, batch_size
        self._shuffle_seed, self._threads = shuffle_seed, max(1, workers)
        self._gpu = device.device_id if device is not None and device.device_type == "gpu" else None

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        return self.epoch(0)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Iterate over the batches of epoch `number` (from 0), from batch `start` on. Earlier batches are made too."""
        for batch, (images, labels) in itertools.islice(enumerate(self._read(number)), start, None):
            yield self._transform.finish(images, labels, number, self._transform.rng(number, batch))

    def _read(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch as DALI makes them: float32 (N, C, H, W) and int32 (N,)."""
        try:
            pipeline = self._pipeline(epoch)
            pipeline.build()
            for step in range(len(self.sampler)):
                rows = self.sampler.batch_samples(step)
                parts = [self._run(pipeline) for _ in range(0, rows, self._batch_size)]
                images, labels = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts))
                # DALI fills its last batch with samples from the beginning of the file.
                yield images[:rows], labels[:rows]
        except RuntimeError as error:
            raise InputError(f"{self._file.path}: DALI cannot make batches of it ({describe_fault(error)})") from error
        finally:
            # Each pipeline's thread has filled its buffer from another arena of the C library, which keeps what is
            # freed: 140 MB of CIFAR-10 in each of up to eight arenas per core.
            pipeline = None
            ctypes.CDLL(None).malloc_trim(0)

    def _run(self, pipeline: Any) -> Batch:
        """Return copies of the next batch of a pipeline, which reuses its memory."""
        images, labels = pipeline.run()
        images = images if self._gpu is None else images.as_cpu()
        return images.as_array().copy(), labels.as_array()[:, 0].astype(np.int32)

    def _pipeline(self, epoch: int) -> Any:
        dali, transform, record_file = import_dali(), self._transform, self._file
        fn, types = dali.fn, dali.types
        pipeline = dali.Pipeline(self._batch_size, self._threads, self._gpu, seed=_seed(transform.seed, epoch))
        with pipeline:
            pngs, labels = fn.readers.mxnet(
                path=record_file.path,
                index_path=record_file.index,
                random_shuffle=self._shuffle_seed is not None,
                initial_fill=record_file.samples,
                seed=_seed(self._shuffle_seed or 0, epoch),
                tensor_init_bytes=1,  # by default, each slot of the buffer starts at one megabyte
            )
            images = fn.decoders.image(pngs, output_type=types.RGB)  # on the CPU: DALI decodes PNG nowhere else
            if self._gpu is not None:
                images = images.gpu()
            if transform.pad:
                corner = fn.random.uniform(
                    values=list(range(-transform.pad, transform.pad + 1)), shape=2, dtype=types.INT32
                )
                size = fn.cast(fn.peek_image_shape(pngs)[:2], dtype=types.INT32)
                images = fn.slice(images, corner, size, axes=(0, 1), out_of_bounds_policy="pad", fill_values=0)
            images = fn.crop_mirror_normalize(
                images,
                dtype=types.FLOAT,
                output_layout="CHW",
                mirror=fn.random.coin_flip() if transform.flip else 0,
                mean=[255 * mean for mean in transform.mean],
                std=[255 * std for std in transform.std],
            )
            pipeline.set_outputs(images, labels)
        return pipeline
