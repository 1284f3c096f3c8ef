"""Test predictions: image kinds against NumPy, the test set as PNG against evaluation, and reading output back."""

import csv
import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import sys
import termios

import numpy as np
import pytest
from PIL import Image

import resattnet
from helpers.in_process import script_here
from helpers.networks import save_net
from helpers.scripts import ROOT, refused, script
from resattnet.data.image_files import read_image, to_rgb
from resattnet.data.image_paths import find_images
from resattnet.datasets import catalog, record_files, record_writer
from resattnet.evaluation.evaluate import evaluate_files
from resattnet.evaluation.options import TestOptions
from resattnet.machine.mxnet import mx
from resattnet.models import spec
from resattnet.prediction import prediction_files
from resattnet.prediction.classifier import Classifier
from resattnet.prediction.logits import Prediction
from resattnet.prediction.model_images import read_images
from resattnet.prediction.options import PredictionOptions
from resattnet.system.errors import InputError

GREY = np.arange(256, dtype=np.uint8).reshape(8, 32)
COLOUR = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])
OPACITY = np.roll(GREY, 5, axis=1)


@pytest.fixture
def small(monkeypatch):
    """Use networks with few channels and one attention module."""
    use_small(monkeypatch)


def use_small(patch):
    patch.setitem(spec.CIFAR_WIDTHS, "thin", spec.Widths(8, (16, 16, 16), 16))
    patch.setitem(spec.attention_net_spec, 56, spec.attention_net_spec[56]._replace(modules=(0, 1, 0)))


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        use_small(patch)
        return save_net(tmp_path_factory.mktemp("small"))


@pytest.fixture
def params(small_file, small):
    return small_file


@pytest.fixture(scope="module")
def thin(tmp_path_factory):
    """Return a folder with a parameter file for the scripts and images."""
    folder = tmp_path_factory.mktemp("thin")
    save_net(folder)
    test_set = catalog.load_images("digits", None, "test")
    for number in range(5):
        Image.fromarray(test_set.images[number]).save(str(folder / (f"{number}.png")))
    return folder


# Image kinds


def on_white(colour, opacity):
    share = opacity[..., None] / 255.0
    return colour * share + 255 * (1 - share)


def grey(values):
    return np.repeat(np.asarray(values)[..., None], 3, axis=2)


def image_of(mode, pixels):
    return Image.frombytes(mode, pixels.shape[1::-1], np.ascontiguousarray(pixels).tobytes())


def palette(transparency=None):
    image = image_of("P", GREY)
    image.putpalette(np.arange(768).astype(np.uint8)[::-1].tobytes())
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


