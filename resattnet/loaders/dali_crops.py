"""Training batches of image files whose random parts are decoded and scaled by NVIDIA DALI, on a CPU or a GPU."""

from __future__ import annotations

from typing import Any, Iterator, List, Tuple

import numpy as np

from ..data.decoding import read_box_of_jpeg
from ..data.file_images import RandomResizedCrop
from ..system.errors import InputError, remark
from .array_loader import Request
from .dali import describe_fault, import_dali
from .stream_loader import MadeBatch, StreamLoader

BATCHES_AHEAD = 2  # batches that DALI makes before they are needed


class DaliCropLoader(StreamLoader):
    """Batches of random parts of image files, which DALI decodes and scales; used as `stream_loader.StreamLoader`.

    Files, order, random parts and everything that follows are those of a `StreamLoader` of the same arguments, so that
    a batch differs from its only by how DALI rounds and interpolates. DALI gets the contents of the files and the parts
    to decode from this process, and has no order of its own to be restored on resuming.

    DALI decodes JPEG files that are upright. Other files are read as a `StreamLoader` reads them. So is a batch that
    DALI fails on, which names a broken file.

    Parameters
    ----------
    images, labels, transform, batch_size, crop, shuffle_seed
        See `StreamLoader`.
    threads : int
        Number of DALI's threads, at least one.
    device : mx.Context, optional
        Where the images are decoded and scaled. Default: the CPU.
    **options
        `world`, `smallest`, `sampler` and `skip_broken` of `StreamLoader`.

    Raises
    ------
    InputError
        If DALI is not installed; while iterating, if it cannot use the device or a file cannot be read.
    """

    def __init__(
        self,
        images: Any,
        labels: np.ndarray,
        transform: Any,
        batch_size: int,
        crop: RandomResizedCrop,
        shuffle_seed: int,
        threads: int = 1,
        device: Any = None,
        **options: Any,
    ) -> None:
        import_dali()
        super().__init__(images, labels, transform, batch_size, crop, shuffle_seed, **options)
        self._images, self._crop, self._threads = images, crop, max(1, threads)
        self._gpu = device.device_id if device is not None and device.device_type == "gpu" else None

    def _made(self, number: int, start: int) -> Iterator[MadeBatch]:
        step, unexplained = start, 0
        while step < len(self):
            pipeline = self._pipeline(number, step)
            try:
                while step < len(self):
                    pixels = self._run(pipeline)
                    yield (*self._maker.finish(pixels, Request(number, step)), ())
                    step, unexplained = step + 1, 0
            except RuntimeError as error:
                # The file that DALI fails on is in this batch, or in one of those that DALI has begun.
                made = self._maker(Request(number, step))
                unexplained = 0 if made[2] else unexplained + 1
                if unexplained == BATCHES_AHEAD + 1:
                    remark(f"batch {step} of epoch {number + 1} was made without DALI ({describe_fault(error)})")
                yield made
                step += 1

    def _run(self, pipeline: Any) -> np.ndarray:
        """Return a copy of the next images of a pipeline, which reuses its memory, uint8 (N, H, W, 3)."""
        (images,) = pipeline.run()
        images = images if self._gpu is None else images.as_cpu()
        return images.as_array().copy()

    def _pipeline(self, epoch: int, start: int) -> Any:
        """Return a pipeline that makes the images of the batches of an epoch from one on."""
        dali = import_dali()
        fn, types = dali.fn, dali.types
        height, width = self._images.size
        method = {"bilinear": types.INTERP_LINEAR, "bicubic": types.INTERP_CUBIC}[self._images.geometry.interpolation]
        largest = max(self.sampler.batch_samples(step) for step in {0, len(self) - 1})
        pipeline = dali.Pipeline(largest, self._threads, self._gpu, seed=0, prefetch_queue_depth=BATCHES_AHEAD)
        with pipeline:
            files, corners, sizes = fn.external_source(
                source=self._parts(epoch, start), num_outputs=3, dtype=[types.UINT8, types.FLOAT, types.FLOAT]
            )
            parts = fn.decoders.image_slice(
                files,
                corners,
                sizes,
                device="cpu" if self._gpu is None else "mixed",
                output_type=types.RGB,
                normalized_anchor=False,
                normalized_shape=False,
            )
            scaled = fn.resize(parts, resize_x=width, resize_y=height, interp_type=method, antialias=False)
            pipeline.set_outputs(scaled)
        try:
            pipeline.build()
        except RuntimeError as error:
            raise InputError(f"`loader=dali`: DALI cannot use the device ({describe_fault(error)})") from error
        return pipeline

    def _parts(self, epoch: int, start: int) -> Iterator[Tuple[List[np.ndarray], np.ndarray, np.ndarray]]:
        """Yield for each batch the contents of its files, and corners and sizes (N, 2) of the parts, as x and y."""
        for step in range(start, len(self)):
            rows, draws = self._maker.draw(Request(epoch, step))
            assert draws is not None
            files, boxes = zip(*map(self._part, rows.tolist(), draws))
            corners, ends = np.split(np.array(boxes, np.float32), 2, axis=1)
            yield list(files), np.ascontiguousarray(corners), ends - corners

    def _part(self, row: int, draws: np.ndarray) -> Tuple[np.ndarray, Tuple[float, float, float, float]]:
        """Return the contents of a file, and the part of it to decode: of other files than JPEG, the part itself."""
        height, width = self._images.size
        try:
            data = self._images.files.read(row)
            box = read_box_of_jpeg(data, self._crop.chooser(draws, width / height))
            if box is None:
                pixels = self._crop.read(self._images, row, draws)
                data, box = b"P6 %d %d 255\n" % (width, height) + pixels.tobytes(), (0.0, 0.0, width, height)
        except (InputError, OSError, ValueError):
            data, box = b"broken", (0.0, 0.0, 1.0, 1.0)  # DALI fails on it, and the batch is made without DALI
        return np.frombuffer(data, np.uint8), box
