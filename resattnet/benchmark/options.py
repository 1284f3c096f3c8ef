"""The options of a measurement of speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ..datasets.catalog import DATASETS
from ..datasets.options import DataDirOptions
from ..models.options import NetworkSizeOptions
from ..options.fields import option, redefine, resolve_output
from ..options.groups import BatchOptions
from ..options.rules import Conflict, Need, When

BENCHMARK_PARTS = ("train", "inference", "latency", "input", "epoch")


@dataclass(frozen=True)
class BenchmarkOptions(BatchOptions, NetworkSizeOptions, DataDirOptions):
    """Options of a measurement of speed; each is the flag of the same name of the command `benchmark`."""

    heading = "measurement"

    batch_size: int = redefine(BatchOptions, "batch_size", BatchOptions.batch_size, help="images per batch")
    steps: int = option(
        4,
        "steps of one turn; the epoch of the part `epoch` has as many batches",
        low=1,
        high=10_000,
        why_high="more take days",
    )
    repeats: int = option(
        5, "turns of each contender, after two that are not counted", low=1, high=1000, why_high="more take days"
    )
    dataset: str = option("digits", "data set that the parts `input` and `epoch` read", choices=tuple(DATASETS))
    json: Optional[str] = option(None, "file for the figures and all their conditions")
    dtype: str = option(
        "float32",
        "type that the part `epoch`, --profile and --cost compute in; the part `train` measures both types",
        choices=("float32", "bfloat16"),
    )
    profile: bool = option(False, "1: also report which operators take the time of our training step")
    cost: Optional[str] = option(
        None,
        "instead of the parts, measure what training costs by batch, depth and number of processes, in --repeats steps "
        "each, and write it to COST.csv and COST.png; this takes long",
    )
    scaling: Optional[str] = option(
        None,
        "instead of the parts, measure training steps in 1 to 4 processes on this machine, predict those of 8, 64 and "
        "512 devices on ImageNet by depth and bandwidth, and write both to SCALING-measured.csv and "
        "SCALING-predicted.csv",
    )
    start: bool = option(
        False,
        "1: instead of the parts, measure what predict takes for one photograph in a new process, by each runtime, in "
        "--repeats rounds",
    )
    device_teraflops: float = option(
        10.0,
        "with --scaling: 10^12 operations that each of the devices does in a second of training",
        above=0,
        low=1e-3,
        high=1e6,
        why_low="no device is slower",
        why_high="no device is faster",
    )

    rules = (
        Conflict(
            When("cost"),
            When("json"),
            When("profile"),
            reason="it measures instead of the parts, which `json` and `profile` report on",
            advice="leave those out",
        ),
        Conflict(
            When("scaling"),
            When("cost"),
            When("json"),
            When("profile"),
            reason="it measures instead of the parts",
            advice="leave the others out",
        ),
        Conflict(
            When("start"),
            When("cost"),
            When("scaling"),
            When("json"),
            When("profile"),
            reason="it measures instead of the parts",
            advice="leave the others out",
        ),
        Need(When("device_teraflops"), When("scaling")),
        Conflict(When("cost"), When("unit"), reason="it measures networks of bottleneck units"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.json is not None:
            resolve_output(self, "json")
        if self.cost is not None:
            resolve_output(self, "cost", must_be_file=False)
        if self.scaling is not None:
            resolve_output(self, "scaling", must_be_file=False)
