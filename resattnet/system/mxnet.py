"""Makes `import mxnet` work here: the only door to MXNet in this package (`from resattnet.system.mxnet import mx`).

MXNet 1.9.1 is older than the NumPy, Python and CUDA wheels it meets today. What can be bridged is
bridged before its import (NumPy aliases, distutils, CUDA 11 libraries, thread count); what cannot
ends in one line with the command that mends it (`MXNetUnavailable`).
"""

import contextlib
import ctypes
import importlib
import importlib.util
import os
import sys
import types
import warnings

from resattnet.system.cores import split_cores
from resattnet.system.errors import InputError

BUILDS = ("mxnet", "mxnet-cu101", "mxnet-cu102", "mxnet-cu110", "mxnet-cu112", "mxnet-cu117")
NUMPY_ALIASES = {"bool": bool, "int": int, "float": float, "complex": complex, "object": object}
CUDA_LIBRARIES = (  # (folder under site-packages/nvidia, file), each after those it needs
    ("cuda_runtime", "libcudart.so.11.0"),
    ("cuda_nvrtc", "libnvrtc.so.11.2"),
    ("nvtx", "libnvToolsExt.so.1"),
    ("cublas", "libcublasLt.so.11"),
    ("cublas", "libcublas.so.11"),
    ("cufft", "libcufft.so.10"),
    ("curand", "libcurand.so.10"),
    ("cusolver", "libcusolver.so.11"),
    ("nccl", "libnccl.so.2"),
    ("cudnn", "libcudnn.so.8"),
)
SPIN_COUNT = "10000"  # rounds that a thread waits awake: as fast as waiting so for ever, and shorter

INSTALL_CUDA = "python -m pip install -r requirements-cu112.txt"
INSTALL = "python -m pip install -r requirements.txt  (with an NVIDIA GPU: -r requirements-cu112.txt)"


class MXNetUnavailable(InputError, ImportError):
    """MXNet cannot work here; the message is one line that says why and what to do."""


def check_python(version):
    """Raise unless `version`, a `sys.version_info`, is one that MXNet 1.9.1 can be made to run on."""
    if not (3, 8) <= tuple(version[:2]) <= (3, 12):
        raise MXNetUnavailable(
            "Python %d.%d cannot run MXNet 1.9.1, Python 3.8 to 3.12 can: python3.12 -m venv .venv "
            "&& .venv/bin/python -m pip install -r requirements.txt" % tuple(version[:2])
        )


def check_builds(builds, importable):
    """Raise unless exactly one MXNet is there.

    Parameters
    ----------
    builds : list of str
        The distributions installed, of `BUILDS`. None for an MXNet on the path that pip did not install.
    importable : bool
        Whether a package `mxnet` is found.
    """
    if len(builds) > 1:
        raise MXNetUnavailable(
            f"{' and '.join(builds)} are both installed and overwrite each other's files: "
            f"python -m pip uninstall -y {' '.join(builds)} && {INSTALL}"
        )
    if not builds and not importable:
        raise MXNetUnavailable(f"MXNet is not installed: {INSTALL}")
    if not importable:
        raise MXNetUnavailable(
            f"{builds[0]} is installed but its files went with another MXNet's: python -m pip install "
            f"--force-reinstall --no-deps {builds[0]}==1.9.1"
        )


def check_numpy(version):
    """Raise unless `version` ("1.26.4"; None where NumPy is missing) is one that the aliases suffice for."""
    if version is None:
        raise MXNetUnavailable(f"NumPy is not installed: {INSTALL}")
    if int(version.split(".")[0]) != 1:
        raise MXNetUnavailable(
            f'NumPy {version} cannot serve MXNet 1.9.1, which needs NumPy 1: python -m pip install "numpy<2"'
        )


def check_distutils(found):
    """Raise unless `distutils` is `found`, in Python itself or through setuptools."""
    if not found:
        raise MXNetUnavailable(
            "MXNet 1.9.1 needs distutils, which Python 3.12 dropped and setuptools brings: "
            'python -m pip install "setuptools<81"'
        )


def check_libraries(loads):
    """Raise where a system library that no wheel brings is missing; `loads(name)` says whether it loads."""
    missing = [name for name in ("libgomp.so.1", "libquadmath.so.0") if not loads(name)]
    if missing:
        raise MXNetUnavailable(
            f"MXNet needs the system's {' and '.join(missing)}: apt-get install libgomp1 "
            "libquadmath0 (Fedora: dnf install libgomp libquadmath)"
        )


