"""Distil a trained network into another one (arXiv 1503.02531), which learns its logits as well as the labels."""

from __future__ import annotations

from typing import Any, Callable, Sequence

from ..data.facts import DataFacts, facts_of
from ..machine.mxnet import mx
from ..models.network import build
from ..models.spec import NetworkSpec
from ..system.errors import InputError, remark
from ..zoo import parameters, pretrained


class Teacher:
    """A trained network that supplies logits and is not trained further.

    Parameters
    ----------
    path : str
        Parameter file of the network, or the name of packaged parameters. The description beside the file specifies
        the network.
    dataset : str
        The data set of the run.
    facts : DataFacts
        The facts of that data set.
    devices : sequence of mx.Context
    dtype : str
        Type of the images on these devices.

    Attributes
    ----------
    sha256 : str
        Digest of the parameter file.

    Raises
    ------
    InputError
        If the file is missing, damaged or has no description, or the network was trained on another data set.
    """

    def __init__(
        self, path: str, dataset: str, facts: DataFacts, devices: Sequence[Any], dtype: str = "float32"
    ) -> None:
        try:
            path, description = pretrained.describe_file(path)
            network, trained_on = NetworkSpec.from_dict(description["network"]), description["dataset"]
            classes = len(facts.classes)
            if (trained_on, network.classes) != (dataset, classes):
                raise InputError(
                    f"{path} was trained on {trained_on} ({network.classes} classes), this run is on {dataset} "
                    f"({classes} classes)"
                )
            trained = facts_of(path, description)
            differences = trained.differences(facts) if trained else []
            if trained and trained.classes != facts.classes:
                raise InputError(f"{path}: the data set has changed since: it has {'; '.join(differences)}")
            if differences:
                remark(f"`teacher={path}`: since it was trained, the data set has {'; '.join(differences)}")
            self._net = build(network)
            parameters.load_parameters(self._net, path, devices)
        except InputError as error:
            raise InputError(f"`teacher`: {error}") from error
        self._net.cast(dtype)
        self._net.hybridize(static_alloc=True, static_shape=True)
        self.sha256 = description["sha256"]

    def __call__(self, images: Any) -> Any:
        """Return the logits (N, classes) of images on one of the devices; no gradient flows back."""
        with mx.autograd.pause(train_mode=False):
            return self._net(images)


class DistillationLoss(mx.gluon.HybridBlock):
    """(1 - w) * cross-entropy + w * T^2 * KL(teacher || student), with both softmaxes at the temperature T.

    The factor T^2 keeps the size of the KL's gradients, which scale with 1 / T^2 (section 2.1).

    Parameters
    ----------
    loss : callable
        The cross-entropy of logits and labels, per sample.
    weight : float
        w.
    temperature : float
        T.
    """

    def __init__(self, loss: Callable[..., Any], weight: float, temperature: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss = loss
        self._weight, self._temperature = weight, temperature

    def hybrid_forward(self, F: Any, logits: Any, labels: Any, teacher_logits: Any) -> Any:
        """Return the loss of each sample, float32 (N,), from labels and the logits (N, classes) of both networks."""
        logits = F.cast(logits, "float32")
        student, teacher = (
            F.log_softmax(F.cast(part, "float32") / self._temperature) for part in (logits, teacher_logits)
        )
        divergence = F.sum(F.exp(teacher) * (teacher - student), axis=1)
        return (1 - self._weight) * self.loss(logits, labels) + self._weight * self._temperature**2 * divergence
