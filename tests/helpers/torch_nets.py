"""Make networks in PyTorch that are twins of Gluon networks."""

import numpy as np
import pytest

from resattnet.models import spec


def import_torch():
    """Return PyTorch; skip the test where it or safetensors is not installed."""
    reason = "PyTorch is not installed: pip install -e '.[torch]'"
    pytest.importorskip("safetensors", reason=reason)
    torch = pytest.importorskip("torch", reason=reason)
    torch.set_num_threads(1)
    return torch


def use_few_channels(monkeypatch):
    """Give the networks of tiny widths fewer channels."""
    monkeypatch.setitem(spec.CIFAR_WIDTHS, "tiny", spec.Widths(8, (16, 16, 24), 32))
    monkeypatch.setitem(spec.IMAGENET_WIDTHS, "tiny", spec.Widths(8, (16, 16, 24), 32))


def use_few_modules(monkeypatch):
    """Give networks of depth 56 one attention module, of few units, in place of three."""
    monkeypatch.setitem(spec.attention_net_spec, 56, spec.Spec(1, 1, 1, (0, 0, 1)))


def twin(net):
    """Return the network in PyTorch with the specification and the arrays of a Gluon network, in evaluation mode."""
    from resattnet.torch.names import gluon_arrays
    from resattnet.torch.network import build
    from resattnet.torch.network_file import load_arrays

    return load_arrays(build(net.spec), gluon_arrays(net)).eval()


def noise(*shape):
    """Return normally distributed float32 numbers, the same at each call."""
    return np.random.default_rng(2).normal(size=shape).astype(np.float32)
