"""The ways out of Gluon: ONNX for other runtimes; the symbol with its parameters, plain or in INT8, for MXNet's.

What is written is read again and compared with the network before it takes its name: a file that is there was right.
"""

import json
import os
import warnings
from typing import NamedTuple

import numpy as np

from .. import __version__
from ..evaluation.metrics import check_finite
from ..evaluation.model_file import load_model
from ..models import parameters, pretrained
from ..models.graphs import quantize
from ..models.network import build
from ..system.cores import core_count
from ..system.devices import device_of
from ..system.errors import InputError
from ..system.files import digest, write_atomically, writing
from ..system.mxnet import mx
from .onnx_graph import compose, import_onnx, load, make_model

TOLERANCE = 1e-4  # of a logit where the largest is 1 at most, else relative to the largest
FLOAT16_TOLERANCE = 0.05  # its rounding, 5e-4 of each weight, adds up over the layers
COMPARED_IMAGES, COMPARED_PIXELS = 64, 64 * 32 * 32  # at most, each; but two images


class Comparison(NamedTuple):
    """What an export gives beside what its network gives, on the same images.

    Attributes
    ----------
    error : float
        Largest difference of two logits.
    largest : float
        Largest of the network's logits, in absolute value.
    agreeing : int
        Images of the same top-1.
    images : int
        How many there were.
    """

    error: float
    largest: float
    agreeing: int
    images: int


def compare_logits(given, expected):
    """`Comparison` of an export's logits with those of its network, arrays (N, classes)."""
    return Comparison(
        float(np.abs(given - expected).max()),
        float(np.abs(expected).max()),
        int((given.argmax(1) == expected.argmax(1)).sum()),
        len(expected),
    )


def _checked(path, given, expected, tolerance=TOLERANCE):
    comparison = compare_logits(given, expected)
    if not comparison.error <= tolerance * max(1, comparison.largest):
        raise RuntimeError(
            "%s is not written: its logits are not the network's (largest error %.2g, largest logit "
            "%.3g, same top-1 on %d of %d images)" % ((path,) + comparison)
        )
    return comparison


def _logits(net, images):
    """The network's logits as NumPy; an InputError if one is not finite."""
    return check_finite(net(mx.nd.array(images, ctx=device_of(net))).asnumpy())


def onnx_logits(path, images):
    """The logits that onnxruntime gives of images (N, 3, H, W), in two batches: the first image, and the others."""
    onnxruntime = import_onnx()[1]
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = core_count()  # its own choice is all of the system's, which may not be ours to use
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    parts = (images[:1], images[1:]) if len(images) > 1 else (images,)
    return np.concatenate([session.run(["logits"], {"images": part})[0] for part in parts])


def _written(path, write):
    """`write_atomically`, with an InputError for what the system refuses; what `write` returned."""
    results = []
    with writing(path):
        write_atomically(path, lambda temporary: results.append(write(temporary)))
    return results[0]


def default_size(net):
    """Side of the images that a network is for: 224 with ImageNet's stem, which ends in a pooling, else 32."""
    return 224 if isinstance(net.features[3], mx.gluon.nn.MaxPool2D) else 32


