"""Choose the devices of a run, and distribute batches and running statistics over them."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from ..system.errors import InputError
from .cores import check_threads
from .facts import usable_instructions
from .gpus import Gpus, find_gpus
from .mxnet import mx

_USE_CPU = "leave it out or give `num_gpus=0` to use the CPU"


def choose_devices(
    num_gpus: Optional[int] = None, num_cpus: int = 1, gpus: Optional[Sequence[int]] = None
) -> Tuple[List[Any], List[str]]:
    """Choose the devices of a run: all GPUs that MXNet can use, else the CPU. See also `leave_cores_to_mxnet`.

    Parameters
    ----------
    num_gpus : int or None
        Number of GPUs to use; 0 for the CPU. None for all available GPUs, unless `num_cpus` is above 1.
    num_cpus : int
        Number of devices that the CPU is divided into; above 1 it selects the CPU. Each has one thread, for which
        `cores.split_cores` is called before MXNet is imported, as the commands do.
    gpus : sequence of int, optional
        Numbers of the GPUs to use, in this order, instead of `num_gpus`.

    Returns
    -------
    devices : list of mx.Context
    remarks : list of str
        With a CUDA build of MXNet and `num_gpus=None`: one line for each GPU that MXNet cannot use.

    Raises
    ------
    InputError
        If MXNet can use fewer than `num_gpus` GPUs, or not all of `gpus`; also see `cores.check_threads`.
    """
    leave_cores_to_mxnet()
    if gpus is not None:
        return _numbered_gpus(gpus), []
    cpus = [mx.cpu(index) for index in range(num_cpus)]
    if num_gpus == 0 or (num_gpus is None and num_cpus > 1):
        check_threads(num_cpus)
        return cpus, []
    usable, reasons = find_gpus()
    if num_gpus is None:
        remarks = list(reasons) if mx.runtime.Features().is_enabled("CUDA") else []
        return [mx.gpu(index) for index in usable] or cpus, remarks
    if num_gpus > len(usable):
        raise InputError(_too_many_gpus(num_gpus, Gpus(usable, reasons)))
    return [mx.gpu(index) for index in usable[:num_gpus]], []


def leave_cores_to_mxnet() -> None:
    """Let what MXNet computes in the calling thread, and not in a thread of its own, take one core.

    MXNet converts arrays from oneDNN's layouts in the calling thread, as for `asnumpy`. With more cores, the calling
    thread gets a team of OpenMP's threads beside that of MXNet's own thread. libgomp then counts more threads than
    cores, and lets a team sleep at every barrier: a thousand times in a training step.
    """
    set_threads = getattr(mx.base._LIB, "omp_set_num_threads", None)
    if set_threads is not None:  # else a build without OpenMP
        set_threads(1)


def _numbered_gpus(numbers: Sequence[int]) -> List[Any]:
    usable, reasons = find_gpus()
    missing = ", ".join(str(number) for number in numbers if number not in usable)
    if missing:
        advice = f"give some of `gpus={','.join(map(str, usable))}`" if usable else _USE_CPU
        wanted = ",".join(map(str, numbers))
        raise InputError(f"`gpus={wanted}`: MXNet cannot use GPU {missing} here{_in_brackets(reasons)}; {advice}")
    return [mx.gpu(number) for number in numbers]


def _too_many_gpus(wanted: int, gpus: Gpus) -> str:
    count = len(gpus.usable)
    if count:
        advice = f"give `num_gpus={count}`, or leave it out to use all of them"
    else:
        advice = _USE_CPU
    reasons = _in_brackets(gpus.reasons)
    return f"`num_gpus={wanted}`: MXNet can use {count} GPU{'' if count == 1 else 's'} here{reasons}; {advice}"


def _in_brackets(reasons: Sequence[str]) -> str:
    return f" ({'; '.join(reasons)})" if reasons else ""


def check_type(dtype: str, devices: Sequence[Any], instructions: Optional[Sequence[str]] = None) -> List[str]:
    """Check that the devices can compute in a type.

    Parameters
    ----------
    dtype : {'float32', 'float16', 'bfloat16'}
    devices : sequence of mx.Context
    instructions : sequence of str, optional
        Instruction sets of the CPU, as `facts.cpu_facts` names them. Default: `facts.usable_instructions`.

    Returns
    -------
    list of str
        Remarks: one line if the type is slower than float32 here.

    Raises
    ------
    InputError
        If the devices cannot compute in the type.
    """
    on_cpu = devices[0].device_type == "cpu"
    if dtype == "float16" and on_cpu:
        raise InputError("`float16=True`: MXNet has no float16 matrix product on the CPU; leave it out, or use a GPU")
    if dtype != "bfloat16":
        return []
    if not on_cpu:
        raise InputError(
            "`dtype=bfloat16`: MXNet computes in bfloat16 on the CPU only; give `float16=True` instead, or `num_gpus=0`"
        )
    instructions = usable_instructions() if instructions is None else instructions
    if instructions and "avx512f" not in instructions:
        raise InputError(
            "`dtype=bfloat16`: oneDNN supports bfloat16 on CPUs with AVX-512 only, and this one has "
            f"{' and '.join(instructions)}; give `dtype=float32`"
        )
    if instructions and not any("bf16" in name for name in instructions):
        return ["this CPU has no bfloat16 instructions: bfloat16 is emulated, and slower than float32"]
    return []


def wait_for_running_statistics() -> None:
    """Wait for the training steps under way. Call this before batch normalisation's running statistics are read.

    MXNet 1.9.1 writes them in the backward pass without telling its engine, so a reader could otherwise see them
    before the last step is done.
    """
    mx.nd.waitall()


def average_running_statistics(net: Any) -> None:
    """Replace batch normalisation's running statistics on each device by their mean over the devices.

    Each device gathers the statistics of its own part of the batches, but a network must be the same on all devices
    when it is evaluated and saved. Frozen parameters, which have no gradients either, are equal on all devices: they
    stay.

    Parameters
    ----------
    net : mx.gluon.Block
    """
    wait_for_running_statistics()
    for parameter in net.collect_params().values():
        if parameter.grad_req == "null" and len(parameter.list_ctx()) > 1:
            copies = [data.asnumpy() for data in parameter.list_data()]
            mean = mean_over_devices(copies)
            if mean is not copies[0]:
                parameter.set_data(mx.nd.array(mean, dtype=mean.dtype))


def mean_over_devices(copies: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of the copies of an array on several devices, in their type.

    If all copies are equal, it is the first one: the computed mean of equal numbers may differ in the last bit.
    """
    first, *others = copies
    if all((other == first).all() for other in others):
        return first
    return (sum(others, first) / len(copies)).astype(first.dtype)


def split_batch(images: Any, labels: Any, devices: Sequence[Any], dtype: str = "float32") -> List[Tuple[Any, Any]]:
    """Split a batch into parts of nearly equal size and copy one to each device.

    Parameters
    ----------
    images : array (N, C, H, W)
    labels : array (N,) or (N, classes)
    devices : sequence of mx.Context
    dtype : str
        Type of the images on the devices.

    Returns
    -------
    list of (images, labels)
        One pair of NDArrays per device, or N pairs where N is smaller than the number of devices.
    """
    devices = devices[: len(images)]
    parts = (
        mx.gluon.utils.split_and_load(part, devices, even_split=False)
        for part in (mx.nd.array(images, dtype=dtype), mx.nd.array(labels, dtype=labels.dtype))
    )
    return list(zip(*parts))


def device_of(net: Any) -> Any:
    """Return the first device that the parameters of a network are on."""
    return next(iter(net.collect_params().values())).list_ctx()[0]
