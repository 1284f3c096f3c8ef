"""Which devices a run uses, and what they can compute in."""
from ._mxnet import gpus, mx
from .errors import InputError


def choose_devices(num_gpus=None):
    """The devices of a run: all GPUs that MXNet can use, else the CPU.

    Parameters
    ----------
    num_gpus : int or None
        Demands so many GPUs; 0 demands the CPU.

    Returns
    -------
    devices : list of mx.Context
    remarks : list of str
        With a CUDA build of MXNet, and unless the CPU is demanded: a line for each GPU that it cannot use.

    Raises
    ------
    InputError
        If more GPUs are demanded than can be used.
    """
    if num_gpus == 0:
        return [mx.cpu()], []
    usable, reasons = gpus()
    if num_gpus is None:
        remarks = list(reasons) if mx.runtime.Features().is_enabled("CUDA") else []
        return [mx.gpu(index) for index in usable] or [mx.cpu()], remarks
    if num_gpus > len(usable):
        raise InputError("--num-gpus %d: MXNet can use %d here%s; give --num-gpus %d, or none to use what there is"
                         % (num_gpus, len(usable), "".join(" (%s)" % reason for reason in reasons), len(usable)))
    return [mx.gpu(index) for index in usable[:num_gpus]], []


def compute_type(float16, devices):
    """The type the network computes in: 'float32', or 'float16' where it is asked for on GPUs.

    Raises
    ------
    InputError
        If float16 is asked for on the CPU.
    """
    if float16 and devices[0].device_type == "cpu":
        raise InputError("--float16 1: MXNet has no float16 matrix product on the CPU; leave it out, or run on a GPU")
    return "float16" if float16 else "float32"


def settle_running_statistics():
    """Wait for the steps under way: to be called before batch normalisation's running statistics are read.

    MXNet 1.9.1 writes them in the backward pass and does not tell its engine, which would let a reader in
    before the last step is done.
    """
    mx.nd.waitall()


def average_running_statistics(net):
    """Give batch normalisation the mean of its running statistics over the devices, on each of them.

    Each device gathers those of its own part of the batches; a network must be one network when it is
    measured and saved.
    """
    settle_running_statistics()
    for parameter in net.collect_params().values():
        if parameter.grad_req == "null" and len(parameter.list_ctx()) > 1:
            parameter.set_data(sum(data.as_in_context(mx.cpu()) for data in parameter.list_data())
                               / len(parameter.list_ctx()))
