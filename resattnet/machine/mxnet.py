"""Import MXNet. All other modules get it from here: ``from .mxnet import mx``.

MXNet 1.9.1 is older than the NumPy, Python and CUDA wheels that it is installed beside today. This module prepares the
import: it adds NumPy aliases, provides distutils, loads the CUDA 11 libraries and sets the number of threads. Where
that does not help, it raises `MXNetUnavailable`, whose message is one line with the command that repairs the
installation.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import warnings
from typing import Any, Callable, Dict, Optional, Sequence

from ..system.errors import InputError
from .cores import set_default, split_cores
from .operators import made_when_used
from .packages import BUILDS, hide_module, installed_version, load_library, package_folders, postpone_module

NUMPY_ALIASES = {"bool": bool, "int": int, "float": float, "complex": complex, "object": object}
CUDA_LIBRARIES = (  # (folder under site-packages/nvidia, file), each after the ones that it depends on
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
# MXNet imports these for downloads, exports to ONNX and one kind of calibration, but does not need them otherwise.
POSTPONED = ("requests", "onnx", "scipy.stats")
SPIN_COUNT = "10000"  # rounds that a waiting thread spins before it sleeps: as fast as spinning without end

INSTALL_CUDA = "python -m pip install -r requirements-cu112.txt"
INSTALL = "python -m pip install -r requirements.txt  (with an NVIDIA GPU: -r requirements-cu112.txt)"


class MXNetUnavailable(InputError, ImportError):
    """MXNet, or a package that it needs, does not work here. The message is one line: the reason and the remedy."""


def check_python(version: Sequence[Any]) -> None:
    """Raise `MXNetUnavailable` unless MXNet 1.9.1 can be made to run on this `sys.version_info`."""
    if not (3, 8) <= tuple(version[:2]) <= (3, 12):
        raise MXNetUnavailable(
            f"Python {version[0]}.{version[1]} cannot run MXNet 1.9.1; Python 3.8 to 3.12 can: "
            "python3.12 -m venv .venv && .venv/bin/python -m pip install -r requirements.txt"
        )


def check_builds(builds: Sequence[str], importable: bool) -> None:
    """Raise `MXNetUnavailable` unless exactly one MXNet is installed.

    Parameters
    ----------
    builds : sequence of str
        The installed distributions among `BUILDS`. Empty for an MXNet on the path that pip did not install.
    importable : bool
        Whether there is a package `mxnet`.
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
            f"{builds[0]} is installed, but its files were removed with another MXNet's: python -m pip install "
            f"--force-reinstall --no-deps {builds[0]}==1.9.1"
        )


def check_numpy(version: Optional[str]) -> None:
    """Raise `MXNetUnavailable` unless MXNet works with this version of NumPy and `NUMPY_ALIASES`.

    Parameters
    ----------
    version : str or None
        None where NumPy is not installed.
    """
    if version is None:
        raise MXNetUnavailable(f"NumPy is not installed: {INSTALL}")
    if int(version.split(".")[0]) != 1:
        raise MXNetUnavailable(
            f'NumPy {version} does not work with MXNet 1.9.1, which needs NumPy 1: python -m pip install "numpy<2"'
        )


def check_distutils(found: object) -> None:
    """Raise `MXNetUnavailable` unless `distutils` was `found`, in Python itself or in setuptools."""
    if not found:
        raise MXNetUnavailable(
            "MXNet 1.9.1 needs distutils, which Python 3.12 no longer has and setuptools provides: "
            'python -m pip install "setuptools<81"'
        )


def check_libraries(loads: Callable[[str], bool]) -> None:
    """Raise `MXNetUnavailable` where a system library that no wheel contains is missing.

    Parameters
    ----------
    loads : callable
        Loads the library of a name and returns whether that worked, as `load_library` does.
    """
    missing = [name for name in ("libgomp.so.1", "libquadmath.so.0") if not loads(name)]
    if missing:
        raise MXNetUnavailable(
            f"MXNet needs the system's {' and '.join(missing)}: apt-get install libgomp1 "
            "libquadmath0 (Fedora: dnf install libgomp libquadmath)"
        )


