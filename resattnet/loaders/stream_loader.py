"""Training batches of image files, which are read as they are needed."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from ..data.file_images import FileImages, RandomResizedCrop
from ..data.transforms import Transform
from ..system.errors import InputError, remark
from ..system.world import ALONE, World
from .array_loader import Batch, Loader, Request, batch_bytes
from .samplers import BatchSampler, sampler_of

BROKEN_SHARE = 0.01  # of the files that may be left out before a run ends
CROPS = 3  # the fourth number of the seed of a batch's crops; 1 and 2 are those of label noise and the hold-out

Faults = Tuple[Tuple[str, str], ...]  # path and message of files that cannot be read
MadeBatch = Tuple[np.ndarray, np.ndarray, Faults]


class CropMaker:
    """Read random parts of the images of a batch, and transform them."""

    def __init__(
        self,
        images: FileImages,
        labels: np.ndarray,
        crop: Optional[RandomResizedCrop],
        transform: Transform,
        sampler: BatchSampler,
        skip_broken: bool,
    ) -> None:
        self._images, self._labels, self._crop = images, labels, crop
        self._transform, self._sampler, self._skip_broken = transform, sampler, skip_broken

    def __call__(self, request: Request) -> MadeBatch:
        pixels, kept, faults = self._read(*self.draw(request))
        return (*self._finish(pixels, kept, request), faults)

    def draw(self, request: Request) -> Tuple[np.ndarray, Optional[np.ndarray]]:
        """Return the rows of a batch, int64 (N,), and the random numbers of their parts; None without random parts."""
        rows = self._sampler.rows(request.epoch, request.step)
        if self._crop is None:
            return rows, None
        seed = (self._transform.seed, request.epoch, self._sampler.number(request.step), CROPS)
        return rows, self._crop.draw(len(rows), np.random.default_rng(seed))

    def finish(self, pixels: np.ndarray, request: Request) -> Batch:
        """Return the batch of the parts of all its images, uint8 (N, H, W, 3)."""
        return self._finish(pixels, self._sampler.rows(request.epoch, request.step), request)

    def _finish(self, pixels: np.ndarray, rows: np.ndarray, request: Request) -> Batch:
        return self._transform(pixels, self._labels[rows], request.epoch, self._sampler.number(request.step))

    def _read(self, rows: np.ndarray, draws: Optional[np.ndarray]) -> Tuple[np.ndarray, np.ndarray, Faults]:
        """Return the images of rows of the data set, the rows that they are of, and the faults of broken files.

        In training, another image of the batch takes the place of one that cannot be read, so that the batch keeps its
        size. In validation it is left out.
        """
        pixels = np.empty((len(rows), *self._images.size, 3), np.uint8)
        good: List[int] = []
        faults: List[Tuple[str, str]] = []
        for place, row in enumerate(rows.tolist()):
            try:
                if self._crop is None or draws is None:
                    pixels[place] = self._images.read(row)
                else:
                    pixels[place] = self._crop.read(self._images, row, draws[place])
                good.append(place)
            except InputError as error:
                faults.append((self._images.files.path(row), f"{error}"))
        if faults and not self._skip_broken:
            raise InputError(f"{broken_files(faults)}; repair or remove them, or give `skip_broken=True`")
        if not good:
            raise InputError(f"{broken_files(faults)}: no image of a batch can be read")
        if len(good) == len(rows):
            return pixels, rows, ()
        chosen = np.array(good)
        if draws is not None:
            chosen = np.arange(len(rows))
            broken = np.setdiff1d(chosen, good)
            chosen[broken] = np.resize(good, len(broken))
        return pixels[chosen], rows[chosen], tuple(faults)


def broken_files(faults: Sequence[Tuple[str, str]]) -> str:
    """Return the files that cannot be read, as the beginning of a message."""
    return "; ".join(message for _, message in faults)


class StreamLoader(Loader):
    """Batches of image files, used as `array_loader.ArrayLoader`: nothing holds the set in memory.

    The random parts of the images come from `(transform.seed, epoch, batch)`, so that batches are the same whatever the
    number of workers, and a batch can be made without those before it.

    Parameters
    ----------
    images : FileImages
    labels : int32 array (N,)
    transform : Transform
    batch_size : int
        Number of samples of a batch of this process.
    crop : RandomResizedCrop, optional
        The part of an image that is trained on. Default: the part that the geometry of `images` keeps.
    shuffle_seed, workers, world, smallest, sampler
        See `ArrayLoader`.
    skip_broken : bool
        Whether the loader goes on without files that cannot be read, with a `Remark` on each.

    Raises
    ------
    InputError
        While iterating, if a file cannot be read, or with `skip_broken` if more than `BROKEN_SHARE` of the files
        cannot.
    """

    def __init__(
        self,
        images: FileImages,
        labels: np.ndarray,
        transform: Transform,
        batch_size: int,
        crop: Optional[RandomResizedCrop] = None,
        shuffle_seed: Optional[int] = None,
        workers: int = 0,
        world: World = ALONE,
        smallest: int = 1,
        sampler: str = "shuffled",
        skip_broken: bool = False,
    ) -> None:
        batches = sampler_of(sampler, labels, batch_size, shuffle_seed, world, smallest)
        self._maker = CropMaker(images, labels, crop, transform, batches, skip_broken)
        super().__init__(batches, self._maker, workers, batch_bytes(batches, images.shape[1:], transform.classes))
        self._files = len(labels)
        self._broken: Dict[str, str] = {}

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Iterate over the batches of epoch `number` (from 0), from batch `start` on."""
        for images, labels, faults in self._made(number, start):
            if faults:
                self._note(faults)
            yield images, labels

    def _made(self, number: int, start: int) -> Iterator[MadeBatch]:
        """Iterate over the batches of an epoch as they are made."""
        made: Iterator[Any] = super().epoch(number, start)
        return made

    def _note(self, faults: Faults) -> None:
        new = {path: message for path, message in faults if path not in self._broken}
        self._broken.update(new)
        for message in new.values():
            remark(f"left out: {message} ({len(self._broken)} of {self._files:,} files so far)")
        if len(self._broken) > BROKEN_SHARE * self._files:
            raise InputError(
                f"{len(self._broken)} of {self._files:,} files cannot be read, more than "
                f"{BROKEN_SHARE:.0%}: {broken_files(list(self._broken.items())[-3:])}"
            )
