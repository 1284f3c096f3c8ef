"""What is known about a data set without its images, and how two data sets differ."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..system.errors import InputError, list_some
from .geometry import DEFAULT, Geometry
from .image_set import ImageSet, fingerprint


@dataclass(frozen=True)
class DataFacts:
    """What is known about a data set without its images: all that inference needs to know about it.

    The facts are values of JSON types, so that they can travel with parameters and training states.

    Parameters
    ----------
    title : str
        Name or origin of the data set, for people.
    classes : tuple of str
        Name of each class.
    samples : dict of str to int
        Number of images of each split.
    mean, std : tuple of 3 float
        Mean and standard deviation of each channel of the training images, for pixels in 0..1.
    flip : bool
        Whether an image mirrored left to right still shows its class.
    image_size : (int, int), optional
        Height and width of the images in pixels. None: unknown until an image is read.
    fingerprint : str, optional
        `fingerprint` of the training split. None: unknown until the split is read.
    geometry : Geometry
        How an image of any size becomes one of the data set's size.
    class_images : tuple of int, optional
        Number of training images of each class. None: not counted.
    """

    title: str
    classes: Tuple[str, ...]
    samples: Dict[str, int]
    mean: Tuple[float, float, float]
    std: Tuple[float, float, float]
    flip: bool
    image_size: Optional[Tuple[int, int]] = None
    fingerprint: Optional[str] = None
    geometry: Geometry = DEFAULT
    class_images: Optional[Tuple[int, ...]] = None

    def complete(self, train_set: ImageSet) -> DataFacts:
        """Return the facts with the image size and the fingerprint of a training split in memory.

        Parameters
        ----------
        train_set : ImageSet
            The training split as it was read, without label noise.
        """
        height, width = train_set.images.shape[1:3]
        return dataclasses.replace(self, image_size=(height, width), fingerprint=fingerprint(train_set))

    def differences(self, other: DataFacts) -> List[str]:
        """Return in words what another description of a data set has in place of these facts.

        Parameters
        ----------
        other : DataFacts
            Facts that are unknown (None, or no number of samples) in either description are not compared.
        """
        found = _class_differences(self.classes, other.classes) + _count_differences(self, other)
        for name, words in _COMPARED.items():
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None and theirs is not None and mine != theirs:
                found.append(words.format(_as_text(mine), _as_text(theirs)))
        for split in sorted(set(self.samples) & set(other.samples)):
            if self.samples[split] != other.samples[split]:
                found.append(f"{other.samples[split]} {split} images in place of {self.samples[split]}")
        return found

    def to_dict(self) -> Dict[str, Any]:
        """Return the facts as a dict of JSON types."""
        values = dict(dataclasses.asdict(self), geometry=self.geometry.to_dict())
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataFacts:
        """Return the facts from a dict that `to_dict` made.

        Parameters
        ----------
        values : mapping
            Keys that are not facts are ignored: a newer version wrote them. Only `classes`, `mean` and `std` must be
            there: an older version may not have written the others.

        Raises
        ------
        InputError
            If one of these three is missing, or a value cannot be right.
        """
        try:
            facts = cls(
                title=str(values.get("title", "")),
                classes=tuple(map(str, values["classes"])),
                samples={str(split): int(count) for split, count in values.get("samples", {}).items()},
                mean=_three_numbers(values["mean"]),
                std=_three_numbers(values["std"]),
                flip=bool(values.get("flip", False)),
                image_size=_height_and_width(values.get("image_size")),
                fingerprint=_optional_text(values.get("fingerprint")),
                geometry=Geometry.from_dict(values.get("geometry")),
                class_images=_optional_counts(values.get("class_images")),
            )
            if min(facts.std) <= 0:
                raise ValueError("std is not above 0")
            if isinstance(values["classes"], str) or not facts.classes:
                raise ValueError("classes is not a list of names")
            if facts.class_images is not None and len(facts.class_images) != len(facts.classes):
                raise ValueError(f"class_images has {len(facts.class_images)} numbers for {len(facts.classes)} classes")
        except KeyError as error:
            raise InputError(f"the data facts have no {error}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"a data fact is invalid ({type(error).__name__}: {error})") from error
        return facts


def facts_of(path: str, description: Mapping[str, Any]) -> Optional[DataFacts]:
    """Return the data facts in the description of a parameter file; None where it has none, as in earlier versions.

    Raises
    ------
    InputError
        If the facts are wrong. The message names the parameter file.
    """
    if "data" not in description:
        return None
    try:
        return DataFacts.from_dict(description["data"])
    except InputError as error:
        raise InputError(f"{path}: its description is invalid ({error})") from error


# What differs between two descriptions of a data set, with the values of the first and the second.
_COMPARED = {
    "mean": "mean {1} in place of {0}",
    "std": "standard deviation {1} in place of {0}",
    "image_size": "images of {1} in place of {0} pixels (height, width)",
    "flip": "mirrored images in training: {1} in place of {0}",
    "geometry": "geometry {1} in place of {0}",
    "fingerprint": "other training images",
}


def _class_differences(mine: Sequence[str], theirs: Sequence[str]) -> List[str]:
    if len(mine) != len(theirs):
        return [f"{len(theirs)} classes in place of {len(mine)}"]
    changed = [number for number, names in enumerate(zip(mine, theirs)) if names[0] != names[1]]
    if not changed:
        return []
    return [list_some([f"class {number} is {theirs[number]} in place of {mine[number]}" for number in changed])]


def _count_differences(mine: DataFacts, theirs: DataFacts) -> List[str]:
    """Return which classes have another number of training images, if both descriptions have the same classes."""
    if mine.class_images is None or theirs.class_images is None or mine.classes != theirs.classes:
        return []
    counts = zip(mine.classes, mine.class_images, theirs.class_images)
    changed = [f"class {name} has {now} images in place of {before}" for name, before, now in counts if now != before]
    return [list_some(changed)] if changed else []


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value)) if isinstance(value[0], int) else ",".join(f"{number:.4g}" for number in value)
    return str(value)


def _three_numbers(values: Any) -> Tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third


def _height_and_width(values: Any) -> Optional[Tuple[int, int]]:
    if values is None:
        return None
    height, width = (int(value) for value in values)
    if min(height, width) < 1:
        raise ValueError(f"image_size {height}x{width}")
    return height, width


def _optional_text(value: Any) -> Optional[str]:
    return None if value is None else str(value)


def _optional_counts(values: Any) -> Optional[Tuple[int, ...]]:
    return None if values is None else tuple(int(value) for value in values)
