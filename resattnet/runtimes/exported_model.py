"""A network that was exported as ONNX or for PyTorch, with its data facts: `ExportedModel`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Callable, ClassVar, Dict, List, Optional, Tuple

import numpy as np

from ..data.facts import DataFacts
from ..data.transforms import Transform
from ..models.attention_maps import NO_MASKS, AttentionMaps
from ..system.errors import InputError
from ..torch.weights_file import ENDING as OF_TORCH
from .engines import check_names
from .onnx_program import compile_file
from .program import Program
from .torch_program import compile_torch

ENDINGS = (".onnx", OF_TORCH)  # of the files that hold all that inference needs, and need no MXNet
# What the input of a file is, in its metadata: images that are normalised, or pixels that the file itself normalises.
NORMALISED, PIXELS = "float32 NCHW", "uint8 NHWC"
_NEEDED = ("classes", "mean", "std", "image_size")


def describes_itself(path: str) -> str:
    """Return why options of a parameter file are refused for an exported one, for messages."""
    return "describes itself" + ("" if is_of_torch(path) else ", and runs on the CPU")


class _PixelTransform(Transform):
    """Transform of a test image for a file that normalises it: the pixels, uint8 (N, 3, H, W)."""

    def __call__(
        self, images: np.ndarray, labels: np.ndarray, epoch: int = 0, batch: int = 0
    ) -> Tuple[np.ndarray, np.ndarray]:
        return images.transpose(0, 3, 1, 2), labels


@dataclass(frozen=True)
class ExportedModel:
    """An ONNX or `.safetensors` file of a network, ready to compute.

    `prediction.classifier.Classifier` uses it as a `LoadedModel`.

    Attributes
    ----------
    path : str
    facts : DataFacts
        Facts of the data set, from the metadata of the file.
    program : Program
    network_facts : dict
        The `NetworkSpec` as a dict of JSON types; empty if the metadata does not hold it.
    source : dict of str to str
        Arguments of `datasets.catalog.load_images`: `name`, `data_dir` and `data_format`. The name is '' if the
        metadata does not hold it.
    splits : dict
        Of a folder of images: arguments of `folders.image_sources.open_images`.
    has_own_names : bool
        Whether the class names were given by the user.
    """

    path: str
    facts: DataFacts
    program: Program
    network_facts: Dict[str, Any]
    source: Dict[str, str]
    splits: Dict[str, Any]
    has_own_names: bool = False

    net: ClassVar[Any] = None  # no network of MXNet
    parts: ClassVar[int] = 1  # parts that a batch is divided into

    @property
    def file(self) -> str:
        """Path of the file, without ~."""
        return os.path.expanduser(self.path)

    @property
    def description(self) -> Dict[str, Any]:
        """Of a `.safetensors` file: what the description of its parameters said of their training."""
        return _entries(self.program, "description")

    @property
    def computed_by(self) -> Dict[str, str]:
        """What computes, for reports: `runtime` and `precision`."""
        return {"runtime": self.program.runtime, "precision": self.program.precision}

    @property
    def transform(self) -> Transform:
        """Transform of a test image: from uint8 pixels to the images (N, 3, H, W) that `compute` takes."""
        kind = _PixelTransform if self.takes_pixels else Transform
        return kind(self.facts.mean, self.facts.std, len(self.facts.classes))

    @property
    def takes_pixels(self) -> bool:
        """Whether the file itself normalises the images."""
        return self.program.metadata.get("input", NORMALISED) == PIXELS

    @property
    def image_size(self) -> Tuple[int, int]:
        """Height and width of the input, in pixels."""
        assert self.facts.image_size is not None
        return self.facts.image_size

    @property
    def fixed_size(self) -> Optional[Tuple[int, int]]:
        """Height and width of the images, if the graph takes no others; None if it takes any."""
        if self.program.signature is None:
            return None
        axes = dict(zip("NHWC" if self.takes_pixels else "NCHW", self.program.signature.shape))
        height, width = axes["H"], axes["W"]
        return (height, width) if height and width else None

    def mask_function(self) -> Callable[[np.ndarray], List[AttentionMaps]]:
        """Return what computes the masks of each module for normalised images (N, 3, H, W).

        Raises
        ------
        InputError
            If the file is an ONNX file, or its network has no masks.
        """
        self._check_masks()
        maps: Callable[[np.ndarray], List[AttentionMaps]] = self.program.network.attention_maps
        return maps

    def grad_cam(self, images: np.ndarray) -> np.ndarray:
        """Return `prediction.masks.grad_cam` of normalised images, computed by PyTorch.

        Raises
        ------
        InputError
            As `mask_function`.
        """
        self._check_masks()
        found: np.ndarray = self.program.network.grad_cam(images)
        return found

    def _check_masks(self) -> None:
        network = self.program.network
        if network is None:
            raise InputError(
                f"an ONNX file computes the logits only; give the parameter or {OF_TORCH} file to see the masks"
            )
        if network.spec.mask == "none":
            raise InputError(NO_MASKS)

    def compute(self, images: np.ndarray) -> np.ndarray:
        """Return the logits (N, classes) of images (N, 3, H, W), as `transform` makes them."""
        if self.takes_pixels:
            return self.program.run(np.ascontiguousarray(images.transpose(0, 2, 3, 1), np.uint8))
        return self.program.run(np.ascontiguousarray(images, np.float32))


def load_exported(
    path: str, runtime: str = "auto", precision: str = "auto", num_gpus: Optional[int] = None
) -> ExportedModel:
    """Load an ONNX or `.safetensors` file that the command `export` wrote.

    Parameters
    ----------
    path : str
    runtime, precision : str
        See `onnx_program.compile_file` and `torch_program.compile_torch`.
    num_gpus : int, optional
        Of a `.safetensors` file: see `compile_torch`. An ONNX file is computed on the CPU.

    Raises
    ------
    InputError
        If the file cannot be computed, or its metadata lacks what its images need.
    """
    check_names(runtime, precision)
    if runtime == "mxnet":
        raise InputError(f"`runtime=mxnet`: {path} is an exported file; leave it out, or give the parameter file")
    if is_of_torch(path):
        program = compile_torch(path, runtime, precision, num_gpus)
    else:
        program = compile_file(path, runtime, precision)
    missing = [name for name in _NEEDED if name not in program.metadata]
    if missing or len(program.inputs) != 1 or len(program.outputs) != 1:
        fault = f"its metadata has no {', '.join(missing)}" if missing else "it has several inputs or outputs"
        raise InputError(f"{path}: not an ONNX file of this project ({fault}): write it by the command export")
    kind = program.metadata.get("input", NORMALISED)  # earlier versions do not say it
    if kind not in (NORMALISED, PIXELS):
        raise InputError(f"{path}: this version of resattnet does not know its input, {kind}")
    try:
        facts = DataFacts.from_dict({**program.metadata, "title": program.metadata.get("dataset_title", "")})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    _check_graph(path, program, kind, facts)
    source = {
        "name": program.metadata.get("dataset", ""),
        "data_dir": "data",
        "data_format": program.metadata.get("data_format", "bin"),
    }
    network, splits = (_entries(program, name) for name in ("network", "splits"))
    return ExportedModel(path, facts, program, network, source, splits)


def _check_graph(path: str, program: Program, kind: str, facts: DataFacts) -> None:
    """Raise InputError if the graph of an ONNX file is not what its metadata say."""
    if program.signature is None:
        return
    found, size = program.signature, facts.image_size
    number, layout = kind.split()
    axes = dict(zip(layout, found.shape))
    lengths = [axes.get("H"), axes.get("W")]
    batch = axes.get("N")
    fault = ""
    if found.kind != number or len(found.shape) != 4 or axes["C"] not in (None, 3):
        shape = "x".join("any" if length is None else str(length) for length in found.shape)
        fault = f"its metadata say that it takes {kind}, and it takes {found.kind} of {shape}"
    elif any(length not in (None, side) for length, side in zip(lengths, size or ())):
        fault = f"its metadata say images of {_by(size)} pixels, and it takes {_by(lengths)}"
    elif found.classes not in (None, len(facts.classes)):
        fault = f"its metadata name {len(facts.classes)} classes, and it has {found.classes}"
    elif batch is not None:
        fault = f"it takes batches of {batch} only"
    if fault:
        raise InputError(f"{path}: {fault}: write it by the command export")


def _by(lengths: Any) -> str:
    height, width = lengths
    return f"{width}x{height}"


def is_of_torch(path: str) -> bool:
    """Return whether a path has the ending of a `.safetensors` file."""
    return path.lower().endswith(OF_TORCH)


def is_exported(path: str) -> bool:
    """Return whether a path has the ending of an exported file."""
    return path.lower().endswith(ENDINGS)


def _entries(program: Program, name: str) -> Dict[str, Any]:
    """Return the entries of a JSON object in the metadata; none where it is missing or something else."""
    found = program.metadata.get(name)
    return found if isinstance(found, dict) else {}
