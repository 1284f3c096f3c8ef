"""Residual Attention Network (arXiv 1704.06904) for Apache MXNet Gluon.

The public names are loaded at first use, so that `import resattnet` and every script's `--help`
answer at once, also where MXNet is missing.
"""
import importlib

__version__ = "0.1.0"

_MODULE_OF = {
    "AttentionNet": "network",
    "Classifier": "classifier",
    "attention_net_spec": "specs",
    "attention_net56": "network",
    "attention_net92": "network",
    "attention_net128": "network",
    "attention_net164": "network",
    "attention_net236": "network",
    "attention_net452": "network",
    "export_onnx": "export",
    "get_attention_cifar": "network",
    "get_attention_net": "network",
    "soft_masks": "masks",
    "trunk_depth": "specs",
    "InputError": "system.errors",
}
__all__ = sorted(_MODULE_OF)


def __getattr__(name):
    if name not in _MODULE_OF:
        raise AttributeError("module 'resattnet' has no attribute %r" % name)
    value = getattr(importlib.import_module("resattnet." + _MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(__all__))
