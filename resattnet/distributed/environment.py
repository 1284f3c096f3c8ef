"""What the launchers of several processes say in the environment: ranks and numbers of processes."""

from __future__ import annotations

from typing import Mapping, Optional, Sequence

RANKS = ("DMLC_WORKER_ID", "HOROVOD_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
SIZES = ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE")
LOCAL_RANKS = (
    "RESATTNET_LOCAL_RANK",
    "HOROVOD_LOCAL_RANK",
    "BYTEPS_LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "SLURM_LOCALID",
)
LOCAL_SIZES = (
    "RESATTNET_LOCAL_SIZE",
    "HOROVOD_LOCAL_SIZE",
    "BYTEPS_LOCAL_SIZE",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "MPI_LOCALNRANKS",
)


HANG_TIMEOUT = "RESATTNET_HANG_TIMEOUT"  # set by the launcher, in seconds


def _number(environment: Mapping[str, str], names: Sequence[str]) -> Optional[int]:
    """Return the first of the variables that is a whole number, None if none is."""
    texts = (environment.get(name, "") for name in names)
    return next((int(text) for text in texts if text.isdigit()), None)


def launched_rank(environment: Mapping[str, str]) -> Optional[int]:
    """Return the rank that a launcher has given this process; None if none has."""
    return _number(environment, RANKS)


def launched_size(environment: Mapping[str, str]) -> int:
    """Return the number of processes that a launcher has started for one run; 1 without a launcher.

    Slurm is not asked: a job of several tasks may well run independent processes.
    """
    if environment.get("DMLC_ROLE") == "worker":
        return _number(environment, ("DMLC_NUM_WORKER",)) or 1
    return _number(environment, SIZES) or 1


def hang_timeout(environment: Mapping[str, str]) -> float:
    """Return the seconds without progress after which a process ends; 0: never."""
    return float(environment.get(HANG_TIMEOUT, "0"))


def local_rank(environment: Mapping[str, str]) -> int:
    """Return the number of this process among those of its run on this machine."""
    return _number(environment, LOCAL_RANKS) or 0


def local_size(environment: Mapping[str, str]) -> int:
    """Return the number of processes of the run on this machine."""
    return max(1, _number(environment, LOCAL_SIZES) or 1)
