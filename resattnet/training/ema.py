"""An exponential moving average of the learned parameters, kept on the device beside them."""

from ..system.mxnet import mx


class MovingAverage:
    """Exponential moving average of a network's learned parameters: float32, on the first of their devices.

    It begins with their values. Batch normalisation's running statistics are not averaged: MXNet writes them
    unannounced, so that reading them would mean to wait for the device at each step (see
    `devices.wait_for_running_statistics`), and their average would be of the networks on the way, not of the averaged
    one, either. Those of the last step are used with it, which are the right ones as the learning rate goes to 0.

    Parameters
    ----------
    net : gluon.Block
        Initialised.
    decay : float
        Between 0 and 1: what is left of the average at each step.
    """

    def __init__(self, net, decay):
        self._decay = decay
        self._parameters = {
            name: parameter
            for name, parameter in net._collect_params_with_prefix().items()
            if parameter.grad_req != "null"
        }
        self._means = {name: self._value(parameter).copy() for name, parameter in self._parameters.items()}

    @staticmethod
    def _value(parameter):
        return parameter.list_data()[0].astype("float32", copy=False)

    def weight(self, step):
        """How much of the new parameters the average takes at a step, counted from 1.

        1 - decay, but 9 / (step + 10) while that is more: what the parameters were at first is soon forgotten.
        """
        return max(1 - self._decay, 9 / (step + 10))

    def update(self, step):
        """Move the average towards the parameters after a step, counted from 1; does not wait for the device."""
        weight = self.weight(step)
        for name, mean in self._means.items():
            # mean (1 - weight) + weight value, in one pass: plain SGD's weight (1 - lr wd) - lr gradient.
            mx.nd.sgd_update(mean, self._value(self._parameters[name]), lr=-weight, wd=-1, out=mean)

    def copy_to(self, net):
        """Give a network of the same layers the averaged parameters; what else it has is left."""
        own = net._collect_params_with_prefix()
        for name, mean in self._means.items():
            own[name].set_data(mean.astype(own[name].dtype, copy=False))

    def state_arrays(self):
        """The average as NumPy arrays by name, for a state."""
        return {"average/" + name: mean.asnumpy() for name, mean in self._means.items()}

    def restore(self, arrays):
        """Put back what `state_arrays` gave."""
        for name, mean in self._means.items():
            mean[:] = arrays["average/" + name]