def check_cuda(build: str, loads: Callable[[str], bool], folders: Sequence[str]) -> None:
    """Load the CUDA 11 libraries of a GPU build, or raise `MXNetUnavailable` with the first one that is missing.

    Parameters
    ----------
    build : str
        The distribution, such as "mxnet-cu112".
    loads : callable
        Loads the library at a path and returns whether that worked, as `load_library` does.
    folders : sequence of str
        Folders that contain those of the NVIDIA wheels: ".../site-packages/nvidia".
    """
    if not loads("libcuda.so.1"):
        raise MXNetUnavailable(
            f"{build} needs the NVIDIA driver, and libcuda.so.1 is missing: install the driver, or the "
            f"CPU build: python -m pip uninstall -y {build} && python -m pip install -r requirements.txt"
        )
    for part, name in CUDA_LIBRARIES:
        paths = [os.path.join(folder, part, "lib", name) for folder in folders]
        # The bare name last: a CUDA 11 in the system's own library path works as well.
        if not any(loads(path) for path in paths + [name]):
            raise MXNetUnavailable(f"{build} needs {name}, which the NVIDIA wheels contain: {INSTALL_CUDA}")


def check_board(mxboard: Optional[str], protobuf: Optional[str], implementation: Optional[str]) -> None:
    """Raise `MXNetUnavailable` unless MXBoard can write event files.

    Parameters
    ----------
    mxboard, protobuf : str or None
        Their installed versions; None where one is missing.
    implementation : str or None
        Value of the environment variable PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION.
    """
    for name, version in (("mxboard", mxboard), ("protobuf", protobuf)):
        if version is None:
            raise MXNetUnavailable(f"{name} is not installed: {INSTALL}")
    major = int(str(protobuf).split(".")[0])
    # protobuf 4 and 5 accept MXBoard's generated code in their pure Python implementation only.
    if major > 5 or (major > 3 and implementation != "python"):
        raise MXNetUnavailable(
            f'protobuf {protobuf} does not work with MXBoard 0.1.0: python -m pip install "protobuf>=3.20,<4"'
        )


def check_protobuf() -> None:
    """Raise `MXNetUnavailable` unless ``import mxboard`` will work. Call this before that import."""
    check_board(
        installed_version("mxboard"),
        installed_version("protobuf"),
        os.environ.get("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"),
    )


def add_numpy_aliases(namespace: Dict[str, Any]) -> None:
    """Add the names that NumPy 1.24 removed to the `namespace` of the module, except those that it already has."""
    # `setdefault`, since NumPy warns when it is asked for one of them.
    for name, value in NUMPY_ALIASES.items():
        namespace.setdefault(name, value)


def prepare() -> None:
    """Make ``import mxnet`` work, or raise `MXNetUnavailable`."""
    check_python(sys.version_info)
    builds = [name for name in BUILDS if installed_version(name)]
    check_builds(builds, importable=package_folders("mxnet")[1])
    split_cores(1)
    # Threads that wait for each other spin, then sleep. On a shared or virtual machine, where a core may be taken away
    # for a moment, spinning uses up the time of the other threads. Sleeping at once costs a third of the speed of an
    # idle machine.
    if "OMP_WAIT_POLICY" not in os.environ:
        set_default("GOMP_SPINCOUNT", SPIN_COUNT)
    # By default MXNet measures its own operators during its import; large products then run on one core only.
    set_default("MXNET_USE_OPERATOR_TUNING", "0")
    numpy: Any = importlib.import_module("numpy") if importlib.util.find_spec("numpy") else None
    check_numpy(numpy.__version__ if numpy else None)
    add_numpy_aliases(numpy.__dict__)
    if importlib.util.find_spec("distutils") is None and importlib.util.find_spec("setuptools"):
        importlib.import_module("setuptools")  # its import provides `distutils`
    check_distutils(importlib.util.find_spec("distutils"))
    if builds and sys.platform.startswith("linux"):
        check_libraries(load_library)
        if builds[0].startswith("mxnet-cu11"):
            # A build against cuDNN 8.1 works with cuDNN 8.9; MXNet's warning about it is not helpful.
            set_default("MXNET_CUDNN_LIB_CHECKING", "0")
            set_default("CUDA_MODULE_LOADING", "LAZY")
            check_cuda(builds[0], load_library, package_folders("nvidia")[0])


def import_mxnet() -> Any:
    """Prepare the import of MXNet, import it and return the module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # with `-W error` the import would fail
        if "mxnet" not in sys.modules:
            prepare()
        # Scikit-learn is for one class of MXNet that this package does not use.
        with hide_module("sklearn"), made_when_used(), contextlib.ExitStack() as stack:
            for name in POSTPONED:
                stack.enter_context(postpone_module(name))
            module = importlib.import_module("mxnet")
    return module


mx: Any = import_mxnet()
