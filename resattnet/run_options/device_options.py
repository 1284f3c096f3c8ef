"""The options of a training run that say where and in what it computes: `TrainingDeviceOptions`."""

from __future__ import annotations

from dataclasses import dataclass

from ..distributed.engines import COMPRESSIONS, KVSTORES
from ..distributed.exchange import Exchange
from ..options.fields import option, redefine
from ..options.groups import DeviceOptions


@dataclass(frozen=True)
class TrainingDeviceOptions(DeviceOptions):
    """Devices, batches and the type to compute in."""

    workers: int = redefine(
        DeviceOptions,
        "workers",
        0,
        help="processes that make batches; 0: the training process makes them; with --loader dali: threads of DALI",
    )
    dtype: str = option(
        "float32",
        "type that the network computes in during training; bfloat16: with float32 weights, only on CPUs with AVX-512; "
        "float16: as --float16 1",
        choices=("float32", "bfloat16", "float16"),
    )
    float16: bool = option(False, "1: compute in float16, with float32 master weights; only on GPUs")
    sync_bn: bool = option(
        False,
        "1: with several devices, batch normalisation takes the statistics of the batch on all devices of the process, "
        "not of the part on its own; slower, for few images per device",
    )
    kvstore: str = option(
        "none",
        "train in several processes, which the command launch starts on this machine or several; --batch-size is that "
        "of each device of each process; dist_sync, dist_device_sync, dist_async: MXNet's parameter servers; horovod; "
        "byteps",
        choices=("none", *KVSTORES),
    )
    compress_gradients: str = option(
        "none",
        "send gradients between processes as fewer bits; 2bit (dist_sync, dist_device_sync): as -t, 0 or t, and the "
        "rest with the next gradient; fp16 (horovod): as float16",
        choices=("none", *COMPRESSIONS),
    )
    compression_threshold: float = option(
        Exchange().threshold,
        "t of --compress-gradients 2bit, compared with the sum of the gradients of a process's batch",
        above=0,
        low=1e-6,
        high=1e6,
        why_low="float32 gradients have no smaller differences",
        why_high="no gradient is as large",
    )

    @property
    def exchange(self) -> Exchange:
        """How the processes of the run exchange gradients."""
        return Exchange(self.kvstore, self.compress_gradients, self.compression_threshold)
