"""Parameters on disk, for others: `.params` in Gluon's format, and beside them a `.json` that says what they are of."""

import difflib
import errno
import json
import os

from ..system.errors import InputError
from ..system.files import digest, json_writer, write_together
from ..system.mxnet import mx
from ..system.options import MODEL_DIR
from .network import build
from .spec import STEMS, NetworkSpec, attention_net_spec

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "weights")  # of those that come with the package
INSTALL_AGAIN = "it came with the package: install that again"
BEST = "best.params"  # a run's, of the epoch of the highest top-1
_HEAD = ("output.weight", "output.bias")


def save_parameters(net, path, description):
    """Write a network's parameters and, beside them, a description with their SHA-256.

    Parameters
    ----------
    net : gluon.Block
    path : str
        Ends in `.params`; the description goes to the same name with `.json`.
    description : dict
        Of JSON types: `network` (arguments of the builder), `dataset`, figures.

    Raises
    ------
    OSError
        If the disk does not take them; what was there before stays.
    """
    described = dict(description)

    def write(temporary):
        open(temporary, "wb").close()  # the system's own reason, where it can be had
        try:
            net.save_parameters(temporary)
            mx.nd.load(temporary)  # MXNet does not see that the last of it found no room
        except mx.base.MXNetError as error:
            raise OSError(errno.EIO, "it cannot be written whole: is the disk full?", path) from error
        described["sha256"] = digest(temporary)

    write_together({path: write, _description_path(path): json_writer(described)})  # in this order


def _description_path(path):
    return os.path.splitext(path)[0] + ".json"


def read_description(path):
    """The description beside a parameter file, None where there is none.

    Raises
    ------
    InputError
        If there is no such parameter file, the description is damaged, or the parameters are not those it
        describes: damaged or replaced.
    """
    folder = os.path.isdir(path)
    if folder or path.endswith(".state"):
        best = os.path.join(path if folder else os.path.dirname(path), BEST)
        raise InputError(
            f"{path} is a {('folder' if folder else 'state of a run')}: give a parameter file{(f', as {best}' if os.path.isfile(best) else '')}"
        )
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such parameter file{_most_alike(path)}")
    try:
        with open(_description_path(path), encoding="utf-8") as handle:
            description = json.load(handle)
        if not isinstance(description, dict) or not isinstance(description.get("network", {}), dict):
            raise ValueError("it is of another form")
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{_description_path(path)} is damaged ({error}): {_whole_parameters(path)}")
    if description.get("sha256") != digest(path):
        raise InputError(
            f"{path} is damaged: its SHA-256 is not the one in {os.path.basename(_description_path(path))}; {_whole_parameters(path)}"
        )
    return description


def packaged_names():
    """The names of the parameters that come with the package, which `--params` and `Classifier.load` take."""
    return sorted(name[: -len(".params")] for name in os.listdir(FOLDER) if name.endswith(".params"))


def is_packaged(path):
    """Whether a file is of those that come with the package."""
    return os.path.dirname(os.path.abspath(path)) == FOLDER


def _most_alike(path):
    """What is most like a file that is not there, as the end of a message.

    Another file of its folder; where that is missing, the file of its name of another run; for a plain name also what
    comes with the package, and the best parameters of a run of that name.
    """
    folder, name = os.path.split(path)
    if os.path.isdir(folder or "."):
        paths = {other: os.path.join(folder, other) for other in _listed(folder) if other.endswith(".params")}
        if not folder:
            paths.update({other: other for other in packaged_names()}, **_of_runs(MODEL_DIR, BEST))
    else:
        home, name = os.path.split(folder)
        paths = _of_runs(home, os.path.basename(path))
    alike = difflib.get_close_matches(name, paths, n=1)
    return f"; did you mean {paths[alike[0]]}?" if alike else ""


