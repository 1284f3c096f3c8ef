"""The arrays of a run's state: out of a network and its optimizer, and back into them."""
import numpy as np

from ._mxnet import mx
from .devices import wait_for_running_statistics


def state_arrays(net, trainer):
    """Parameters, running statistics of each device and optimizer state, as NumPy arrays by name."""
    wait_for_running_statistics()
    arrays = {}
    for name, parameter in net._collect_params_with_prefix().items():
        learned = parameter.grad_req != "null"
        for device, data in enumerate(parameter.list_data()[:1] if learned else parameter.list_data()):
            arrays["parameter/%s/%d" % (name, device)] = data.asnumpy()
        # The updaters of all devices hold the same values: each device applies the same summed gradients.
        states = trainer._updaters[0].states.get(trainer._param2idx[parameter.name]) if learned else None
        arrays.update(("optimizer/%s/%d" % (name, part), state.asnumpy()) for part, state in _parts(states))
    return arrays


def _parts(state):
    """The arrays of an optimizer's state, each with its place: momentum 0, master weights 1; either may be absent."""
    parts = state if isinstance(state, (tuple, list)) else [state]
    return [(place, part) for place, part in enumerate(parts) if part is not None]


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
        saved = {place: arrays["optimizer/%s/%d" % (name, place)] for place in (0, 1)
                 if "optimizer/%s/%d" % (name, place) in arrays}
        if not saved:  # running statistics; and all, before the first step
            continue
        index = trainer._param2idx[parameter.name]
        for updater, target in zip(trainer._updaters, targets):
            updater.states[index] = trainer._optimizer.create_state_multi_precision(index, target)
            updater.states_synced[index] = True
            for place, state in _parts(updater.states[index]):
                if place in saved:  # momentum that there was not before begins at zero
                    state[:] = mx.nd.array(saved[place], ctx=state.context, dtype=state.dtype)
    trainer._optimizer.begin_num_update = trainer._optimizer.num_update = step
