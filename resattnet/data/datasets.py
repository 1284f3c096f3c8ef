"""Image sets read whole into memory: the embedded handwritten digits, CIFAR-10 and CIFAR-100.

Images are uint8 and labels int32; nothing here augments or normalises. A data set is an entry of
`SETS`, read by the function that it names.

The digits are the 1,797 8x8 images of `sklearn.datasets.load_digits`: see `digits.md` beside this
file for where they come from and their licence. CIFAR is read from the official *binary* files
(https://www.cs.toronto.edu/~kriz/cifar.html), never from pickles.
"""

import os
from typing import Any, Callable, Dict, NamedTuple, Tuple

import numpy as np

from ..system.errors import InputError
from .downloads import DownloadError, extract, fetch

SIDE = 32  # pixels: height and width of every image here
PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
FORMATS = ("bin", "rec")
ANEW = "delete it and run again to have it unpacked or downloaded anew"


class ImageSet(NamedTuple):
    """Labelled images in memory."""

    images: np.ndarray  # uint8 (N, H, W, 3)
    labels: np.ndarray  # int32 (N,)
    classes: Tuple[str, ...]


class BinaryFiles(NamedTuple):
    """Where the records of a CIFAR set are and what one is made of.

    A record is a byte for each entry of `labels`, then the R, G and B planes, each row by row.
    """

    url: str
    size: int  # bytes of the archive
    sha256: str
    md5: str
    folder: str
    splits: Dict[str, Tuple[str, ...]]  # files, each of the same number of records
    labels: Tuple[int, ...]  # the number of values of each label byte; the last one is the class
    names: str  # the file of the class names, one a line

    @property
    def archive(self):
        return os.path.basename(self.url)


class DataSet(NamedTuple):
    """What is known of a set before it is read. `mean` and `std`: of train, by channel, for pixels in 0..1."""

    title: str
    classes: Tuple[str, ...]
    samples: Dict[str, int]
    mean: Tuple[float, float, float]
    std: Tuple[float, float, float]
    flip: bool  # a mirrored image still shows its class
    read: Callable[["DataSet", str, str, bool], ImageSet]
    files: Any = None  # where `read` finds them and what it knows of them


def load_images(name, data_dir, split, download=True, data_format="bin"):
    """Read one split of a data set.

    Parameters
    ----------
    name : str
        One of `DATASETS`; as records, any set that was written.
    data_dir : str
        Holds the set's folder, is that folder, or is where the set is downloaded to. Not used for
        the digits.
    split : str
        'train' or 'test'.
    download : bool
        Fetch what is absent. An archive that lies in `data_dir` is unpacked in either case.
    data_format : str
        One of `FORMATS`: 'bin' reads a set's own files, 'rec' the records that `records.write` made.

    Returns
    -------
    ImageSet
        uint8 images (N, H, W, 3), int32 labels (N,) and the class names.

    Raises
    ------
    InputError
        An unknown name or split; files that are absent and cannot be had; a file of the wrong
        length or with a label out of range.
    """
    data_dir = os.path.expanduser(str(data_dir))
    data_set = describe_data(name, data_dir, data_format)
    if split not in data_set.samples:
        raise InputError(f"split {split!r}: choose from {', '.join(data_set.samples)}")
    return data_set.read(data_set, data_dir, split, download)


def describe_data(name, data_dir=None, data_format="bin"):
    """The `DataSet` called `name`, no image being read; InputError for an unknown one."""
    if data_format == "rec":
        from . import recordio  # here, since it is built on this file and MXNet

        return recordio.describe_records(name, os.path.expanduser(str(data_dir)))
    if name not in SETS:
        raise InputError(f"data set {name!r}: choose from {', '.join(DATASETS)}")
    return SETS[name]


def read_digits(data_set, data_dir, split, download):
    """The handwritten digits, magnified to 32x32.

    The last 360 in the order of the file are the test set. Neighbours in the file tend to be of one
    writer, so that the writers of the test set are mostly unseen in training: harder, and more
    telling, than a random split.
    """
    with np.load(os.path.join(os.path.dirname(__file__), "digits.npz"), allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    first = data_set.samples["train"]
    part = slice(None, first) if split == "train" else slice(first, None)
    grey = magnify(images[part], SIDE)
    return ImageSet(np.repeat(grey[..., None], 3, axis=3), labels[part].astype(np.int32), data_set.classes)


def magnify(images, side):
    """Bilinear enlargement of square images of 0..16 to `side` pixels of 0..255.

    Parameters
    ----------
    images : uint8 array (N, S, S)
    side : int

    Returns
    -------
    uint8 array (N, side, side)
    """
    size = images.shape[1]
    centres = np.clip((np.arange(side) + 0.5) * size / side - 0.5, 0, size - 1)
    weights = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(size))).astype(np.float32)
    return (weights @ images.astype(np.float32) @ weights.T * (255 / 16) + 0.5).astype(np.uint8)


def read_cifar(data_set, data_dir, split, download):
    """A split of CIFAR from its binary files, which are unpacked or downloaded first where they are absent."""
    files = data_set.files
    folder = _find(data_set, data_dir, split) or _obtain(data_set, data_dir, split, download)
    names = files.splits[split]
    count = data_set.samples[split] // len(names)
    images = np.empty((count * len(names), SIDE, SIDE, 3), np.uint8)
    labels = np.empty(count * len(names), np.int32)
    for i, name in enumerate(names):
        records = read_records(os.path.join(folder, name), files.labels, count)
        rows = slice(i * count, (i + 1) * count)
        labels[rows] = records[:, len(files.labels) - 1]
        images[rows] = records[:, len(files.labels) :].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return ImageSet(images, labels, _class_names(data_set, folder))


