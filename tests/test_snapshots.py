"""The arrays of a state: back on the devices that they came from."""
import numpy as np

from resattnet import snapshots
from resattnet._mxnet import mx


def test_running_statistics_go_back_to_their_devices():
    """Of twelve devices, whose numbers are not in the order of the letters."""
    devices, nets, trainers = [mx.cpu(index) for index in range(12)], [], []
    for _ in range(2):
        net = mx.gluon.nn.BatchNorm(in_channels=2)
        net.initialize(ctx=devices)
        nets.append(net)
        trainers.append(mx.gluon.Trainer([net.gamma, net.beta], "nag", dict(learning_rate=0.1, momentum=0.9)))
    for index, data in enumerate(nets[0].running_mean.list_data()):
        data[:] = index
    snapshots.restore_arrays(snapshots.state_arrays(nets[0], trainers[0]), nets[1], trainers[1], 0)
    for index, data in enumerate(nets[1].running_mean.list_data()):
        assert (data.asnumpy() == np.full(2, index)).all()
