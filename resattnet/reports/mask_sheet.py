"""The sheet of soft masks that a parameter file makes of images, and the same on the board."""

import contextlib
import os

import numpy as np
from PIL import Image

from ..data.image_files import find_images
from ..evaluation.classifier import Classifier, open_image
from ..evaluation.masks import grad_cam, soft_masks
from ..evaluation.model_file import load_model
from ..models.packaged import packaged_names
from ..runs.board import open_board, put_pictures
from ..system.devices import choose_devices
from ..system.errors import InputError
from ..system.files import write_atomically, writing
from .mask_figures import Row, board_pictures, draw


def make_sheet(path, names, options):
    """Draw the soft masks of a parameter file for images.

    Parameters
    ----------
    path : str
        The parameter file.
    names : list of str
        As of `images.find_images`; may be empty with `from_test`.
    options : reports.options.MaskOptions

    Returns
    -------
    output : str
        The file that was written.
    predictions : list of (Row, Prediction)
    attentions : list of masks.Attention

    Raises
    ------
    InputError
        If an image cannot be read, the network has no masks or not so many channels, or the sheet or the board cannot
        be written.
    """
    devices, _ = choose_devices(0)
    classifier = Classifier(load_model(path, options, devices))
    rows = read_rows(classifier, names, options.from_test)
    x = classifier.normalised(np.stack([row.pixels for row in rows]))
    attentions = soft_masks(classifier.net, x)
    check_channels(attentions, options.channels)
    predictions = classifier.predict([row.pixels for row in rows], top=1)
    cams = grad_cam(classifier.net, x) if options.grad_cam else None
    shown = rows, predictions, attentions, options.channels, cams, classifier.model.network
    figure = draw(*shown)
    if options.board:
        _put_on_board(options.board, path, classifier.model.description, board_pictures(*shown))
    output = options.output
    kind = os.path.splitext(output)[1][1:].lower()
    with writing(f"--output {options.output}"):
        write_atomically(output, lambda temporary: figure.savefig(temporary, format=kind, dpi=150))
    return output, list(zip(rows, predictions)), attentions


def read_rows(classifier, names, from_test):
    """The rows of files, then those of the first so many test images."""
    rows = []
    for name in find_images(names) if names else ():
        picture = open_image(name)
        rows.append(Row(os.path.basename(name), picture, classifier.pixels(picture)))
    if from_test:
        test_set = classifier.model.images("test")
        if from_test > len(test_set.labels):
            raise InputError(f"--from-test {from_test}: the data set has {len(test_set.labels)} test images")
        for number, (image, label) in enumerate(zip(test_set.images[:from_test], test_set.labels)):
            picture = Image.fromarray(image)
            rows.append(Row(f"test image {number}: {test_set.classes[label]}", picture, image))
    return rows


def check_channels(attentions, channels):
    """See that every mask has the channels; they may be None."""
    fewest = min(attention.mask.shape[1] for attention in attentions)
    if channels and max(channels) >= fewest:
        raise InputError(
            f"--channels {','.join(map(str, channels))}: the narrowest masks have channels 0 to {fewest - 1}"
        )


def _put_on_board(folder, path, description, pictures):
    """In a folder of their run within this one: TensorBoard calls the events of its own folder '.'."""
    name = os.path.splitext(os.path.basename(path))[0]
    run = name if name in packaged_names() else description.get("run", name)
    with writing(f"--board {folder}"), contextlib.closing(
        open_board(os.path.join(os.path.expanduser(folder), run + "_masks"))
    ) as board:
        put_pictures(board, description.get("epoch", 0), pictures)
