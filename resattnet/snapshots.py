"""The arrays of a run's state: out of a network and its optimizer, and back into them."""
import numpy as np

from ._mxnet import mx
from .devices import settle_running_statistics


def state_arrays(net, trainer):
    """Parameters, running statistics of each device and optimizer state, as NumPy arrays by name."""
    settle_running_statistics()
    arrays = {}
    for name, parameter in net._collect_params_with_prefix().items():
        learned = parameter.grad_req != "null"
        for device, data in enumerate(parameter.list_data()[:1] if learned else parameter.list_data()):
            arrays["parameter/%s/%d" % (name, device)] = data.asnumpy()
        # The updaters of all devices hold the same values: each device applies the same summed gradients.
        states = trainer._updaters[0].states.get(trainer._param2idx[parameter.name]) if learned else None
        for part, state in enumerate(_flat(states)):
            arrays["optimizer/%s/%d" % (name, part)] = state.asnumpy()
    return arrays


def _flat(state):
    if state is None:
        return []
    if isinstance(state, (tuple, list)):
        return [array for part in state for array in _flat(part)]
    return [state]


def restore_arrays(arrays, net, trainer, step):
    """Put back what `state_arrays` gave, onto any number of devices, with the optimizer at `step`."""
    for name, parameter in net._collect_params_with_prefix().items():
        copies = []
        while "parameter/%s/%d" % (name, len(copies)) in arrays:
            copies.append(arrays["parameter/%s/%d" % (name, len(copies))])
        targets = parameter.list_data()
        if len(copies) not in (1, len(targets)):
            copies = [np.mean(copies, axis=0)]
        for device, target in enumerate(targets):
            target[:] = mx.nd.array(copies[device % len(copies)], ctx=target.context, dtype=target.dtype)
        if "optimizer/%s/0" % name not in arrays:  # running statistics; and all, before the first step
            continue
        index = trainer._param2idx[parameter.name]
        for updater, target in zip(trainer._updaters, targets):
            updater.states[index] = trainer._optimizer.create_state_multi_precision(index, target)
            updater.states_synced[index] = True
            for part, state in enumerate(_flat(updater.states[index])):
                value = arrays["optimizer/%s/%d" % (name, part)]
                state[:] = mx.nd.array(value, ctx=state.context, dtype=state.dtype)
    trainer._optimizer.begin_num_update = trainer._optimizer.num_update = step
