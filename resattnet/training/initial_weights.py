"""Fine-tune: start a run from the parameters of a trained network, on the same data set or another one."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np

from ..models import parameters, pretrained
from ..models.spec import NetworkSpec
from ..system.errors import InputError


class InitialWeights:
    """Parameters of a trained network that a run starts from in place of random ones.

    Parameters
    ----------
    path : str
        A parameter file, or the name of packaged parameters. The description beside the file specifies the network.
    network : mapping of str to value
        `NetworkSpec` fields of the run's network. Its number of classes may differ from the trained network's.

    Attributes
    ----------
    sha256 : str
        Digest of the parameter file.

    Raises
    ------
    InputError
        If the file is missing, damaged or has no description, or its network differs in more than the
        number of classes.
    """

    def __init__(self, path: str, network: Mapping[str, Any]) -> None:
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
            raise InputError(f"`params`: {error}") from error
        self.sha256 = self._description["sha256"]

    def load_into(self, net: Any, dataset: str, classes: int, devices: Sequence[Any]) -> str:
        """Load the parameters into an initialised network on the devices.

        The last layer keeps its initial parameters if the trained network had another data set or other classes.

        Returns
        -------
        str
            What was done, for the log.

        Raises
        ------
        InputError
            If the parameters do not fit, or are not finite in the network's type.
        """
        theirs = (self._description["dataset"], self._description["network"]["classes"])
        with_last_layer = theirs == (dataset, classes)
        try:
            parameters.load_parameters(net, self._path, devices, with_last_layer)
            if not parameters.all_finite(net):
                way_out = ""
                if np.dtype(net.output.weight.dtype) == np.float16:
                    way_out = "; float16 ends at 65504: leave `float16=True` out"
                raise InputError(f"{self._path}: not all of them are finite numbers{way_out}")
        except InputError as error:
            raise InputError(f"`params`: {error}") from error
        if with_last_layer:
            return f"starts from {self._path}"
        return (
            f"starts from {self._path}, trained on {theirs[0]} with {theirs[1]} classes: the last layer is newly "
            "initialised"
        )