PALETTE = np.arange(768).astype(np.uint8)[::-1].reshape(256, 3)[GREY]
DEEP = (GREY.astype(np.uint16) * 257 + np.roll(GREY, 3) - 127).clip(0, 65535).astype(np.uint16)  # uses all 16 bits
SUBTRACTED = np.dstack([COLOUR, OPACITY])  # read as CMYK
KINDS = {  # name: image, format, expected pixels, tolerance for Pillow's rounding
    "rgb": (Image.fromarray(COLOUR), "png", COLOUR, 0),
    "grey": (Image.fromarray(GREY), "png", grey(GREY), 0),
    "grey bmp": (Image.fromarray(GREY), "bmp", grey(GREY), 0),
    "rgb webp": (Image.fromarray(COLOUR), "webp", COLOUR, 0),
    "one bit": (Image.fromarray(GREY > 99), "png", grey((GREY > 99) * 255), 0),
    "palette": (palette(), "png", PALETTE, 0),
    "palette gif": (palette(), "gif", PALETTE, 0),
    "palette, one clear": (palette(77), "png", np.where(grey(GREY == 77), 255, PALETTE), 0),
    "palette, alpha": (palette(bytes(OPACITY.ravel()[GREY.ravel()])), "png", None, 1),
    "rgb, alpha": (Image.fromarray(np.dstack([COLOUR, OPACITY])), "png", on_white(COLOUR, OPACITY), 1),
    "grey, alpha": (Image.fromarray(np.dstack([GREY, OPACITY])), "png", on_white(grey(GREY), OPACITY), 1),
    "cmyk tif": (
        image_of("CMYK", SUBTRACTED),
        "tiff",
        (255.0 - COLOUR) * (255 - OPACITY[..., None].astype(int)) / 255,
        1,
    ),
    "cmyk jpeg": (
        image_of("CMYK", np.full((8, 32, 4), (10, 200, 90, 40), np.uint8)),
        "jpeg",
        np.full((8, 32, 3), [(255 - ink) * 215 / 255 for ink in (10, 200, 90)]),
        3,
    ),
    "16 bit": (Image.fromarray(DEEP), "png", grey(DEEP / 257.0), 0.5),
    "16 bit tif": (Image.fromarray(DEEP), "tiff", grey(DEEP / 257.0), 0.5),
    "16 bit pgm": (Image.fromarray(DEEP), "ppm", grey(DEEP / 257.0), 0.5),
}
KINDS["palette, alpha"] = KINDS["palette, alpha"][:2] + (on_white(PALETTE, OPACITY.ravel()[GREY]), 1)
LOSSLESS = {"webp": dict(lossless=True), "jpeg": dict(quality=100, subsampling=0)}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_image_is_read_correctly(kind, tmp_path):
    image, ending, expected, tolerance = KINDS[kind]
    path = str(tmp_path / ("image." + ending))
    clear = {"transparency": image.info["transparency"]} if "transparency" in image.info else {}
    if ending == "ppm":  # older versions of Pillow read PPM but do not write it
        with open(path, "wb") as handle:
            handle.write(b"P5 %d %d 65535\n" % image.size + np.asarray(image).astype(">u2").tobytes())
    else:
        image.save(path, **dict(LOSSLESS.get(ending, {}), **clear))
    read = read_image(path)
    assert read.mode == "RGB"
    assert np.abs(np.asarray(read) - np.asarray(expected, float)).max() <= tolerance


def test_a_16_bit_grey_level_may_be_clear(tmp_path):
    path = str(tmp_path / "image.png")
    Image.fromarray(DEEP).save(path, transparency=int(DEEP[2, 3]))
    pixels = np.asarray(read_image(path))
    assert (pixels[2, 3] == 255).all() and 60 < pixels[2, 4, 0] < 80


