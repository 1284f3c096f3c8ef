"""Options of a measurement of speed."""

from dataclasses import dataclass
from typing import Optional

from ..data.datasets import DATASETS
from ..models.spec import CIFAR_WIDTHS, attention_net_spec
from ..system.errors import InputError
from ..system.options import Options, option, resolve_output

BENCHMARK_PARTS = ("train", "inference", "input", "epoch")


@dataclass(frozen=True)
class BenchmarkOptions(Options):
    """Arguments of a measurement of speed; each is the flag of the same name of `scripts/benchmark.py`."""

    num_layers: int = option(56, "depth of the network", choices=tuple(attention_net_spec))
    widths: str = option("full", "widths of the network", choices=tuple(CIFAR_WIDTHS))
    batch_size: int = option(64, "images of a batch", low=1, short="-b")
    steps: int = option(4, "steps of one turn; for `epoch` that many batches are the epoch", low=1)
    repeats: int = option(5, "turns of each contender, after two that are not counted", low=1)
    dataset: str = option("digits", "what `input` and `epoch` read", choices=tuple(DATASETS))
    data_dir: str = option("data", "where the data sets are, and are downloaded to")
    json: Optional[str] = option(None, "file for the figures and all their conditions")
    dtype: str = option(
        "float32", "what `epoch`, --profile and --cost compute in; `train` has both", choices=("float32", "bfloat16")
    )
    profile: bool = option(False, "1 also says which operators take the time of our training step")
    cost: Optional[str] = option(
        None,
        "measure instead what training costs by batch, depth and processes, --repeats "
        "steps each, and write it to COST.csv and COST.png; takes long",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.json is not None:
            resolve_output(self, "json")
        if self.cost is not None:
            resolve_output(self, "cost", a_folder_is_none=False)
            if self.json is not None or self.profile:
                raise InputError(
                    f"--cost {self.cost}: it measures instead of what --json and --profile 1 are of; leave these out"
                )