def _of_runs(home, name):
    """The files of a name in the folders of a folder, by the folders' names."""
    paths = {folder: os.path.join(home, folder, name) for folder in _listed(home)}
    return {folder: path for folder, path in paths.items() if os.path.isfile(path)}


def _listed(folder):
    """The names in a folder; none where there is no such folder, or it is not ours to read."""
    try:
        return os.listdir(folder or ".")
    except OSError:
        return []


def _whole_parameters(path):
    """Which parameter files of the same folder are whole, as the end of a message, newest first."""
    folder = os.path.dirname(path) or "."
    if is_packaged(path):
        return INSTALL_AGAIN
    others = sorted(
        (os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".params")),
        key=os.path.getmtime,
        reverse=True,
    )
    for other in others:
        if os.path.abspath(other) != os.path.abspath(path) and os.path.exists(_description_path(other)):
            with open(_description_path(other), encoding="utf-8", errors="replace") as handle:
                text = handle.read()
            if digest(other) in text:
                return f"the last whole one is {other}"
    return f"no other whole one is in {folder}"


def load_parameters(net, path, devices, head=True):
    """Fill a network, initialised or not, from a parameter file.

    Parameters
    ----------
    net : AttentionNet
    path : str
    devices : mx.Context or list of mx.Context
    head : bool
        Whether the last layer, whose outputs are the classes, gets its parameters too. Else it has to be initialised,
        and the file may be of a network with other classes.

    Raises
    ------
    InputError
        If the file cannot be read, or belongs to another network; the message names the one it fits.
    """
    try:
        arrays = mx.nd.load(path)
    except (mx.base.MXNetError, ValueError) as error:
        raise InputError(
            f"{path} is not a whole parameter file ({str(error).strip().splitlines()[-1][:120]}): {_whole_parameters(path)}"
        )
    found = {name: array.shape for name, array in arrays.items()} if isinstance(arrays, dict) else {}
    wanted = _shapes(net)
    if not head:
        wanted.update((name, shape) for name, shape in found.items() if name in _HEAD)
    if found != wanted:
        raise InputError(f"{path} holds the parameters of another network: {_fitting(found)}")
    if head:
        net.load_parameters(path, ctx=devices, cast_dtype=True)
        return
    own = net._collect_params_with_prefix()
    for name in set(own) - set(_HEAD):
        own[name].set_data(arrays[name].astype(own[name].dtype))


def _shapes(net):
    return {name: tuple(parameter.shape) for name, parameter in net._collect_params_with_prefix().items()}


def _fitting(found):
    classes = found.get("output.bias", (0,))[0]
    if not classes:
        return "no network of this package fits it"
    # The other masks and kinds of attention have the shapes of the hourglass.
    for stem, row in STEMS.items():
        for mask in ("hourglass", "none"):
            for num_layers in attention_net_spec:
                for widths in row.widths:
                    if _shapes(build(NetworkSpec(classes, num_layers, stem, widths, mask=mask))) == found:
                        given = "" if mask == "hourglass" else f" `mask={mask}`"
                        return f"it fits `num_layers={num_layers}` `widths={widths}`{given} and {classes} classes"
    return "no network of this package fits it"


def copy(source, target):
    """Give a network the parameters of another of the same layers, on the same devices."""
    own = target._collect_params_with_prefix()
    for name, parameter in source._collect_params_with_prefix().items():
        own[name].set_data(parameter.list_data()[0])


def all_finite(net):
    """Whether every parameter of a network is free of infinities and NaNs."""
    arrays, parts = [parameter.list_data()[0] for parameter in net.collect_params().values()], []
    for dtype in {array.dtype for array in arrays}:  # in a float16 network batch normalisation has float32
        alike = [array for array in arrays if array.dtype == dtype]
        # MXNet 1.9.1 crashes on more than 200 arrays in one call.
        parts += [alike[start : start + 200] for start in range(0, len(alike), 200)]
    return all(mx.nd.multi_all_finite(*part, num_arrays=len(part)).asscalar() for part in parts)