def _compared(height, width):
    return max(2, min(COMPARED_IMAGES, COMPARED_PIXELS // (height * width)))


def noise(height, width):
    """Images of noise, always the same, to compare on where there are no others."""
    shape = _compared(height, width), 3, height, width
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def export_onnx(net, path, image_size=None, images=None, metadata=None):
    """Write a network as ONNX: input `images` (batch, 3, H, W), output `logits` (batch, classes), any batch size.

    Parameters
    ----------
    net : AttentionNet
        Initialised, float32. It is left as it is.
    path : str
    image_size : int or (int, int), optional
        Side of the images, or height and width; default: that of `images`, else 224 with ImageNet's stem
        and 32 with CIFAR's.
    images : float32 array (N, 3, H, W), optional
        What to compare on, as the network is given it, of that size; default: noise, always the same.
    metadata : dict, optional
        Texts, and values of JSON types, that go with the model; `layout`, `channels`, `image_size` and
        `resattnet_version` always do.

    Returns
    -------
    Comparison
        Of onnxruntime's logits with the network's.

    Raises
    ------
    InputError
        If the packages are absent, the file cannot be written, or the network's logits are not finite.
    RuntimeError
        If the logits differ; nothing is written, and a file that was there stays.
    """
    onnx, _ = import_onnx()
    if image_size is None:
        image_size = default_size(net) if images is None else images.shape[2:]
    height, width = map(int, np.broadcast_to(image_size, 2))
    images = noise(height, width) if images is None else images
    expected = _logits(net, images)
    model = make_model(net, height, width)
    model.doc_string = (
        f"Residual Attention Network (arXiv 1704.06904). images: float32 (batch, 3, {height}, {width}), RGB, "
        f"normalised as the metadata say; logits: float32 (batch, {expected.shape[1]})."
    )
    facts = dict(layout="NCHW", channels="RGB", image_size=[height, width], resattnet_version=__version__)
    facts.update(metadata or {})
    onnx.helper.set_model_props(
        model, {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
    )

    def write(temporary):
        onnx.save(model, temporary)
        onnx.checker.check_model(temporary, full_check=True)
        return _checked(path, onnx_logits(temporary, images), expected)

    return _written(path, write)


def export_symbol(net, prefix, images):
    """Write a network as Gluon's PREFIX-symbol.json and PREFIX-0000.params, for `SymbolBlock.imports`: any image size.

    Parameters
    ----------
    net : AttentionNet
        Or what `inference.quantized` made of one.
    prefix : str
    images : float32 array (N, 3, H, W)
        What to compare on.

    Returns
    -------
    symbol_path, params_path : str

    Raises
    ------
    InputError, RuntimeError
        As `export_onnx`.
    """
    if isinstance(net, mx.gluon.SymbolBlock):
        symbol = net(mx.sym.var("data", dtype="float32"))
        arrays = {name: parameter.list_data()[0] for name, parameter in net.collect_params().items()}
    else:
        graph, arrays = compose(net, "data")
        symbol = load(graph)
    auxiliary = set(symbol.list_auxiliary_states())
    arrays = {("aux:" if name in auxiliary else "arg:") + name: array for name, array in arrays.items()}
    symbol_path, params_path = prefix + "-symbol.json", prefix + "-0000.params"

    def write_params(params):
        open(params, "wb").close()  # an OSError here, where MXNet's would be of another kind
        mx.nd.save(params, arrays)

        def write_symbol(path):
            with open(path, "w", encoding="utf-8") as handle:
                handle.write(symbol.tojson())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it wonders about the type of the data
                again = mx.gluon.SymbolBlock.imports(path, ["data"], params)
            _checked(symbol_path, _logits(again, images), _logits(net, images))

        _written(symbol_path, write_symbol)

    _written(params_path, write_params)
    return symbol_path, params_path


def export_float16(trained, prefix, images):
    """Write a network's parameters in float16 as PREFIX.params, with PREFIX.json, which every script here reads.

    The network computes in float32 from them. Of the description, the folder of a known data set is left out.

    Parameters
    ----------
    trained : trained.Trained
    prefix : str
    images : float32 array (N, 3, H, W)
        What to compare on.

    Returns
    -------
    paths : tuple of str
    comparison : Comparison
        Of the network with what was written, read again.

    Raises
    ------
    InputError
        If a parameter is too large for float16, the files cannot be written, or the network's logits are not finite.
    RuntimeError
        If the logits differ by more than float16's rounding can explain; no file is left.
    """
    expected = _logits(trained.net, images)
    half, again = (build(trained.network) for _ in range(2))
    half.initialize()
    parameters.copy_parameters(trained.net, half)
    half.cast("float16")
    if not parameters.all_finite(half):
        raise InputError("--to float16: a parameter is beyond 65504, the largest number that float16 has")
    description = dict(
        trained.description,
        network=trained.network.to_dict(),
        dataset=trained.source["name"],
        data_format=trained.source["data_format"],
        dtype="float16",
    )
    if description["data_format"] == "bin":  # which anyone has or can fetch
        description.pop("data_dir", None)
    path = prefix + ".params"
    with writing(path):
        parameters.save_parameters(half, path, description)
    parameters.load_parameters(again, path, [mx.cpu()])
    paths = path, prefix + ".json"
    try:
        return paths, _checked(path, _logits(again, images), expected, FLOAT16_TOLERANCE)
    except RuntimeError:
        for name in paths:
            os.remove(name)
        raise


def export_parameters(path, options):
    """Write what a parameter file holds in another format.

    Parameters
    ----------
    path : str
        The parameter file.
    options : export.options.ExportOptions

    Returns
    -------
    paths : tuple of str
        What was written.
    comparison : Comparison
        With the float32 network.
    what : str
        The images that it was compared on.
    """
    if options.to == "onnx":
        import_onnx()
    trained = load_model(path, options, [mx.cpu()])
    images, what, classes = _test_images(trained, options.image_size)
    output = os.path.expanduser(options.output or os.path.splitext(path)[0])
    if options.to == "onnx":
        target = output if options.output else output + ".onnx"
        metadata = _metadata(trained, classes, digest(pretrained.resolve_path(path)))
        return (target,), export_onnx(trained.net, target, images=images, metadata=metadata), what
    net = trained.net
    if options.to == "float16":
        prefix = output if options.output else output + "-float16"
        if os.path.exists(prefix + ".params") and os.path.samefile(prefix + ".params", pretrained.resolve_path(path)):
            raise InputError(f"--output {options.output}: that would replace {path} itself; give another name")
        paths, comparison = export_float16(trained, prefix, images)
        return paths, comparison, what
    if options.to == "int8":
        output += "" if options.output else "-int8"
        net = quantize(net, trained.calibration_images(options.calibration_images))
    paths = export_symbol(net, output, images)
    return paths, compare_logits(_logits(net, images), _logits(trained.net, images)), what


def _test_images(trained, side):
    """The first test images at the size of `side`, as the network is given them; what they are; the class names."""
    try:
        test_set = trained.images("test", download=False)
    except InputError as error:
        side = side or default_size(trained.net)
        images = noise(side, side)
        return images, f"{len(images)} images of noise, for want of test images ({error})", trained.facts.classes
    old = test_set.images.shape[1:3]
    new = (side, side) if side else old
    rows, columns = (np.arange(b) * a // b for a, b in zip(old, new))
    count = _compared(*new)
    images = test_set.images[:count, rows][:, :, columns]
    return trained.transform(images, test_set.labels[:count])[0], f"{len(images)} test images", test_set.classes


def _metadata(trained, classes, sha256):
    """What a user of the model has to know of it."""
    facts = trained.facts
    known = dict(
        preprocessing="RGB bytes / 255, then (x - mean) / std of each channel",
        range="0..1 before mean and std",
        mean=list(facts.mean),
        std=list(facts.std),
        classes=list(classes),
        network=trained.network.to_dict(),
        dataset=trained.source["name"],
        dataset_title=facts.title,
        params_sha256=sha256,
    )
    if "validation_top1" in trained.description:
        known["top1"] = trained.description["validation_top1"]
    return known
