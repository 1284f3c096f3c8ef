"""Read the event files of a TensorBoard folder."""

import base64
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

READER = """
import base64, json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], {"images": 0}); events.Reload()
tags = events.Tags()
print(json.dumps({"scalars": {t: [[e.step, e.value] for e in events.Scalars(t)] for t in tags["scalars"]},
                  "images": {t: [[e.step, base64.b64encode(e.encoded_image_string).decode()] for e in events.Images(t)]
                             for t in tags["images"]},
                  "texts": {t: events.Tensors(t)[0].tensor_proto.string_val[0].decode() for t in tags["tensors"]}}))
"""


def read_board(folder):
    """Return the events of a folder.

    Another process reads the events, because MXBoard and TensorBoard cannot be imported in the same process.

    Returns
    -------
    dict
        `scalars` and `images`: a list of [step, value] for each tag. The value of an image is a uint8 array of shape
        (H, W, 3). `texts`: one text for each tag.
    """
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    out = subprocess.run([sys.executable, "-c", READER, str(folder)], stdout=subprocess.PIPE, check=True)
    board = json.loads(out.stdout)
    for images in board["images"].values():
        images[:] = [[step, np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))] for step, png in images]
    return board
