"""Compare exported files with the network they come from, and put them in place only if they agree."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from ..machine.devices import device_of
from ..machine.mxnet import mx
from ..prediction.logits import check_finite
from ..system.files import TEMPORARY, replacing, writing


class Comparison(NamedTuple):
    """Difference between the logits of an export and those of its network on the same images.

    Attributes
    ----------
    error : float
        Largest absolute difference of two logits.
    largest : float
        Largest absolute logit of the network.
    agreeing : int
        Number of images with the same top-1 class.
    images : int
        Number of images compared.
    """

    error: float
    largest: float
    agreeing: int
    images: int


class Export(NamedTuple):
    """Result of an export: the paths of the written files, and how they compare with the float32 network."""

    paths: Tuple[str, ...]
    comparison: Comparison


def compute_logits(net: Any, images: np.ndarray) -> np.ndarray:
    """Return the logits (N, classes) of a network for images (N, 3, H, W).

    Raises
    ------
    InputError
        If a logit is not finite.
    """
    return check_finite(net(mx.nd.array(images, ctx=device_of(net))).asnumpy())


def compare(logits: np.ndarray, expected: np.ndarray) -> Comparison:
    """Compare the logits of an export with those of its network, both of shape (N, classes)."""
    return Comparison(
        float(np.abs(logits - expected).max()),
        float(np.abs(expected).max()),
        int((logits.argmax(1) == expected.argmax(1)).sum()),
        len(expected),
    )


def check(path: str, logits: np.ndarray, expected: np.ndarray, tolerance: float) -> Comparison:
    """Compare logits and raise RuntimeError, with the name of the file, if they differ by more than the tolerance."""
    comparison = compare(logits, expected)
    if not comparison.error <= tolerance * max(1, comparison.largest):
        raise RuntimeError(
            f"{path} was not written: its logits differ from the network's (largest error {comparison.error:.2g}, "
            f"largest logit {comparison.largest:.3g}, same top-1 on {comparison.agreeing} of {comparison.images} "
            "images)"
        )
    return comparison


def write_checked(
    output: str,
    name_files: Callable[[str], Tuple[str, ...]],
    write: Callable[..., None],
    read_logits: Callable[..., np.ndarray],
    expected: np.ndarray,
    tolerance: float,
    what: Optional[str] = None,
) -> np.ndarray:
    """Write files under temporary names, compare them with the network, and put them in place if they agree.

    Parameters
    ----------
    output : str
        Path of the file, or prefix of the files.
    name_files : callable
        From an output to the paths of its files.
    write : callable
        Writes the files; called with their temporary paths.
    read_logits : callable
        Returns the logits (N, classes) that the files give; called with their temporary paths.
    expected : float array (N, classes)
        Logits of the network that is written.
    tolerance : float
        See `targets.Target`.
    what : str, optional
        The file that the user named, for messages; default: `output`.

    Returns
    -------
    float array (N, classes)
        Logits of the written files.

    Raises
    ------
    InputError
        If the files cannot be written.
    RuntimeError
        If the logits differ. In both cases no file is left, and files that were there before stay.
    """
    paths, temporaries = name_files(output), name_files(output + TEMPORARY)
    with writing(what or output), _final_names_in_errors(output), replacing(dict(zip(paths, temporaries))):
        write(*temporaries)
        logits = read_logits(*temporaries)
        check(paths[0], logits, expected, tolerance)
    return logits


@contextlib.contextmanager
def _final_names_in_errors(output: str) -> Iterator[None]:
    """Have an OSError name the file that was to be written, and not the temporary one."""
    try:
        yield
    except OSError as error:
        if isinstance(error.filename, str):
            error.filename = error.filename.replace(output + TEMPORARY, output)
        raise
