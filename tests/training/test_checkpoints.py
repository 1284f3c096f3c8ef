"""Test that the arrays of a state are restored to the devices that the arrays came from."""

import numpy as np
import pytest

from resattnet.machine.mxnet import mx
from resattnet.training import state_arrays


def test_running_statistics_go_back_to_their_devices():
    """Each of twelve devices gets its own running statistics back.

    The numeric order of twelve devices differs from their alphabetical order.
    """
    devices, nets, trainers = [mx.cpu(index) for index in range(12)], [], []
    for _ in range(2):
        net = mx.gluon.nn.BatchNorm(in_channels=2)
        net.initialize(ctx=devices)
        nets.append(net)
        trainers.append(mx.gluon.Trainer([net.gamma, net.beta], "nag", dict(learning_rate=0.1, momentum=0.9)))
    for index, data in enumerate(nets[0].running_mean.list_data()):
        data[:] = index
    state_arrays.restore_arrays(state_arrays.state_arrays(nets[0], trainers[0]), nets[1], trainers[1], 0)
    for index, data in enumerate(nets[1].running_mean.list_data()):
        assert (data.asnumpy() == np.full(2, index)).all()


@pytest.mark.parametrize("before, after", [(0.9, 0.9), (0.9, 0), (0, 0.9), (0, 0)])
def test_master_weights_go_back_whether_there_is_momentum_or_not(before, after):
    """Master weights are restored whether or not the optimizer uses momentum before and after.

    In float16, the state of the optimizer contains both the momentum and the master weights.
    """
    nets, trainers = [], []
    for momentum in (before, after):
        net = mx.gluon.nn.Dense(2, in_units=3)
        net.initialize(mx.init.One())
        net.cast("float16")
        nets.append(net)
        trainers.append(
            mx.gluon.Trainer(
                [net.weight, net.bias], "nag", dict(learning_rate=0.1, momentum=momentum, multi_precision=True)
            )
        )
    # Set the state as a step would leave it, because the CPU has no such step in float16.
    optimizer, updater = trainers[0]._optimizer, trainers[0]._updaters[0]
    for index, parameter in enumerate((nets[0].weight, nets[0].bias)):
        momentum, master = updater.states[index] = optimizer.create_state_multi_precision(index, parameter.data())
        master[:] = 1.0001
        if momentum is not None:
            momentum[:] = 5
    state_arrays.restore_arrays(state_arrays.state_arrays(nets[0], trainers[0]), nets[1], trainers[1], 7)
    for momentum, master in trainers[1]._updaters[0].states.values():
        assert master.dtype == np.float32 and (master.asnumpy() == np.float32(1.0001)).all()
        assert (momentum is None) == (after == 0)
        assert momentum is None or (momentum.asnumpy() == (5 if before else 0)).all()
