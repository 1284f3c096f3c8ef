"""Describe the machine that a run is computed on."""

from __future__ import annotations

import os
import platform
from typing import Any, Dict, List, Sequence, Tuple

from .. import __version__
from .mxnet import mx

_INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # the ones that decide the speed
# The number of these sets that each value of oneDNN's `DNNL_MAX_CPU_ISA` leaves, at least the first.
_ISA_LIMITS = {"SSE41": 1, "AVX": 1, "AVX2": 1, "AVX512_CORE": 2, "AVX512_CORE_VNNI": 2, "AVX512_CORE_BF16": 3}


def cpu_facts(path: str = "/proc/cpuinfo") -> Tuple[str, List[str]]:
    """Return the CPU's model name and its instruction sets.

    Parameters
    ----------
    path : str
        The file in which Linux describes the CPU.

    Returns
    -------
    model : str
    instructions : list of str
        Those of "avx2", "avx512f", "avx512_bf16" and "amx_bf16" that the CPU has. Empty where the system does not
        say.
    """
    facts: Dict[str, str] = {}
    if os.path.exists(path):
        with open(path) as stream:
            for line in stream:
                name, colon, value = line.partition(":")
                if colon:
                    facts[name.strip()] = value.strip()
    flags = facts.get("flags", "").split()
    model = facts.get("model name") or platform.processor() or platform.machine()
    return model, [name for name in _INSTRUCTION_SETS if name in flags]


def usable_instructions() -> List[str]:
    """Return the CPU's instruction sets that oneDNN may use; the variable `DNNL_MAX_CPU_ISA` can exclude some."""
    limit = _ISA_LIMITS.get(os.environ.get("DNNL_MAX_CPU_ISA", "").upper(), len(_INSTRUCTION_SETS))
    return [name for name in cpu_facts()[1] if name in _INSTRUCTION_SETS[:limit]]


def describe_machine(devices: Sequence[Any]) -> str:
    """Return one line that describes what a run is computed with: devices, CPU, threads and versions.

    Parameters
    ----------
    devices : sequence of mx.Context
    """
    kind = devices[0].device_type.upper()
    if len(devices) > 1:
        where = f"{len(devices)} {kind} devices"
    else:
        where = "1 GPU" if kind == "GPU" else kind
    threads = os.environ.get("OMP_NUM_THREADS", "?")
    threads += " thread" if threads == "1" else " threads"
    if len(devices) > 1 and kind == "CPU":
        threads += " each"
    versions = f"Python {platform.python_version()}, MXNet {mx.__version__}, resattnet {__version__}"
    return f"{where} ({cpu_facts()[0]}, {threads}), {versions}"
