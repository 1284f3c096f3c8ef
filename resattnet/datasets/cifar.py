"""CIFAR-10 and CIFAR-100, read from the official binary files, which are downloaded where they are missing.

The pickled version of the sets is never read. The files: https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from ..data.facts import DataFacts
from ..data.image_set import ImageSet
from ..system.errors import InputError, reason
from ..system.input_files import read_bytes
from .archives import extract
from .cifar_records import AGAIN, SIDE, read_records
from .downloads import DownloadError, fetch
from .unpacked import Unpacked, check_digest, keep_digests, read_digests, remarks

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"


@dataclass(frozen=True)
class CifarSource:
    """Source of a CIFAR set: its facts, its files, and how they are read.

    A record of a file is one byte for each entry of `labels`, then the R, G and B planes, each row by row.

    Parameters
    ----------
    facts : DataFacts
    url : str
        Address of the archive.
    size : int
        Bytes of the archive.
    sha256, md5 : str
        Digests of the archive, in hexadecimal.
    folder : str
        Folder of the archive with the files.
    names : str
        File of the class names, one per line.
    labels : tuple of int
        Number of values of each label byte. The last one is the class.
    splits : dict of str to tuple of str
        Files of each split. All files of a split have the same number of records.
    """

    facts: DataFacts
    url: str
    size: int
    sha256: str
    md5: str
    folder: str
    names: str
    labels: Tuple[int, ...]
    splits: Dict[str, Tuple[str, ...]]

    @property
    def archive(self) -> str:
        """Name of the archive's file."""
        return os.path.basename(self.url)

    def read(self, data_dir: str, split: str, download: bool = True) -> ImageSet:
        """Read a split.

        Parameters
        ----------
        data_dir : str
            The folder of the files, or the folder that it is in or will be made in.
        split : str
            'train' or 'test'.
        download : bool
            Whether a missing archive is downloaded. An archive in `data_dir` is unpacked in either case.

        Raises
        ------
        InputError
            If files are missing and cannot be obtained, or one has a wrong length, a label out of range, or other
            contents than when it was unpacked.
        """
        folder = self._find(data_dir, split) or self._obtain(data_dir, split, download)
        names, known = self.splits[split], read_digests(folder)
        count = self.facts.samples[split] // len(names)
        images = np.empty((count * len(names), SIDE, SIDE, 3), np.uint8)
        labels = np.empty(count * len(names), np.int32)
        for number, name in enumerate(names):
            path = os.path.join(folder, name)
            records = read_records(path, self.labels, count)
            check_digest(path, records, known, AGAIN)
            rows = slice(number * count, (number + 1) * count)
            labels[rows] = records[:, len(self.labels) - 1]
            images[rows] = records[:, len(self.labels) :].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
        return ImageSet(images, labels, self._class_names(folder, known))

    def remarks(self, data_dir: str) -> List[str]:
        """Return what cannot be said of the files, as lines for the log of a run; the files have been read before."""
        found = {split: self._find(data_dir, split) for split in self.splits}
        lines = [
            line
            for split, folder in found.items()
            if folder
            for line in remarks(self.facts.title, folder, self.splits[split], self.sha256)
        ]
        return list(dict.fromkeys(lines))

    def _places(self, data_dir: str) -> Tuple[str, List[str]]:
        """Return the folder that the archive belongs in, and the folders where the files may be."""
        data_dir = os.path.normpath(data_dir)
        if os.path.basename(data_dir) == self.folder:
            return os.path.dirname(data_dir) or ".", [data_dir]
        return data_dir, [os.path.join(data_dir, self.folder), data_dir]

    def _find(self, data_dir: str, split: str) -> Optional[str]:
        """Return the first folder that has every file of the split, or None."""
        names = self.splits[split]
        return next((folder for folder in self._places(data_dir)[1] if not _missing(folder, names)), None)

    def _obtain(self, data_dir: str, split: str, download: bool) -> str:
        """Unpack the archive, downloading it first if it is not in the data directory; return the folder."""
        home, folders = self._places(data_dir)
        archive = os.path.join(home, self.archive)
        if not os.path.exists(archive):
            if not download:
                raise InputError(self._way_out(data_dir, split))
            try:
                fetch(self.url, archive, self.size, sha256=self.sha256, md5=self.md5)
            except DownloadError as error:
                fault = f" and could not be downloaded ({error.reason})"
                raise InputError(self._way_out(data_dir, split, fault)) from error
        written = extract(archive, home, 2 * self._bytes)
        missing = _missing(folders[0], self.splits[split])
        if missing:
            raise InputError(
                f"{archive}: contains no {self.folder}/{missing[0]}: replace it with the binary version from {PAGE}"
            )
        keep_digests(folders[0], written, archive)
        return folders[0]

    @property
    def _bytes(self) -> int:
        """Bytes of all files."""
        return sum(self.facts.samples.values()) * (len(self.labels) + 3 * SIDE * SIDE)

    def _way_out(self, data_dir: str, split: str, fault: str = "") -> str:
        """Return one line that says what is missing, then `fault`, and which file to put where."""
        home, folders = self._places(data_dir)
        names = self.splits[split]
        fullest = min(folders, key=lambda folder: len(_missing(folder, names)))
        missing = _missing(fullest, names)
        what = f"is not in {home}" if len(missing) == len(names) else f"lacks {', '.join(missing)} in {fullest}"
        number = sum(map(len, self.splits.values()))
        return (
            f"{self.facts.title} {what}{fault}: put {self.archive} from {PAGE} in {home}, "
            f"or its {number} .bin files in {folders[0]}"
        )

    def _class_names(self, folder: str, known: Dict[str, Unpacked]) -> Tuple[str, ...]:
        """Return the names in the set's own file if the file is there, else the built-in ones."""
        path = os.path.join(folder, self.names)
        if not os.path.exists(path):
            return self.facts.classes
        try:
            contents = read_bytes(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({reason(error)})") from error
        check_digest(path, contents, known, AGAIN)
        lines = contents.decode("utf-8", errors="replace").splitlines()
        names = tuple(line.strip() for line in lines if line.strip())
        if len(names) != len(self.facts.classes):
            raise InputError(
                f"{path}: {len(names)} class names, expected {len(self.facts.classes)}: correct or delete it"
            )
        return names


def _missing(folder: str, names: Sequence[str]) -> List[str]:
    return [name for name in names if not os.path.exists(os.path.join(folder, name))]


CIFAR10 = CifarSource(
    DataFacts(
        title="CIFAR-10",
        classes=tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
        samples={"train": 50000, "test": 10000},
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        flip=True,
        image_size=(SIDE, SIDE),
    ),
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    size=170052171,
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    folder="cifar-10-batches-bin",
    names="batches.meta.txt",
    labels=(10,),
    splits={"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)},
)

CIFAR100 = CifarSource(
    DataFacts(
        title="CIFAR-100",
        classes=tuple(
            """
            apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
            castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
            elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
            lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
            pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
            shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
            television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm""".split()
        ),
        samples={"train": 50000, "test": 10000},
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        flip=True,
        image_size=(SIDE, SIDE),
    ),
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    size=168513733,
    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    folder="cifar-100-binary",
    names="fine_label_names.txt",
    labels=(20, 100),  # coarse, fine
    splits={"train": ("train.bin",), "test": ("test.bin",)},
)
