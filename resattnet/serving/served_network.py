"""The network that a server computes, in batches of a few sizes, with the masks of its modules."""

from __future__ import annotations

import importlib.util
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..models.attention_maps import ARRAYS, AttentionMaps
from ..prediction.classifier import Classifier
from ..prediction.prediction_files import open_classifier
from ..reports.pages import network_name
from ..runtimes.exported_model import ExportedModel
from ..system.errors import InputError
from .options import ServeOptions


class Question(NamedTuple):
    """An image for the network.

    Attributes
    ----------
    pixels : uint8 array (H, W, 3)
        At the size of the network's input.
    masks : bool
        Whether its masks are wanted too.
    """

    pixels: np.ndarray
    masks: bool = False


class Answer(NamedTuple):
    """What a network says about an image.

    Attributes
    ----------
    logits : float array (classes,)
    masks : list of AttentionMaps
        Of this image alone, for each module that has a mask. Empty unless they were wanted.
    """

    logits: np.ndarray
    masks: List[AttentionMaps]


class ServedNetwork:
    """A network that is computed in batches of the sizes 1, 2, 4 and so on.

    A batch of another size is filled up: MXNet plans a static graph anew for each size, and other engines compile one.
    MXNet has a graph for each size on the CPU, since it keeps the plan of the last size only.

    Parameters
    ----------
    path : str
        Parameter file, name of packaged parameters, ONNX or `.safetensors` file.
    options : ServeOptions

    Attributes
    ----------
    classifier : Classifier
    facts : dict
        What is known of the network, of JSON types.
    why_no_masks : str
        The reason if masks cannot be computed; otherwise empty.
    """

    def __init__(self, path: str, options: ServeOptions) -> None:
        self.classifier = open_classifier(path, options, images=0)
        self.largest = options.batch_size * self.classifier.model.parts
        self._sized: Dict[int, Classifier] = {}
        self._attention_maps, self.why_no_masks = _choose_maps(self.classifier.model)
        self.facts = _describe(self.classifier)
        self.compute([Question(np.zeros((*self.classifier.size, 3), np.uint8))])  # so that the first image is no slower

    @property
    def title(self) -> str:
        """Name of the network, and of its data set where that is known."""
        network, dataset = self.facts["network"], self.facts["dataset"]
        return f"{network} ({dataset})" if dataset else network

    @property
    def has_masks(self) -> bool:
        """Whether masks can be computed."""
        return self._attention_maps is not None

    def compute(self, questions: List[Question]) -> List[Answer]:
        """Return the answers to at most `largest` questions, computed as one batch."""
        pixels = np.stack([question.pixels for question in questions])
        size = _size_of(len(pixels), self.largest)
        logits = self._of_size(size).logits(_fill_up(pixels, size))
        wanted = [number for number, question in enumerate(questions) if question.masks]
        masks = dict(zip(wanted, self._masks(pixels[wanted]))) if wanted else {}
        return [Answer(row, masks.get(number, [])) for number, row in enumerate(logits[: len(pixels)])]

    def _masks(self, pixels: np.ndarray) -> List[List[Any]]:
        """Return the maps of each module for each image."""
        assert self._attention_maps is not None
        maps = self._attention_maps(self.classifier.normalised(pixels))
        return [
            [module._replace(**{name: getattr(module, name)[row, None] for name in ARRAYS}) for module in maps]
            for row in range(len(pixels))
        ]

    def _of_size(self, size: int) -> Classifier:
        """Return the classifier that computes batches of a size."""
        if size not in self._sized:
            self._sized[size] = self._make(size)
        return self._sized[size]

    def _make(self, size: int) -> Classifier:
        model = self.classifier.model
        if (
            isinstance(model, ExportedModel)
            or model.converted
            or [device.device_type for device in model.devices] != ["cpu"]
        ):
            return self.classifier
        from ..models.graphs import fuse

        return Classifier(model._replace(net=fuse(model.net)), size)


def _choose_maps(model: Any) -> Tuple[Optional[Callable[[np.ndarray], List[AttentionMaps]]], str]:
    """Return what computes the maps of normalised images (N, 3, H, W); or None, and the reason."""
    try:
        maps = model.mask_function()
    except InputError as missing:
        return None, str(missing)
    if importlib.util.find_spec("matplotlib") is None:
        return None, "matplotlib, which has their colours, is not installed: python -m pip install matplotlib"
    return maps, ""


def _size_of(count: int, largest: int) -> int:
    """Return the size of the batch that holds a number of images."""
    size = 1
    while size < count:
        size *= 2
    return min(size, largest)


def _fill_up(pixels: np.ndarray, size: int) -> np.ndarray:
    """Return images (size, H, W, 3): those given, and black ones."""
    filled = np.zeros((size, *pixels.shape[1:]), pixels.dtype)
    filled[: len(pixels)] = pixels
    return filled


def _describe(classifier: Classifier) -> Dict[str, Any]:
    model = classifier.model
    if isinstance(model, ExportedModel):
        metadata = model.program.metadata
        network, dataset, top1 = model.network_facts, metadata.get("dataset", ""), metadata.get("top1")
    else:
        network, dataset = model.network.to_dict(), model.source["name"]
        top1 = model.description.get("validation_top1")
    return {
        "network": network_name(network) if network and {"num_layers", "widths"} <= set(network) else "a network",
        "dataset": model.facts.title or dataset,
        "top1": top1 if isinstance(top1, float) else None,
        "classes": list(classifier.classes),
        "image_size": list(classifier.size),
        **model.computed_by,
    }
