"""Distillation (arXiv 1503.02531): to learn from a trained network's answers beside the labels."""

from ..models import parameters, pretrained
from ..models.network import build
from ..models.spec import NetworkSpec
from ..system.errors import InputError
from ..system.mxnet import mx


class Teacher:
    """A trained network that answers, and does not learn.

    Parameters
    ----------
    path : str
        Its parameters; the description beside them says what network it is.
    dataset : str
        What the run is trained on.
    classes : int
        Of that.
    devices : list of mx.Context
    dtype : str
        Of the images that it will be given, on these devices.

    Attributes
    ----------
    sha256 : str
        Of the file.

    Raises
    ------
    InputError
        If the file is missing, damaged or has no description, or it was trained on another data set.
    """

    def __init__(self, path, dataset, classes, devices, dtype="float32"):
        try:
            path, description = pretrained.describe_file(path)
            network, trained_on = NetworkSpec.from_dict(description["network"]), description["dataset"]
            if (trained_on, network.classes) != (dataset, classes):
                raise InputError(
                    f"{path} was trained on {trained_on} ({network.classes} classes), this run is "
                    f"on {dataset} ({classes} classes)"
                )
            self._net = build(network)
            parameters.load_parameters(self._net, path, devices)
        except InputError as error:
            raise InputError(f"--teacher: {error}") from error
        self._net.cast(dtype)
        self._net.hybridize(static_alloc=True, static_shape=True)
        self.sha256 = description["sha256"]

    def __call__(self, images):
        """Logits (N, classes) for images on one of the devices, as in testing; no gradient goes back."""
        with mx.autograd.pause(train_mode=False):
            return self._net(images)


class DistillationLoss(mx.gluon.HybridBlock):
    """(1 - w) * cross-entropy + w * T^2 * KL(teacher || student), these two softened by the temperature T.

    The factor T^2 keeps the size of the KL's gradients, which goes with 1 / T^2 (section 2.1).

    Parameters
    ----------
    loss : gluon.loss.Loss
        The cross-entropy of logits and labels, per sample.
    weight : float
        w.
    temperature : float
        T.
    """

    def __init__(self, loss, weight, temperature, **kwargs):
        super().__init__(**kwargs)
        self.loss = loss
        self._weight, self._temperature = weight, temperature

    def hybrid_forward(self, F, logits, labels, teacher_logits):
        """Loss of each sample (N,), float32, of logits (N, classes), labels, and the teacher's logits (N, classes)."""
        logits = F.cast(logits, "float32")
        ours, theirs = (F.log_softmax(F.cast(part, "float32") / self._temperature) for part in (logits, teacher_logits))
        divergence = F.sum(F.exp(theirs) * (theirs - ours), axis=1)
        return (1 - self._weight) * self.loss(logits, labels) + self._weight * self._temperature**2 * divergence
