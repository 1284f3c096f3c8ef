"""Flip single bits of image files of several formats, and cut the files off: an error of one line, or an RGB image."""

import io

import numpy as np
import pytest
from PIL import Image, features

from helpers import tries
from resattnet.data.geometry import Geometry
from resattnet.data.image_files import read_image
from resattnet.system.errors import InputError

MOST_FLIPS = 10**9 if tries.FULL else 60
MOST_CUTS = 100 if tries.FULL else 10


def picture(mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 4), np.uint8)
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    return Image.fromarray(pixels[..., : {"RGB": 3, "RGBA": 4, "CMYK": 4}[mode]], mode)


def exif():
    found = Image.Exif()
    found[0x0112] = 6
    found[0x0132] = "2017:04:23 10:11:12"
    return found.tobytes()


FORMATS = {
    "BMP": (picture, {}),
    "GIF": (lambda: picture().quantize(), {}),
    "JPEG": (picture, {"exif": exif()}),
    "JPEG, CMYK": (lambda: picture("CMYK"), {}),
    "PNG": (picture, {"exif": exif()}),
    "PNG, 16 bits": (lambda: picture("I;16"), {}),
    "PNG, alpha": (lambda: picture("RGBA"), {}),
    "PPM": (picture, {}),
    "TIFF": (picture, {"compression": "tiff_lzw"}),
    **({"WEBP": (picture, {"lossless": True})} if features.check("webp") else {}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_image_is_an_error_of_one_line_or_an_image(kind, tmp_path):
    make, settings = FORMATS[kind]
    file = io.BytesIO()
    make().save(file, kind.split(",")[0], **settings)
    whole, path = file.getvalue(), str(tmp_path / "x")
    bits = 8 * len(whole)
    step = max(1, -(-bits // MOST_FLIPS)) | 1
    flips = ((bit // 8, 1 << bit % 8) for bit in range(0, bits, step))
    forms = [whole[:byte] + bytes([whole[byte] ^ mask]) + whole[byte + 1 :] for byte, mask in flips]
    forms += [whole[: length * len(whole) // MOST_CUTS] for length in range(MOST_CUTS)]
    for number, contents in enumerate(forms):
        with open(path, "wb") as handle:
            handle.write(contents)
        try:
            with tries.time_limit(f"{kind}, form {number}"):
                image = Geometry().apply(read_image(path), (8, 8))
        except InputError as error:
            assert "\n" not in str(error) and path in str(error)
            tries.count("image files", refused=True)
        else:
            assert (image.mode, image.size) == ("RGB", (8, 8))
            tries.count("image files", refused=False)
