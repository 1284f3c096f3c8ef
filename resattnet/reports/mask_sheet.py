"""Draw the soft masks of a parameter file for images, as a file and on TensorBoard."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from ..data.image_paths import find_images
from ..models.attention_maps import AttentionMaps
from ..models.spec import NetworkSpec
from ..options.counts import limit_count
from ..prediction.classifier import Classifier, open_image
from ..prediction.exported import load_as
from ..prediction.logits import Prediction
from ..prediction.model_images import read_images
from ..runs.board import open_board, put_pictures
from ..runtimes.exported_model import is_exported
from ..system.errors import InputError, one_line
from ..system.files import write_atomically, writing
from ..zoo.packaged import packaged_names
from .mask_figures import Row, Sheet, draw_arrays, module_pictures
from .mask_overlays import draw_overlays
from .options import MaskOptions

DPI = 150
MOST_LINES = 300  # a picture of 2**16 pixels, which is as high as matplotlib draws, holds no more
SHEETS = {"overlay": draw_overlays, "arrays": draw_arrays}  # by `MaskOptions.sheet`


def make_sheet(
    path: str, names: Sequence[str], options: MaskOptions
) -> Tuple[str, List[Tuple[Row, Prediction]], List[AttentionMaps]]:
    """Draw the soft masks of a parameter file for images.

    Parameters
    ----------
    path : str
        The parameter file, or a `.safetensors` file.
    names : sequence of str
        As for `image_files.find_images`. It may be empty if `options.from_test` is not 0.
    options : MaskOptions

    Returns
    -------
    output : str
        The file that was written.
    predictions : list of (Row, Prediction)
    maps : list of AttentionMaps

    Raises
    ------
    InputError
        If an image cannot be read, the file is an ONNX file, the network has no masks or fewer channels than asked for,
        or the sheet or the board cannot be written.
    """
    model = _open_model(path, options)
    try:
        maps_of = model.mask_function()
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    classifier = Classifier(model)
    rows = _read_rows(classifier, model, names, options.from_test)
    lines = len(rows) * len(options.channels or [None])
    if lines > MOST_LINES:
        raise InputError(f"{lines} lines, one for each image and channel: a sheet has at most {MOST_LINES}")
    images = classifier.normalised(np.stack([row.pixels for row in rows]))
    maps = maps_of(images)
    _check_channels(maps, options.channels)
    predictions = classifier.predict([row.pixels for row in rows], top=1)
    cams = model.grad_cam(images) if options.grad_cam else None
    network = NetworkSpec.from_dict(model.network_facts)
    sheet = Sheet(rows, predictions, maps, network, options.channels, cams)
    draw = SHEETS[options.sheet]
    figure = draw(sheet)
    if options.board:
        _write_to_board(options.board, model.path, model.description, module_pictures(sheet, draw))
    kind = os.path.splitext(options.output)[1][1:].lower()
    with writing(f"`output={options.output}`"):
        write_atomically(options.output, lambda temporary: figure.savefig(temporary, format=kind, dpi=DPI))
    return options.output, list(zip(rows, predictions)), maps


def _open_model(path: str, options: MaskOptions) -> Any:
    """Load a parameter file; or an exported one, without MXNet."""
    if is_exported(path):
        return load_as(path, options, bool(options.from_test), "auto", "auto", 0)
    from ..machine.devices import choose_devices
    from ..prediction.model_file import load_model

    return load_model(path, options, choose_devices(0)[0])


def _read_rows(classifier: Classifier, model: Any, names: Sequence[str], from_test: int) -> List[Row]:
    """Return the rows of image files, then those of the first `from_test` test images."""
    rows = []
    for name in find_images(names) if names else ():
        picture = open_image(name)
        seen = classifier.model.facts.geometry.part(picture, classifier.size)
        rows.append(Row(one_line(os.path.basename(name)), seen, classifier.pixels(picture)))
    if from_test:
        test_set = read_images(model, "test")
        from_test = limit_count("from_test", from_test, len(test_set.labels), "test images")
        for number, (image, label) in enumerate(zip(test_set.images[:from_test], test_set.labels)):
            title = f"test image {number}: {test_set.classes[label]}"
            rows.append(Row(title, Image.fromarray(image), image))
    return rows


def _check_channels(maps: Sequence[AttentionMaps], channels: Optional[Sequence[int]]) -> None:
    """Raise InputError if a mask lacks one of the channels."""
    fewest = min(module.mask.shape[1] for module in maps)
    if channels and max(channels) >= fewest:
        listed = ",".join(map(str, channels))
        raise InputError(f"`channels={listed}`: the narrowest masks have channels 0 to {fewest - 1}")


def _write_to_board(folder: str, path: str, description: Dict[str, Any], pictures: Dict[str, np.ndarray]) -> None:
    """Write pictures to a board, in a folder of their own: TensorBoard calls a run in `folder` itself '.'."""
    name = os.path.splitext(os.path.basename(path))[0]
    run = name if name in packaged_names() else description.get("run", name)
    with writing(f"`board={folder}`"), contextlib.closing(
        open_board(os.path.join(os.path.expanduser(folder), f"{run}_masks"))
    ) as board:
        put_pictures(board, description.get("epoch", 0), pictures)
