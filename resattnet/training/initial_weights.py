"""Fine-tune: start a run from the parameters of a trained network, on the same data set or another one."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

import numpy as np

from ..data.facts import DataFacts, facts_of
from ..datasets.catalog import DATASETS, describe_data
from ..models.spec import NetworkSpec
from ..system.errors import InputError
from ..zoo import parameters, pretrained


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
            trained = NetworkSpec.from_dict(self._description["network"])
            wanted = NetworkSpec.from_dict(dict(network, classes=trained.classes))
            for name in sorted(trained.to_dict()):
                if getattr(trained, name) != getattr(wanted, name):
                    raise InputError(
                        f"{self._path} belongs to a network with `{name}={getattr(trained, name)}`, this run's has "
                        f"{getattr(wanted, name)}"
                    )
        except InputError as error:
            raise InputError(f"`params`: {error}") from error
        self.sha256 = self._description["sha256"]

    def load_into(self, net: Any, dataset: str, facts: DataFacts, devices: Sequence[Any]) -> str:
        """Load the parameters into an initialised network on the devices.

        The last layer keeps its initial parameters if the trained network's data set has another name or other classes.

        Returns
        -------
        str
            What was done, for the log.

        Raises
        ------
        InputError
            If the parameters do not fit, or are not finite in the network's type.
        """
        source = (self._description["dataset"], self._description["network"]["classes"])
        try:
            trained_on = facts_of(self._path, self._description)
            known = trained_on if trained_on and source[0] == dataset else facts
            with_last_layer = source == (dataset, len(facts.classes)) and known.classes == facts.classes
            parameters.load_parameters(net, self._path, devices, with_last_layer)
            if not parameters.all_finite(net):
                advice = ""
                if np.dtype(net.output.weight.dtype) == np.float16:
                    advice = "; the largest float16 number is 65504: leave `float16=True` out"
                raise InputError(f"{self._path}: not all parameters are finite numbers{advice}")
        except InputError as error:
            raise InputError(f"`params`: {error}") from error
        words = f"starts from {self._path}"
        if not with_last_layer:
            words += f", trained on {source[0]} with {source[1]} classes: the last layer is newly initialised"
            if known is facts:
                words += _other_size(trained_on or _facts_by_name(source[0]), facts)
        differences = known.differences(facts)
        return words + (f"; since then the data set has {'; '.join(differences)}" if differences else "")


def _facts_by_name(dataset: str) -> Optional[DataFacts]:
    """Return the facts of a data set for a description without any, as of earlier versions; None for own records."""
    return describe_data(dataset) if dataset in DATASETS else None


def _other_size(before: Optional[DataFacts], now: DataFacts) -> str:
    """Return in words that the images have another size than those of the training before; empty if they do not."""
    sizes = [facts.image_size for facts in (before, now) if facts and facts.image_size]
    if len(set(sizes)) < 2:
        return ""
    old, new = ("x".join(map(str, size)) for size in sizes)
    return f"; its images had {old} pixels (height, width), those of this run have {new}"
