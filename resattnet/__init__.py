"""Residual Attention Network (arXiv 1704.06904) for Apache MXNet Gluon.

The public names are loaded at first use, so that `import resattnet` and every command's `--help` answer at once, also
where MXNet is missing.
"""

from __future__ import annotations

import importlib
from typing import Any, List

__version__ = "0.1.0"

_MODULE_OF = {
    "AttentionNet": "models.network",
    "Classifier": "prediction.classifier",
    "NetworkSpec": "models.spec",
    "attention_net_spec": "models.spec",
    "attention_net56": "zoo.builders",
    "attention_net92": "zoo.builders",
    "attention_net128": "zoo.builders",
    "attention_net164": "zoo.builders",
    "attention_net236": "zoo.builders",
    "attention_net452": "zoo.builders",
    "build": "models.network",
    "export_onnx": "export.onnx",
    "get_attention_cifar": "zoo.builders",
    "get_attention_net": "zoo.builders",
    "soft_masks": "prediction.masks",
    "trunk_depth": "models.spec",
    "InputError": "system.errors",
}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'resattnet' has no attribute {name!r}")
    value = getattr(importlib.import_module("resattnet." + _MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(__all__))
