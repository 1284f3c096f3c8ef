"""The files of a set of records, and the description that lies beside them.

The set NAME in a folder is five files: `NAME_train.rec` and `NAME_test.rec`, their indices (`.idx`), and
`NAME_records.json`. The last one is the description: class names, origin, mean and standard deviation, image size,
fingerprint, and for each `.rec` the number of records, its bytes and its SHA-256. Without it there is no set.
Nothing here needs MXNet.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from ..data.facts import DataFacts
from ..data.image_set import ImageSet, fingerprint
from ..options.command_line import command
from ..system.errors import InputError, reason
from ..system.files import digest, digest_values
from ..system.input_files import read_json

SPLITS = ("train", "test")
VERSION = 1
_OWN = "sha256"  # the digest of the description itself; descriptions of earlier versions have none
_RECORD_BYTES = 32  # at least: the frame and the header of a record
MAKE_AGAIN = "make the records again, with --overwrite 1"


class KnownFile(NamedTuple):
    """What a description says of the record file of a split."""

    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class RecordFile:
    """Record file of one split that was checked to be complete."""

    path: str
    index: str
    samples: int


class Description(NamedTuple):
    """The description of a set of records: the facts, and what is known of the record file of each split."""

    facts: DataFacts
    files: Dict[str, KnownFile]


def paths(directory: str, name: str, split: str) -> Tuple[str, str]:
    """Return the paths of the record file of a split and of its index."""
    base = os.path.join(directory, f"{name}_{split}")
    return base + ".rec", base + ".idx"


def description_path(directory: str, name: str) -> str:
    """Return the path of the file that describes the set `name`."""
    return os.path.join(directory, name + "_records.json")


def all_paths(directory: str, name: str) -> List[str]:
    """Return the paths of all files of the set `name`, the description last."""
    return [path for split in SPLITS for path in paths(directory, name, split)] + [description_path(directory, name)]


def check_output(directory: str, name: str, overwrite: bool = False) -> None:
    """Raise InputError if a file of the set `name` exists already, unless it may be overwritten."""
    existing = next((path for path in all_paths(directory, name) if os.path.lexists(path)), None)
    if existing and not overwrite:
        raise InputError(f"{existing} already exists: give another folder or name, or `overwrite=True`")


def put_in_place(staging_folder: str, directory: str, name: str, overwrite: bool = False) -> None:
    """Move all files of the set `name` from one folder to another of the same file system.

    Raises
    ------
    InputError
        If a file of the set exists by now, as another process has written it, and may not be overwritten.
    """
    last = description_path(directory, name)
    with _one_writer(directory):
        check_output(directory, name, overwrite)
        # From here until the new description is in place, there is none, so old and new files never pass for one set.
        if os.path.lexists(last):
            os.remove(last)
        for path in all_paths(staging_folder, name):
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(path, os.path.join(directory, os.path.basename(path)))


@contextlib.contextmanager
def _one_writer(directory: str) -> Iterator[None]:
    """Context in which no other process puts records in place in a folder. The lock leaves no file behind."""
    folder = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def make_description(directory: str, name: str, splits: Dict[str, ImageSet], **facts: Any) -> Dict[str, Any]:
    """Return the description of record files that are written, as a dict of JSON types.

    Parameters
    ----------
    directory : str
        Folder of the record files.
    name : str
        Name of the set.
    splits : dict of str to ImageSet
        What was written.
    **facts
        `source`, `mean`, `std`, `flip` and `geometry`: see `record_writer.write_records`.
    """
    files = {}
    for split, image_set in splits.items():
        path, _ = paths(directory, name, split)
        files[split] = KnownFile(len(image_set.labels), os.path.getsize(path), digest(path))._asdict()
    train = splits["train"]
    description = {
        "version": VERSION,
        "source": facts["source"],
        "classes": list(train.classes),
        "flip": bool(facts["flip"]),
        "mean": list(facts["mean"]),
        "std": list(facts["std"]),
        "image_size": list(train.images.shape[1:3]),
        "fingerprint": fingerprint(train),
        "geometry": facts["geometry"].to_dict(),
        "splits": files,
    }
    return dict(description, **{_OWN: digest_values(description, _OWN)})


def read_description(name: str, data_dir: str, known: Optional[str] = None) -> Description:
    """Read the description of the records called `name` in a folder.

    Parameters
    ----------
    name, data_dir : str
    known : str, optional
        The option that makes the command `make-records` write this set. Default: the options for your own images.

    Raises
    ------
    InputError
        If there is no description, or it is damaged.
    """
    path = description_path(data_dir, name)
    try:
        values = read_json(path)
        version = values["version"]
        description = _parse(values) if version == VERSION else None
    except FileNotFoundError as error:
        options = known or f"--images FOLDER --name {name}"
        raise InputError(
            f"{path} is not there: make the records with {command('make-records')} {options} --output-dir {data_dir}"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged ({reason(error)}): {MAKE_AGAIN}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({type(error).__name__}: {error}): {MAKE_AGAIN}") from error
    if description is None:
        raise InputError(f"{path}: version {version}, expected {VERSION}: {MAKE_AGAIN}")
    return description


def _parse(values: Dict[str, Any]) -> Description:
    if _OWN in values and values[_OWN] != digest_values(values, _OWN):
        raise ValueError("a value was changed: its SHA-256 is another one")
    if not isinstance(values["classes"], list) or not all(isinstance(name, str) for name in values["classes"]):
        raise ValueError("classes is not a list of names")
    if not isinstance(values["flip"], bool):
        raise ValueError("flip is neither true nor false")
    files = {split: KnownFile(**values["splits"][split]) for split in SPLITS}
    for file in files.values():
        if type(file.samples) is not int or type(file.bytes) is not int or not isinstance(file.sha256, str):
            raise ValueError("the size of a split is not a whole number")
        if not 1 <= file.samples <= file.bytes // _RECORD_BYTES:
            raise ValueError(f"{file.samples} samples in {file.bytes} bytes")
    samples = {split: file.samples for split, file in files.items()}
    # Only older facts may lack these keys; a description has had them from its first version on.
    facts = DataFacts.from_dict(dict(values, title=values["source"], flip=values["flip"], samples=samples))
    return Description(facts, files)


def describe_records(name: str, data_dir: str, known: Optional[str] = None) -> DataFacts:
    """Return the facts of the records called `name` in a folder; see `read_description`."""
    return read_description(name, data_dir, known).facts


def record_remarks(name: str, data_dir: str) -> List[str]:
    """Return what nothing confirms about the records called `name` in a folder, as lines for the log of a run."""
    path = description_path(data_dir, name)
    if _OWN in read_json(path):
        return []
    return [
        f"{path}: an earlier version wrote it, without a digest: nothing confirms its class names, mean and standard "
        "deviation"
    ]
