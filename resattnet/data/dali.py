"""Batches made by NVIDIA DALI from records: read and decoded, then cropped, mirrored and normalised on CPU or GPU.

DALI is imported where a pipeline is built. Its RecordIO reader follows the file, in whatever order the index is
(it sorts that), and shuffles by drawing from a buffer. So the buffer is as large as the set, which makes the order
a permutation of all of it, at the price of the `.rec` in memory. And since a pipeline cannot be set to an epoch, each
epoch has its own, with seeds that say which epoch it is.
"""

import ctypes
import itertools

import numpy as np

from ..system.errors import InputError
from .loaders import epoch_samples


def import_dali():
    """The package `nvidia.dali`; an InputError that says how to install it where it is absent."""
    try:
        import nvidia.dali
        import nvidia.dali.fn
        import nvidia.dali.types
    except ImportError as error:
        raise InputError(
            f"--loader dali: NVIDIA DALI cannot be imported ({_one_line(error)}): python -m pip install -e '.[dali]'"
        ) from error
    return nvidia.dali


def _one_line(error):
    return " ".join(str(error).split("Stacktrace")[0].split())


def _seed(seed, epoch):
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


class DaliLoader:
    """Batches of a record file, made by a DALI pipeline: the contract of `loaders.ArrayLoader`.

    `epoch(number)` gives the batches `(images, labels)` of one epoch as NumPy arrays: the same for the same
    number, whatever was read before and by however many threads. Crops, mirrors and order are DALI's, so that
    training batches are not those of an `ArrayLoader` of the same seed; those of validation are.

    Parameters
    ----------
    record_file : records.RecordFile
    transform : augment.Transform
        DALI does its geometry and normalisation; its `finish` does the rest.
    batch_size : int
    shuffle_seed : int or None
        Draws a new order every epoch and leaves the last batch out if it is not full; None keeps the
        order of the file and gives every sample once.
    workers : int
        Threads of DALI, at least one.
    device : mx.Context, optional
        Where the images are cropped, mirrored and normalised; default: the CPU.

    Attributes
    ----------
    samples : int
        How many samples an epoch yields.

    Raises
    ------
    InputError
        If DALI is not installed, or the batch of a shuffled loader is larger than its data set; while iterating,
        if DALI cannot read the file or use the device.
    """

    def __init__(self, record_file, transform, batch_size, shuffle_seed=None, workers=0, device=None):
        import_dali()
        self.samples = epoch_samples(record_file.samples, batch_size, shuffle_seed is not None)
        self._file, self._transform, self._batch_size = record_file, transform, batch_size
        self._shuffle_seed, self._threads = shuffle_seed, max(1, workers)
        self._gpu = device.device_id if device is not None and device.device_type == "gpu" else None

    def __len__(self):
        return -(-self.samples // self._batch_size)

    def __iter__(self):
        return self.epoch(0)

    def epoch(self, number, start=0):
        """Iterate over the batches of epoch `number` (from 0), from batch `start` on: those before are made too."""
        for batch, (images, labels) in itertools.islice(enumerate(self._read(number)), start, None):
            yield self._transform.finish(images, labels, number, self._transform.rng(number, batch))

    def _read(self, epoch):
        """Yield the batches of an epoch as DALI makes them: float32 (N, C, H, W) and int32 (N,)."""
        try:
            pipeline = self._pipeline(epoch)
            pipeline.build()
            for begin in range(0, self.samples, self._batch_size):
                rows = min(self._batch_size, self.samples - begin)  # DALI fills the last batch from the file's begin
                images, labels = pipeline.run()
                images = images if self._gpu is None else images.as_cpu()
                yield images.as_array()[:rows], labels.as_array()[:rows, 0].astype(np.int32)
        except RuntimeError as error:
            raise InputError(f"{self._file.path}: DALI cannot make batches of it ({_one_line(error)})") from error
        finally:
            # Each pipeline's thread has filled its buffer from another arena of the C library, which keeps what is
            # freed: 140 MB of CIFAR-10 in each of up to eight a core.
            pipeline = None
            ctypes.CDLL(None).malloc_trim(0)

    def _pipeline(self, epoch):
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
                tensor_init_bytes=1,
            )  # else each of the buffer's places begins with a megabyte
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
