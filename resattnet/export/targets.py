"""The table of export formats. Nothing here imports MXNet: each row names the module that does the work."""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import Dict, NamedTuple


class Target(NamedTuple):
    """A format that trained parameters can be exported to.

    Attributes
    ----------
    module : str
        Module of this package. It has ``export(source, output, tolerance)``, which takes a `sources.Source`, the path
        or prefix of the files and the tolerance of this row, writes the files by `comparison.write_checked` and
        returns a `comparison.Export`.
    suffix : str
        Follows the name of the parameter file, without its ending, in the default output. A suffix with a dot ends in
        the ending of the one file that is written; otherwise the output is the beginning of several names.
    tolerance : float
        Largest allowed difference between the logits of the written files and those of the network that was written.
        It is absolute up to a largest logit of 1 and relative to the largest logit above that.
    """

    module: str
    suffix: str
    tolerance: float

    @property
    def ending(self) -> str:
        """Ending of the name of the one file; '' where the output is the beginning of several names."""
        return os.path.splitext("name" + self.suffix)[1]

    def load(self) -> ModuleType:
        """Import the module of this target."""
        return importlib.import_module(f"{__package__}.{self.module}")


TARGETS: Dict[str, Target] = {
    "onnx": Target("onnx", ".onnx", 1e-4),
    "symbol": Target("symbol", "", 1e-4),
    "int8": Target("int8", "-int8", 1e-4),  # between the INT8 network in memory and in the files
    # float16 rounds each weight by a relative error of 5e-4, and the errors accumulate over the layers.
    "float16": Target("float16", "-float16", 0.05),
    "int8-onnx": Target("int8_onnx", "-int8.onnx", 1e-4),  # between the INT8 model in memory and in the file
    "torch": Target("torch_weights", ".safetensors", 1e-4),
}