@pytest.mark.parametrize("ending", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize(
    "orientation, turn",
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: a[::-1].transpose(1, 0, 2)),
        (7, lambda a: a[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda a: a[:, ::-1].transpose(1, 0, 2)),
    ],
)
def test_exif_turns_an_image_upright(ending, orientation, turn, tmp_path):
    blocks = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3, 1) * 50, np.ones((16, 16, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = str(tmp_path / ("image." + ending))
    Image.fromarray(blocks).save(path, exif=exif, **LOSSLESS.get(ending, {}))
    read = np.asarray(read_image(path)).astype(int)
    assert read.shape == turn(blocks).shape and np.abs(read - turn(blocks)).max() <= 2


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_of_32_bits_have_no_known_white(mode, tmp_path, params):
    Image.new(mode, (4, 4)).save(str(tmp_path / "image.tif"))
    with pytest.raises(InputError, match="image.tif: not an image that can be read .its pixels are 32-bit numbers"):
        read_image(str(tmp_path / "image.tif"))
    with pytest.raises(InputError, match="image 1: its pixels are 32-bit numbers"):
        Classifier.load(params).predict([Image.new("RGB", (4, 4)), Image.new(mode, (4, 4))])


def test_the_first_of_several_images_is_taken(tmp_path):
    frames = [Image.new("RGB", (9, 7), colour) for colour in ("red", "blue")]
    frames[0].save(str(tmp_path / "image.gif"), save_all=True, append_images=frames[1:])
    assert np.asarray(read_image(str(tmp_path / "image.gif")))[3, 3].tolist() == [255, 0, 0]


# Finding images


def test_a_folder_is_walked_in_order(tmp_path):
    for name in ("b/2.png", "b/1.JPG", "z.webp", "a.tif", ".hidden.png", ".git/x.png", "readme.txt", "b/c/x.pdf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [os.path.relpath(name, str(tmp_path)) for name in find_images([str(tmp_path)])]
    assert found == ["a.tif", "z.webp", "b/1.JPG", "b/2.png"]
    assert find_images(["x", "-", "y"], ["1\n", "\n", " 2\n", "-\n"]) == ["x", "1", " 2", "-", "y"]
    with pytest.raises(InputError, match="b/c: no images in this folder"):
        find_images([str(tmp_path / "b" / "c")])
    with pytest.raises(InputError, match="no images given: name files"):
        find_images(["-"], [])


# Predictions of the network


def bicubic(pixels, side):
    """Crop the middle and scale it in float as Pillow documents its bicubic filter.

    The filter, with a = -0.5, is as wide as the ratio of the sizes. Its weights sum to 1.
    """
    kept = min(pixels.shape[:2])
    for axis in (0, 1):
        size, ratio = pixels.shape[axis], max(kept / side, 1)
        centres = (size - kept) / 2 + (np.arange(side) + 0.5) * kept / side - 0.5
        x = np.abs(centres[:, None] - np.arange(size)) / ratio
        weights = np.where(x < 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2) * (x < 2)
        weights /= weights.sum(axis=1, keepdims=True)
        pixels = np.moveaxis(np.tensordot(weights, pixels, (1, axis)), 0, axis)
    return pixels


@pytest.mark.parametrize("size", [(64, 96), (10, 7), (32, 32), (50, 1), (200, 40)])
def test_images_of_any_size_are_cropped_and_scaled(size, params):
    # Values that the filter keeps in 0..255: versions of Pillow differ in which axis they scale and clip first.
    image = np.random.default_rng(0).integers(64, 192, size + (3,)).astype(np.uint8)
    given = Classifier.load(params).pixels(image)
    assert given.shape == (32, 32, 3) and given.dtype == np.uint8
    assert np.abs(given - bicubic(image.astype(float), 32)).max() <= 2


def test_probabilities_against_numpy(params, tmp_path):
    test_set = catalog.load_images("digits", None, "test")
    classifier = resattnet.Classifier.load(params, batch_size=4)
    net, facts = classifier.net, catalog.describe_data("digits")
    x = ((test_set.images[:9] / 255.0 - facts.mean) / facts.std).transpose(0, 3, 1, 2)
    logits = net(mx.nd.array(x)).asnumpy().astype(float)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = classifier.predict(test_set.images[:9], top=3)
    assert len(found) == 9 and all(len(prediction.classes) == 3 for prediction in found)
    for row, prediction in zip(shares, found):
        order = sorted(range(10), key=lambda k: -row[k])[:3]
        assert prediction.labels == tuple(order) and prediction.classes == tuple(str(k) for k in order)
        np.testing.assert_allclose(prediction.probabilities, row[order], rtol=1e-3)
    (everything,) = classifier.predict([test_set.images[0]], top=99)
    assert len(everything.classes) == 10 and sum(everything.probabilities) == pytest.approx(1)
    path = tmp_path / "one.png"
    Image.fromarray(test_set.images[0]).save(str(path))
    for image in (path, str(path), Image.open(str(path)), test_set.images[0]):
        assert classifier.predict([image], top=99) == [everything]
    assert classifier.predict([]) == []


def test_own_class_names(params, tmp_path):
    names = "naught one two three four five six seven eight nine"
    (tmp_path / "names.txt").write_text(names.replace(" ", "\n") + "\n\n")
    named = Classifier.load(params, classes=str(tmp_path / "names.txt"))
    image = catalog.load_images("digits", None, "test").images[:1]
    (plain,), (found,) = Classifier.load(params).predict(image), named.predict(image)
    assert found.labels == plain.labels and found.classes[0] == named.classes[plain.labels[0]] != plain.classes[0]
    assert read_images(named.model, "test").classes == named.classes


@pytest.mark.parametrize(
    "names, message",
    [
        (
            b"a\nb\n",
            r"classes=.*names.txt has 2 names, the network of .*net.params has 10 classes; give one name on each line",
        ),
        (b"\xff\xfe\n" * 10, "classes=.*names.txt cannot be read .*invalid start byte"),
        (None, "classes=.*names.txt cannot be read .*No such file"),
    ],
)
def test_invalid_lists_of_classes(params, tmp_path, names, message):
    if names is not None:
        (tmp_path / "names.txt").write_bytes(names)
    with pytest.raises(InputError, match=message):
        Classifier.load(params, classes=str(tmp_path / "names.txt"))


def test_the_test_set_as_png_gives_what_evaluation_gives(params, tmp_path):
    test_set = catalog.load_images("digits", None, "test")
    names = []
    for number, image in enumerate(test_set.images):
        names.append(str(tmp_path / (f"{number:03d}.png")))
        Image.fromarray(image).save(names[-1])
    labels = [prediction.labels[0] for prediction in Classifier.load(params).predict(names, top=1)]
    evaluation = evaluate_files([params], TestOptions(num_gpus=0))[0].evaluation
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (test_set.labels, labels), 1)
    assert (confusion == evaluation.confusion).all() and len(set(labels)) > 3


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_other_arrays_are_refused(array, params):
    with pytest.raises(InputError, match="image 0 is an array of .*: give uint8 .height, width, 3."):
        Classifier.load(params).predict([array])


def test_records_know_their_size(tmp_path, small):
    rng = np.random.default_rng(0)
    sets = {
        split: catalog.ImageSet(
            rng.integers(0, 256, (4, 20, 24, 3), np.uint8), np.arange(4, dtype=np.int32) % 3, ("cat", "dog", "owl")
        )
        for split in record_files.SPLITS
    }
    record_writer.write_records(str(tmp_path), "pets", sets, "noise", (0.5, 0.5, 0.5), (0.2, 0.3, 0.4), True)
    path = save_net(tmp_path, classes=3, **{"data_dir": str(tmp_path)})
    classifier = Classifier.load(path, dataset="pets", data_format="rec")
    assert classifier.size == (20, 24) and classifier.pixels(np.zeros((90, 90, 3), np.uint8)).shape == (20, 24, 3)
    assert set(classifier.predict([sets["test"].images[0]])[0].classes) == {"cat", "dog", "owl"}
    description = tmp_path / "pets_records.json"
    older = json.loads(description.read_text())  # earlier versions did not write the image size
    del older["image_size"], older["sha256"]
    description.write_text(json.dumps(older))
    assert Classifier.load(path, dataset="pets", data_format="rec").size == (20, 24)
    os.remove(str(tmp_path / "pets_test.rec"))
    with pytest.raises(InputError, match="pets_test.rec is not there"):
        Classifier.load(path, dataset="pets", data_format="rec")


def test_a_network_that_diverged_says_so(params):
    classifier = Classifier.load(params)
    classifier.net.output.bias.set_data(mx.nd.array([np.nan] * 10))
    with pytest.raises(InputError, match="logits are not finite"):
        classifier.predict([COLOUR])


# Output files


def written(kind, top=2):
    """Write three predictions as `kind`. Return the names, the predictions and the text."""
    names, classes = ["a,b.png", 'long "name".png', "\u00fc.png"], ("cat", "mouse", "owl")
    found = [
        Prediction(("cat", "owl"), (0, 2), (0.75, 0.125)),
        Prediction(("mouse", "cat"), (1, 0), (0.99951, 1 / 3e6)),
        Prediction(("owl", "mouse"), (2, 1), (1.0, 0.0)),
    ]
    handle = io.StringIO()
    prediction_files.WRITERS[kind](handle, zip(names, found), names, classes, top)
    return names, found, handle.getvalue()


def test_a_single_image_needs_no_list(params, tmp_path):
    classifier, path = Classifier.load(params), tmp_path / "single.png"
    Image.fromarray(COLOUR).save(str(path))
    expected = classifier.predict([COLOUR])
    assert len(expected) == 1
    for single in (str(path), path, Image.open(str(path)), COLOUR, COLOUR[None]):
        assert classifier.predict(single) == expected


def test_json_read_back():
    names, found, text = written("json")
    value = json.loads(text)
    assert [row["image"] for row in value] == names
    for row, prediction in zip(value, found):
        assert [entry["class"] for entry in row["predictions"]] == list(prediction.classes)
        assert [entry["label"] for entry in row["predictions"]] == list(prediction.labels)
        assert [entry["probability"] for entry in row["predictions"]] == list(prediction.probabilities)
    handle = io.StringIO()
    prediction_files.write_json(handle, [], ["x"], ("a",), 1)
    assert json.loads(handle.getvalue()) == []


def test_csv_read_back():
    names, found, text = written("csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["image", "class_1", "probability_1", "class_2", "probability_2"]
    assert [row["image"] for row in rows] == names
    for row, prediction in zip(rows, found):
        assert (row["class_1"], row["class_2"]) == prediction.classes
        for rank in (0, 1):
            assert float(row[f"probability_{rank + 1}"]) == pytest.approx(prediction.probabilities[rank], rel=1e-5)


def test_text_is_in_columns():
    assert written("text")[2].splitlines() == [
        "a,b.png          cat    75.00 %  owl    12.50 %",
        'long "name".png  mouse  99.95 %  cat     0.00 %',
        "\u00fc.png            owl   100.00 %  mouse   0.00 %",
    ]


def test_an_unreadable_file_among_good_ones(thin, tmp_path):
    with open(str(thin / "0.png"), "rb") as handle:
        (tmp_path / "cut.png").write_bytes(handle.read()[:150])
    (tmp_path / "text.jpg").write_bytes(b"no image")
    names = [
        str(thin / "0.png"),
        str(tmp_path / "cut.png"),
        "absent.png",
        str(tmp_path / "text.jpg"),
        str(thin / "1.png"),
    ]
    done = script("predict.py", "--params", thin / "net.params", *names, "-k", 2, cwd=str(tmp_path))
    assert done.returncode == 1
    assert [line.split(".png")[0] for line in done.stdout.splitlines()] == [str(thin / "0"), str(thin / "1")]
    errors = done.stderr.splitlines()
    assert len(errors) == 3 and errors[0].startswith(f"{names[1]}: not an image that can be read (")
    assert errors[1] == "absent.png: cannot be read (No such file or directory)"
    assert errors[2].startswith(f"{names[3]}: not an image that can be read (its format is not known)")


@pytest.mark.parametrize("from_stdin", [False, True])
def test_each_image_is_one_line_whatever_its_name(thin, tmp_path, from_stdin):
    names = [b"\xe9t\xe9.png", b"\x1b[31m.png", "\u00e9`.png".encode()] + [b"a\nb.png"] * (not from_stdin)
    for name in names:
        with open(os.path.join(os.fsencode(str(tmp_path)), name), "wb") as handle:
            handle.write((thin / "0.png").read_bytes())
    program = [sys.executable, os.path.join(ROOT, "scripts", "predict.py"), "-k1", "--params", str(thin / "net.params")]
    done = subprocess.run(
        [*program, *(["-"] if from_stdin else [*names, b"no\nimage"])],
        input=b"\n".join(names) if from_stdin else None,
        capture_output=True,
        cwd=str(tmp_path),
        timeout=280,
    )
    shown = ["\\xe9t\\xe9.png", "\\x1b[31m.png", "\u00e9`.png"] + ["a\\nb.png"] * (not from_stdin)
    assert [line.split("  ")[0] for line in done.stdout.decode().splitlines()] == shown
    assert done.stderr == (b"" if from_stdin else b"no\\nimage: cannot be read (No such file or directory)\n")


def test_the_script_from_stdin_to_a_file(thin, tmp_path):
    command = [
        sys.executable,
        os.path.join(ROOT, "scripts", "predict.py"),
        "--params",
        str(thin / "net.params"),
        "-",
        "--output",
        "out.csv",
        "--top",
        "3",
        "-b",
        "2",
    ]
    names = "".join(f"{thin / f'{number}.png'}\n" for number in (4, 0, 2))
    done = subprocess.run(
        command,
        input=names,
        cwd=str(tmp_path),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with open(str(tmp_path / "out.csv"), newline="") as handle:
        rows = list(csv.DictReader(handle))
    paths = [str(thin / (f"{n}.png")) for n in (4, 0, 2)]
    found = Classifier.load(str(thin / "net.params")).predict(paths, top=3)
    assert [row["image"] for row in rows] == paths
    assert [tuple(row[f"class_{rank}"] for rank in (1, 2, 3)) for row in rows] == [one.classes for one in found]
    assert os.listdir(str(tmp_path)) == ["out.csv"]


def test_the_bar_needs_a_terminal_and_many_images(thin):
    """On a terminal, stderr shows a progress bar for more than one batch of images and nothing otherwise."""
    for batch, shown in ((2, True), (64, False)):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        command = [
            sys.executable,
            os.path.join(ROOT, "scripts", "predict.py"),
            "--params",
            str(thin / "net.params"),
            str(thin),
            "-b",
            str(batch),
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, timeout=280)
        os.close(theirs)
        said = b""
        try:
            while True:
                said += os.read(ours, 4096)
        except OSError:  # the other end is closed, and all output is read
            os.close(ours)
        assert done.returncode == 0 and len(done.stdout.splitlines()) == 5
        assert (b"predicting" in said) == shown


@pytest.mark.parametrize(
    "args, message",
    [
        ("--params absent.params x.png", "absent.params: no such parameter file"),
        ("--params {0}/net.params x.png --num-layers 92", "it fits --num-layers 56 --widths thin and 10 classes"),
        ("--params {0}/cut.params x.png", "cut.params is not a complete parameter file"),
        ("--params {0}/net.params .", "no images in this folder"),
        ("--params {0}/net.params x.png --top 0", "--top 0: give a number at least 1"),
        ("--params {0}/net.params x.png --format xml", "--format xml: choose from text, csv, json"),
        ("--params {0}/net.params x.png --output a/b.csv", "--output a/b.csv: there is no folder"),
        ("--params {0}/net.params x.png --output .", "--output .: that is a folder"),
        (
            "--params {0}/net.params x.png --output a.xlsx",
            "a.xlsx: unknown file name extension; give a name that ends in .txt, .csv, .json, or choose a --format",
        ),
        ("--params {0}/net.params", "the following arguments are required: IMAGE"),
    ],
)
def test_bad_input_is_one_line(thin, args, message, tmp_path):
    with open(str(thin / "net.params"), "rb") as whole:
        (thin / "cut.params").write_bytes(whole.read()[:5000])
    if "cut" in args:
        args += " --dataset digits --num-layers 56 --widths thin --attention-learning arl"
    words = [arg.format(thin) for arg in args.split()]
    assert message in refused(script_here("predict.py", *words, cwd=str(tmp_path)))
    assert os.listdir(str(tmp_path)) == []


def test_the_format_follows_the_output():
    assert [PredictionOptions(output=name).output_format for name in (None, "x.csv", "x.JSON", "x.txt")] == [
        "text",
        "csv",
        "json",
        "text",
    ]
    assert PredictionOptions(output="x.csv", format="json").output_format == "json"
    assert PredictionOptions(output="x.v2", format="text").output_format == "text"


def test_a_pillow_image_is_left_as_it_is():
    image = KINDS["rgb, alpha"][0]
    before = image.tobytes()
    to_rgb(image)
    assert image.tobytes() == before and image.mode == "RGBA"