def check_cuda(build, loads, folders):
    """Load the CUDA 11 libraries of `build`, or raise with what is missing.

    Parameters
    ----------
    build : str
        The distribution, "mxnet-cu112".
    loads : callable
        `loads(path)` loads a library for all to see and says whether it could.
    folders : list of str
        Where the NVIDIA wheels' folders are, ".../site-packages/nvidia".
    """
    if not loads("libcuda.so.1"):
        raise MXNetUnavailable(
            f"{build} needs the NVIDIA driver, and libcuda.so.1 is missing: install the driver, or the "
            f"CPU build: python -m pip uninstall -y {build} && python -m pip install -r requirements.txt"
        )
    for part, name in CUDA_LIBRARIES:
        paths = [os.path.join(folder, part, "lib", name) for folder in folders]
        # The bare name last: a CUDA 11 that the system has in the loader's path serves as well.
        if not any(loads(path) for path in paths + [name]):
            raise MXNetUnavailable(f"{build} needs {name}, which the NVIDIA wheels bring: {INSTALL_CUDA}")


def check_board(mxboard, protobuf, implementation):
    """Raise unless MXBoard can write, with these versions (None: missing) and this implementation of protobuf."""
    for name, version in (("mxboard", mxboard), ("protobuf", protobuf)):
        if version is None:
            raise MXNetUnavailable(f"{name} is not installed: {INSTALL}")
    major = int(protobuf.split(".")[0])
    # MXBoard's generated code is refused by protobuf 4 and 5, but for their pure Python part.
    if major > 5 or (major > 3 and implementation != "python"):
        raise MXNetUnavailable(
            f'protobuf {protobuf} cannot serve MXBoard 0.1.0: python -m pip install "protobuf>=3.20,<4"'
        )


def check_protobuf():
    """Raise `MXNetUnavailable` unless `import mxboard` will work; to be called before it."""
    check_board(
        installed_version("mxboard"),
        installed_version("protobuf"),
        os.environ.get("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"),
    )


def installed_version(name):
    """Return the version of the distribution `name`, or None."""
    from importlib import metadata  # here, since Python 3.7 lacks it and gets `check_python`'s line first

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def package_folders(name):
    """Return the folders of the package `name`, [] where there is none, and whether it has an `__init__`."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return [], False
    return list(spec.submodule_search_locations or []), bool(spec.origin and spec.has_location)


def load_library(path):
    """Load a shared library for all to see; return whether it could be."""
    try:
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


def add_numpy_aliases(namespace):
    """Give NumPy's `namespace` the names that NumPy 1.24 dropped; `setdefault`, since asking for them warns."""
    for name, value in NUMPY_ALIASES.items():
        namespace.setdefault(name, value)


def prepare():
    """Make `import mxnet` work, or raise `MXNetUnavailable`."""
    check_python(sys.version_info)
    builds = [name for name in BUILDS if installed_version(name)]
    check_builds(builds, importable=package_folders("mxnet")[1])
    split_cores(1)
    # Threads that wait for each other spin, then sleep. Where a core is taken away for a moment (a shared or virtual
    # machine) spinning burns the time of the others, and sleeping at once costs a third of the speed of an idle one.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    numpy = importlib.import_module("numpy") if importlib.util.find_spec("numpy") else None
    check_numpy(numpy and numpy.__version__)
    add_numpy_aliases(numpy.__dict__)
    if importlib.util.find_spec("distutils") is None and importlib.util.find_spec("setuptools"):
        importlib.import_module("setuptools")  # its import provides `distutils`
    check_distutils(importlib.util.find_spec("distutils"))
    if builds and sys.platform.startswith("linux"):
        check_libraries(load_library)
        if builds[0].startswith("mxnet-cu11"):
            # cuDNN 8.9 serves a build against 8.1: MXNet only warns, and need not.
            os.environ.setdefault("MXNET_CUDNN_LIB_CHECKING", "0")
            os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")
            check_cuda(builds[0], load_library, package_folders("nvidia")[0])


@contextlib.contextmanager
def hide_module(name):
    """A context in which `import name` fails, as where that package is not installed."""
    module = sys.modules.get(name)
    sys.modules[name] = None
    try:
        yield
    finally:
        del sys.modules[name]
        if module:
            sys.modules[name] = module


class LazyModule(types.ModuleType):
    """A module that is imported when something of it is asked for first."""

    def __getattr__(self, name):
        return getattr(importlib.import_module(self.__name__), name)


def import_mxnet():
    """Return the module `mxnet`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `-W error` would end its import
        if "mxnet" not in sys.modules:
            prepare()
        # A sixth of MXNet's import, for the base class of one model and one kind of calibration, neither used here.
        with hide_module("sklearn"), hide_module("scipy.stats"):
            module = importlib.import_module("mxnet")
    for user, name in ((module.contrib.quantization, "stats"), (module.test_utils, "ss")):
        if getattr(user, name) is None:  # who uses MXNet beside this package has it all the same
            setattr(user, name, LazyModule("scipy.stats"))
    return module


mx = import_mxnet()
