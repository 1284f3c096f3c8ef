"""Which devices a run uses, and what they can compute in."""

import os
import platform

from .. import __version__
from .errors import InputError
from .gpus import gpus
from .mxnet import mx


def choose_devices(num_gpus=None, num_cpus=1):
    """The devices of a run: all GPUs that MXNet can use, else the CPU.

    Who divides the CPU means it: `num_cpus` above 1 demands the CPU.

    Parameters
    ----------
    num_gpus : int or None
        Demands so many GPUs; 0 demands the CPU.
    num_cpus : int
        Devices that the CPU is divided into. They share the cores only where `cores.split_cores` was called before
        MXNet was imported, as the scripts do; else each takes all.

    Returns
    -------
    devices : list of mx.Context
    remarks : list of str
        With a CUDA build of MXNet, and unless the CPU is demanded: a line for each GPU that it cannot use.

    Raises
    ------
    InputError
        If more GPUs are demanded than can be used.
    """
    cpus = [mx.cpu(index) for index in range(num_cpus)]
    if num_gpus == 0 or num_gpus is None and num_cpus > 1:
        return cpus, []
    usable, reasons = gpus()
    if num_gpus is None:
        remarks = list(reasons) if mx.runtime.Features().is_enabled("CUDA") else []
        return [mx.gpu(index) for index in usable] or cpus, remarks
    if num_gpus > len(usable):
        raise InputError(
            f"--num-gpus {num_gpus}: MXNet can use {len(usable)} here{''.join(f' ({reason})' for reason in reasons)}; "
            f"give --num-gpus {len(usable)}, or none to use what there is"
        )
    return [mx.gpu(index) for index in usable[:num_gpus]], []


def cpu_facts(path="/proc/cpuinfo"):
    """The CPU's model, and those of its instruction sets that decide the speed; [] where the system does not say."""
    facts = {}
    if os.path.exists(path):
        with open(path) as stream:
            facts = dict(map(str.strip, line.split(":", 1)) for line in stream if ":" in line)
    flags = facts.get("flags", "").split()
    return (
        facts.get("model name") or platform.processor() or platform.machine(),
        [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags],
    )


def machine(devices):
    """What a run is computed on and with, on one line: devices, the CPU, its threads, versions."""
    kind, several = devices[0].device_type.upper(), len(devices) > 1
    where = f"{len(devices)} {kind} devices" if several else "1 GPU" if kind == "GPU" else kind
    each = " each" * (several and kind == "CPU")
    threads = os.environ.get("OMP_NUM_THREADS", "?")
    return (
        f"{where} ({cpu_facts()[0]}, {threads} thread{'s' * (threads != '1')}{each}), Python "
        f"{platform.python_version()}, MXNet {mx.__version__}, resattnet {__version__}"
    )


def check_type(dtype, devices, instructions=None):
    """See whether the devices can compute in a type.

    Parameters
    ----------
    dtype : {'float32', 'float16', 'bfloat16'}
    devices : list of mx.Context
    instructions : list of str, optional
        Of the CPU, as `cpu_facts` names them; default: of this one.

    Returns
    -------
    list of str
        Remarks: a line if it will be slower than float32.

    Raises
    ------
    InputError
        If they cannot.
    """
    on_cpu = devices[0].device_type == "cpu"
    if dtype == "float16" and on_cpu:
        raise InputError("--float16 1: MXNet has no float16 matrix product on the CPU; leave it out, or run on a GPU")
    if dtype != "bfloat16":
        return []
    if not on_cpu:
        raise InputError(
            "--dtype bfloat16: MXNet computes in it on the CPU only; give --float16 1 instead, or --num-gpus 0"
        )
    instructions = cpu_facts()[1] if instructions is None else instructions
    if instructions and "avx512f" not in instructions:
        raise InputError(
            "--dtype bfloat16: oneDNN has it for CPUs with AVX-512 only, and this one has "
            f"{' and '.join(instructions)}; give --dtype float32"
        )
    if instructions and not any("bf16" in name for name in instructions):
        return ["this CPU has no bfloat16 instructions: it is emulated, and slower than --dtype float32"]
    return []


def wait_for_running_statistics():
    """Wait for the steps under way: to be called before batch normalisation's running statistics are read.

    MXNet 1.9.1 writes them in the backward pass and does not tell its engine, which would let a reader in
    before the last step is done.
    """
    mx.nd.waitall()


def average_running_statistics(net):
    """Give batch normalisation the mean of its running statistics over the devices, on each of them.

    Each device gathers those of its own part of the batches; a network must be one network when it is
    measured and saved. Those that are one already stay as they are: the mean of equal numbers is not always the same.
    """
    wait_for_running_statistics()
    for parameter in net.collect_params().values():
        if parameter.grad_req == "null" and len(parameter.list_ctx()) > 1:
            first, *others = (data.asnumpy() for data in parameter.list_data())
            if any((other != first).any() for other in others):
                parameter.set_data(mx.nd.array(sum(others, first) / (1 + len(others)), dtype=first.dtype))


def split_batch(images, labels, devices, dtype="float32"):
    """Put the parts of a batch on the devices, as even as they come.

    Parameters
    ----------
    images : array (N, C, H, W)
    labels : array (N,) or (N, classes)
    devices : list of mx.Context
    dtype : str
        Of the images on the devices.

    Returns
    -------
    list of (images, labels)
        One pair of NDArrays per device; fewer where N is smaller than their number.
    """
    devices = devices[: len(images)]
    parts = (
        mx.gluon.utils.split_and_load(part, devices, even_split=False)
        for part in (mx.nd.array(images, dtype=dtype), mx.nd.array(labels, dtype=labels.dtype))
    )
    return list(zip(*parts))


def device_of(net):
    """The first device of a network."""
    return next(iter(net.collect_params().values())).list_ctx()[0]
