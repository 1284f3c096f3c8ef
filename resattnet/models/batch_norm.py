"""Batch normalisation, on each device by itself or by the statistics of the batch on all devices: `BatchNorm`.

MXNet's own operator for the latter, `contrib.SyncBatchNorm`, gives all devices the same weight, whatever their number
of images, and waits for ever for a device that has none.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import deque
from typing import Any, Deque, Dict, List, MutableMapping, Optional, Sequence, Tuple

import numpy as np

from ..machine.mxnet import mx

_OPERATOR = "resattnet_combine_statistics"
_PATIENCE = 600.0  # seconds for which a device waits for the others
_KEPT = 64  # steps whose sizes are remembered


class BatchNorm(mx.gluon.nn.BatchNorm):
    """Gluon's batch normalisation, which `synchronise` can have normalise by the batch on all devices.

    Attributes
    ----------
    devices : SynchronisedDevices or None
    """

    devices: Optional[SynchronisedDevices] = None
    _type = _wide_type = "float32"

    def hybrid_forward(self, F: Any, x: Any, gamma: Any, beta: Any, running_mean: Any, running_var: Any) -> Any:
        """Return an array (N, C, H, W) normalised, of the same type."""
        if self.devices is None:
            return super().hybrid_forward(F, x, gamma, beta, running_mean, running_var)
        wide = F.cast(x, dtype=self._wide_type)
        means = _image_means(F, wide)
        mean = F.mean(means, axis=0, keepdims=True)
        # The derivative of the variance by the mean is zero.
        var = F.mean(_image_means(F, F.square(F.broadcast_sub(wide, F.BlockGrad(mean)))), axis=0)
        both = F.Custom(
            mean.reshape((-1,)),
            var.reshape((-1,)),
            running_mean,
            running_var,
            op_type=_OPERATOR,
            devices=self.devices.number,
            layer=self.name,
            momentum=self._kwargs["momentum"],
        )
        mean, var = (F.slice_axis(both, axis=0, begin=row, end=row + 1).reshape((1, -1, 1, 1)) for row in (0, 1))
        scale = F.rsqrt(var + self._kwargs["eps"]) * gamma.reshape((1, -1, 1, 1))
        shift = beta.reshape((1, -1, 1, 1)) - mean * scale
        # A gradient of a row for each image is summed much faster than that of one row for all.
        scale, shift = (F.broadcast_add(F.zeros_like(means), row) for row in (scale, shift))
        return F.cast(F.broadcast_add(F.broadcast_mul(wide, scale), shift), dtype=self._type)

    def cast(self, dtype: Any) -> None:
        """Change the type of the output. Parameters and statistics are float32 where it is float16."""
        super().cast(dtype)
        self._type = np.dtype(dtype).name
        self._wide_type = "float32" if self._type == "float16" else self._type


def _image_means(F: Any, x: Any) -> Any:
    """Return the mean of each channel of each image, (N, C, 1, 1). The pooling is much faster than `F.mean`."""
    return F.Pooling(x, kernel=(1, 1), global_pool=True, pool_type="avg")


def synchronise(net: Any, devices: Sequence[Any]) -> SynchronisedDevices:
    """Have the layers of a network normalise by the batch on all devices, in training.

    Layers with fixed statistics stay as they are.

    Parameters
    ----------
    net : HybridBlock
        Not computed yet. It is trained on all of the devices together. On CPU devices, `cores.separate_scratch` has
        been called.
    devices : sequence of mx.Context

    Returns
    -------
    SynchronisedDevices
        Its `begin` is called before each forward pass.
    """
    found = SynchronisedDevices(devices)

    def apply(block: Any) -> None:
        if isinstance(block, BatchNorm) and not block._kwargs["use_global_stats"]:
            block.devices = found

    net.apply(apply)
    return found


class SynchronisedDevices:
    """The devices on which a network is trained, as its layers meet there.

    Parameters
    ----------
    devices : sequence of mx.Context

    Attributes
    ----------
    number : int
        By which the operators of the layers find this object.
    """

    _numbers = itertools.count()
    _all: MutableMapping[int, SynchronisedDevices] = weakref.WeakValueDictionary()

    def __init__(self, devices: Sequence[Any]) -> None:
        self.number = next(self._numbers)
        self._all[self.number] = self
        self._places = {str(device): place for place, device in enumerate(devices)}
        self._steps: Deque[Tuple[int, List[int]]] = deque(maxlen=_KEPT)
        self._begun = 0
        self._done: Dict[Tuple[str, int], int] = {}  # the last step by layer and place
        self._arrived: Dict[Tuple[str, str, int], Dict[int, np.ndarray]] = {}
        self._left: Dict[Tuple[str, str, int], int] = {}
        self._change = threading.Condition()

    @classmethod
    def find(cls, number: int) -> SynchronisedDevices:
        """Return the object with a number."""
        return cls._all[number]

    def place(self, device: Any) -> int:
        """Return the place of a device among the devices."""
        return self._places[str(device)]

    def begin(self, sizes: Sequence[int]) -> None:
        """Note how many images the first devices get in the next forward pass; the others get none."""
        with self._change:
            self._steps.append((self._begun, list(sizes)))
            self._begun += 1

    def next_step(self, layer: str, place: int) -> Tuple[int, List[int]]:
        """Return the number and the sizes of the next forward pass in which a layer at a place has images."""
        with self._change:
            done = self._done.get((layer, place), -1)
            found = next((number, sizes) for number, sizes in self._steps if number > done and place < len(sizes))
            self._done[layer, place] = found[0]
            return found

    def gather(self, layer: str, phase: str, step: int, place: int, count: int, own: np.ndarray) -> List[np.ndarray]:
        """Return the arrays that a layer has on the first `count` devices, once all of them have called this.

        Raises
        ------
        RuntimeError
            If a device does not come.
        """
        key = (layer, phase, step)
        with self._change:
            arrived = self._arrived.setdefault(key, {})
            arrived[place] = own
            self._change.notify_all()
            if not self._change.wait_for(lambda: len(arrived) == count, _PATIENCE):
                raise RuntimeError(
                    f"{layer}: {len(arrived)} of {count} devices have come to step {step} in {_PATIENCE:.0f} s; CPU "
                    "devices wait for each other's memory unless `separate_scratch` is called before MXNet computes"
                )
            self._left[key] = self._left.get(key, 0) + 1
            if self._left[key] == count:
                del self._arrived[key], self._left[key]
        return [arrived[each] for each in range(count)]


class _Combine(mx.operator.CustomOp):
    """Combine the statistics of a layer on all devices; also update the running statistics.

    With n images of N on a device, whose mean is m and whose variance is v, the mean is M = sum(n m) / N and the
    variance sum(n (v + (m - M)^2)) / N.
    """

    def __init__(self, devices: SynchronisedDevices, layer: str, momentum: float, device: Any) -> None:
        super().__init__()
        self._devices, self._layer, self._momentum, self._device = devices, layer, momentum, device
        self._place = devices.place(device)
        self._step, self._sizes = -1, [1]

    def forward(self, is_train: bool, req: Any, in_data: Any, out_data: Any, aux: Any) -> None:
        if not is_train:
            self._assign(out_data[0], req[0], np.stack([running.asnumpy() for running in aux]))
            return
        self._step, self._sizes = self._devices.next_step(self._layer, self._place)
        means, variances = self._gather("forward", [array.asnumpy() for array in in_data])
        share = self._shares
        mean = share @ means
        variance = share @ (variances + (means - mean) ** 2)
        self._offset = means[self._place] - mean
        self._assign(out_data[0], req[0], np.stack([mean, variance]))
        for running, new in zip(aux, (mean, variance)):
            kept = self._momentum * running.asnumpy()
            self._assign(running, "write", kept + (1 - self._momentum) * new)

    def backward(self, req: Any, out_grad: Any, in_data: Any, out_data: Any, in_grad: Any, aux: Any) -> None:
        of_mean, of_variance = (rows.sum(axis=0) for rows in self._gather("backward", out_grad[0].asnumpy()))
        own = self._shares[self._place]
        self._assign(in_grad[0], req[0], own * (of_mean + 2 * self._offset * of_variance))
        self._assign(in_grad[1], req[1], own * of_variance)

    @property
    def _shares(self) -> np.ndarray:
        return np.array(self._sizes) / sum(self._sizes)

    def _gather(self, phase: str, rows: Any) -> Any:
        """Return two rows as they are on all devices: two arrays (devices, C)."""
        own = np.asarray(rows)
        found = self._devices.gather(self._layer, phase, self._step, self._place, len(self._sizes), own)
        return np.stack(found, axis=1)

    def _assign(self, target: Any, req: Any, value: np.ndarray) -> None:
        self.assign(target, req, mx.nd.array(value, ctx=self._device, dtype=target.dtype))


@mx.operator.register(_OPERATOR)
class _CombineProp(mx.operator.CustomOpProp):
    """The operator `_Combine`: (mean, var), each (C,), to (2, C)."""

    def __init__(self, devices: str, layer: str, momentum: str) -> None:
        super().__init__(need_top_grad=True)
        self._devices, self._layer, self._momentum = SynchronisedDevices.find(int(devices)), layer, float(momentum)

    def list_arguments(self) -> List[str]:
        return ["mean", "var"]

    def list_outputs(self) -> List[str]:
        return ["output"]

    def list_auxiliary_states(self) -> List[str]:
        return ["running_mean", "running_var"]

    def infer_shape(self, in_shape: Any) -> Any:
        return in_shape, [[2, *in_shape[0]]], [in_shape[0], in_shape[0]]

    def create_operator(self, ctx: Any, in_shapes: Any, in_dtypes: Any) -> _Combine:
        return _Combine(self._devices, self._layer, self._momentum, ctx)
