"""Read the arrays of a parameter file, whose layout is checked before MXNet reserves memory for what it says."""

from __future__ import annotations

import math
import os
import struct
from typing import IO, Any, Dict, Mapping, Optional

from ..machine.mxnet import mx
from ..system.errors import InputError, reason
from ..system.input_files import check_regular
from .descriptions import intact_parameters

# The layout of a file of `mx.nd.save`, all little-endian: LIST, 0, number of arrays, the arrays, number of names, the
# names. An array is ARRAY, storage type, dimensions, device, type, and its numbers.
_LIST = 0x112
_ARRAY = (0xF993FAC9, 0xF993FACA)  # with the shapes of NDArray, and with those of NumPy
_DENSE = 0
_ITEM_SIZES = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 12: 2}  # bytes by MXNet's number of a type
_MOST_DIMENSIONS = 32
_EXPORTED = ("arg:", "aux:")  # before the names of a symbol's parameters


def read_arrays(path: str) -> Dict[str, Any]:
    """Return the arrays of a parameter file by name, without the `arg:` and `aux:` of an exported symbol.

    Raises
    ------
    InputError
        If the file cannot be read, is not complete, has arrays without names, or is that of an INT8 network.
    """
    try:
        check_regular(path)
        with open(path, "rb") as handle:
            _check_layout(handle)
        arrays = mx.nd.load(path)
    except (OSError, ValueError, struct.error, mx.base.MXNetError) as error:
        why = reason(error)[-120:]
        raise InputError(f"{path} is not a complete parameter file ({why}): {intact_parameters(path)}") from error
    if not isinstance(arrays, dict):
        raise InputError(f"{path} holds {len(arrays)} arrays without names: give a parameter file that a run saved")
    if any(array.dtype.__name__ in ("int8", "uint8", "int32") for array in arrays.values()):
        raise InputError(
            f"{path} holds a network in INT8, which is loaded by mxnet.gluon.SymbolBlock.imports: give the parameter "
            "file that it was exported from"
        )
    return {name[len("arg:") :] if name.startswith(_EXPORTED) else name: array for name, array in arrays.items()}


def match_names(found: Mapping[str, Any], net: Any) -> Optional[Dict[str, str]]:
    """Return the name in a file of each parameter of a network; None if the file has other parameters.

    Parameters
    ----------
    found : mapping of str to value
        The parameters of the file, by their names in Gluon's files (`output.weight`) or in symbols and files of
        `collect_params().save()` (`attentionnet0_output_weight`, with any prefix of the network).
    net : AttentionNet
    """
    own = net._collect_params_with_prefix()
    if set(found) == set(own):
        return {name: name for name in own}
    inner = {name: parameter.name[len(net.prefix) :] for name, parameter in own.items()}
    last = inner["output.weight"]
    for name in found:
        if name.endswith(last):
            prefix = name[: -len(last)]
            names = {own_name: prefix + inner_name for own_name, inner_name in inner.items()}
            if set(names.values()) == set(found):
                return names
    return None


def _check_layout(handle: IO[bytes]) -> None:
    """Raise ValueError or struct.error if a file is not exactly what it says."""
    left = os.fstat(handle.fileno()).st_size

    def take(size: int) -> bytes:
        nonlocal left
        if size > left:
            raise ValueError("it is cut short, or a number in it is wrong")
        left -= size
        return handle.read(size)

    def numbers(layout: str) -> Any:
        return struct.unpack("<" + layout, take(struct.calcsize("<" + layout)))

    magic, _, count = numbers("QQQ")
    if magic != _LIST:
        raise ValueError("it does not begin as one")
    for _ in range(count):
        magic, storage, dimensions = numbers("Iii")
        if magic not in _ARRAY or storage != _DENSE or not 0 < dimensions <= _MOST_DIMENSIONS:
            raise ValueError("an array in it is damaged, or sparse")
        shape = numbers(f"{dimensions}q")
        _, _, kind = numbers("iii")
        if min(shape) < 1 or kind not in _ITEM_SIZES:
            raise ValueError("an array in it is empty or damaged")
        size = math.prod(shape) * _ITEM_SIZES[kind]
        if size > left:
            raise ValueError("it is cut short, or a number in it is wrong")
        left -= size
        handle.seek(size, os.SEEK_CUR)
    (names,) = numbers("Q")
    if names not in (0, count):
        raise ValueError("it has another number of names than of arrays")
    for _ in range(names):
        take(*numbers("Q")).decode()
    if left:
        raise ValueError("more follows after its end")
