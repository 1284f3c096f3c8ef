"""Fine-tuning: to train on from the parameters of a trained network, on its own data set or another."""

import numpy as np

from ..models import parameters, pretrained
from ..models.spec import NetworkSpec
from ..system.errors import InputError


class InitialWeights:
    """Parameters of a trained network that a run starts from, in place of random ones.

    Parameters
    ----------
    path : str
        A parameter file, or the name of one that comes with the package; the description beside it says what it is of.
    network : dict
        Arguments that the run's network is built with; its classes may be others.

    Attributes
    ----------
    sha256 : str
        Of the file.

    Raises
    ------
    InputError
        If the file is missing, damaged or has no description, or is of a network of another kind.
    """

    def __init__(self, path, network):
        try:
            self._path, self._description = pretrained.describe_file(path)
            theirs = NetworkSpec.from_dict(self._description["network"])
            ours = NetworkSpec.from_dict(dict(network, classes=theirs.classes))
            for name in sorted(theirs.to_dict()):
                if getattr(theirs, name) != getattr(ours, name):
                    raise InputError(
                        f"{self._path} is of a network with `{name}={getattr(theirs, name)}`, this run's has "
                        f"{getattr(ours, name)}"
                    )
        except InputError as error:
            raise InputError(f"--params: {error}") from error
        self.sha256 = self._description["sha256"]

    def load_into(self, net, dataset, classes, devices):
        """Give an initialised network on the devices the parameters.

        The last layer keeps its own where the trained network had another data set or other classes.

        Returns
        -------
        str
            What was done, for the log.

        Raises
        ------
        InputError
            If they do not fit, or are not finite in the network's type.
        """
        theirs = (self._description["dataset"], self._description["network"]["classes"])
        head = theirs == (dataset, classes)
        try:
            parameters.load_parameters(net, self._path, devices, head)
            if not parameters.all_finite(net):
                raise InputError(
                    f"{self._path}: not all of them are finite numbers{'; float16 ends at 65504: leave --float16 1 out' * (np.dtype(net.output.weight.dtype) == np.float16)}"
                )
        except InputError as error:
            raise InputError(f"--params: {error}") from error
        return f"starts from {self._path}{('' if head else ', trained on %s with %d classes: the last layer is initialised anew' % theirs)}"