def read_records(path, label_bytes, count):
    """The records of one binary file, as a uint8 array (count, record length), after checking them.

    Parameters
    ----------
    path : str
    label_bytes : sequence of int
        The number of values of each of a record's leading label bytes.
    count : int
        The number of records that there must be.
    """
    length = len(label_bytes) + 3 * SIDE * SIDE
    try:
        found, expected = os.path.getsize(path), count * length
        if found != expected:
            raise InputError(
                f"{path}: {found:,} bytes, expected {expected:,}: "
                f"{('truncated' if found < expected else 'too long')}; {ANEW}"
            )
        records = np.fromfile(path, np.uint8).reshape(count, length)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    for column, values in enumerate(label_bytes):
        wrong = np.flatnonzero(records[:, column] >= values)
        if len(wrong):
            raise InputError(
                f"{path}: record {wrong[0]:,} has label {records[wrong[0], column]}, expected 0 to {values - 1}: damaged, or not of this set; {ANEW}"
            )
    return records


def _places(data_set, data_dir):
    """The directory that the archive belongs to and the folders where its files may be."""
    folder = data_set.files.folder
    data_dir = os.path.normpath(data_dir)
    if os.path.basename(data_dir) == folder:
        return os.path.dirname(data_dir) or ".", [data_dir]
    return data_dir, [os.path.join(data_dir, folder), data_dir]


def _absent(folder, names):
    return [name for name in names if not os.path.exists(os.path.join(folder, name))]


def _find(data_set, data_dir, split):
    """The first folder with every file of the split, or None."""
    names = data_set.files.splits[split]
    return next((folder for folder in _places(data_set, data_dir)[1] if not _absent(folder, names)), None)


def _obtain(data_set, data_dir, split, download):
    """Unpack the archive, downloading it first if it is not in the data directory; return the folder."""
    files = data_set.files
    home, folders = _places(data_set, data_dir)
    archive = os.path.join(home, files.archive)
    if not os.path.exists(archive):
        if not download:
            raise InputError(_way_out(data_set, data_dir, split))
        try:
            fetch(files.url, archive, files.size, sha256=files.sha256, md5=files.md5)
        except DownloadError as error:
            fault = f" and could not be downloaded ({error.reason})"
            raise InputError(_way_out(data_set, data_dir, split, fault)) from error
    extract(archive, home)
    absent = _absent(folders[0], files.splits[split])
    if absent:
        raise InputError(
            f"{archive}: holds no {files.folder}/{absent[0]}: replace it by the binary version from {PAGE}"
        )
    return folders[0]


def _way_out(data_set, data_dir, split, fault=""):
    """One line: what of the set is absent, `fault`, and what to put where."""
    files = data_set.files
    home, folders = _places(data_set, data_dir)
    names = files.splits[split]
    fullest = min(folders, key=lambda folder: len(_absent(folder, names)))
    absent = _absent(fullest, names)
    what = f"is not in {home}" if len(absent) == len(names) else f"lacks {', '.join(absent)} in {fullest}"
    number = sum(map(len, files.splits.values()))
    return (
        f"{data_set.title} {what}{fault}: put {files.archive} from {PAGE} in {home}, or its {number} .bin "
        f"files in {folders[0]}"
    )


def _class_names(data_set, folder):
    """The names in the set's own file where that is there, else the built-in ones."""
    path = os.path.join(folder, data_set.files.names)
    if not os.path.exists(path):
        return data_set.classes
    with open(path, encoding="utf-8", errors="replace") as file:
        names = tuple(line.strip() for line in file if line.strip())
    if len(names) != len(data_set.classes):
        raise InputError(f"{path}: {len(names)} class names, expected {len(data_set.classes)}: mend or delete it")
    return names


SETS = {
    "digits": DataSet(
        title="The handwritten digits",
        classes=tuple("0123456789"),
        samples={"train": 1437, "test": 360},
        mean=(0.3054, 0.3054, 0.3054),
        std=(0.3228, 0.3228, 0.3228),
        flip=False,
        read=read_digits,
    ),
    "cifar10": DataSet(
        title="CIFAR-10",
        classes=tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
        samples={"train": 50000, "test": 10000},
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        flip=True,
        read=read_cifar,
        files=BinaryFiles(
            url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            size=170052171,
            sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            md5="c32a1d4ab5d03f1284b67883e8d87530",
            folder="cifar-10-batches-bin",
            names="batches.meta.txt",
            labels=(10,),
            splits={"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)},
        ),
    ),
    "cifar100": DataSet(
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
        read=read_cifar,
        files=BinaryFiles(
            url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
            size=168513733,
            sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            md5="03b5dce01913d631647c71ecec9e9cb8",
            folder="cifar-100-binary",
            names="fine_label_names.txt",
            labels=(20, 100),  # coarse, fine
            splits={"train": ("train.bin",), "test": ("test.bin",)},
        ),
    ),
}
DATASETS = tuple(SETS)
