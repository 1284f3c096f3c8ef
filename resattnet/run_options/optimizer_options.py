"""Group the options of the optimizer; `OPTIMIZERS` has the defaults that depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, NamedTuple, Optional

from ..options.fields import Options, option


class OptimizerDefaults(NamedTuple):
    """What the options of an optimizer stand for where they are not given.

    Attributes
    ----------
    lr : float
        Highest learning rate.
    wd : float
        Weight decay.
    """

    lr: float
    wd: float


OPTIMIZERS = {
    "nag": OptimizerDefaults(0.1, 1e-4),
    "sgd": OptimizerDefaults(0.1, 1e-4),
    "adamw": OptimizerDefaults(1e-3, 0.05),
    "lamb": OptimizerDefaults(5e-3, 0.02),
}
ADAPTIVE = ("adamw", "lamb")  # optimizers that keep means of the gradient and of its square


def default_rate(values: Mapping[str, Any]) -> float:
    """Return the highest learning rate if none is given: that of the optimizer."""
    return OPTIMIZERS[values["optimizer"]].lr


def by_optimizer(name: str) -> str:
    """Return the text for a default that depends on the optimizer: "0.1; 0.001 with adamw; ..."."""
    usual = getattr(OPTIMIZERS["nag"], name)
    others = (f"{getattr(OPTIMIZERS[one], name):g} with {one}" for one in ADAPTIVE)
    return "; ".join([f"{usual:g}", *others])


_NO_EFFECT = "a smaller one has no effect in float32"


@dataclass(frozen=True)
class OptimizerOptions(Options):
    """The update of the parameters."""

    heading = "optimizer"

    optimizer: str = option(
        "nag",
        "nag: Nesterov momentum; sgd: plain momentum; adamw: Adam with decoupled weight decay (arXiv 1711.05101); "
        "lamb: as adamw, each tensor's update being as long as --lr times its norm (arXiv 1904.00962)",
        choices=tuple(OPTIMIZERS),
    )
    momentum: float = option(0.9, "momentum of nag and sgd", low=0, below=1, least=1e-6, why_low=_NO_EFFECT)
    beta1: float = option(
        0.9,
        "with adamw and lamb: decay of the mean of the gradient",
        low=0,
        high=0.9999,
        why_high="with a higher one, the mean hardly moves in float32",
        metavar="DECAY",
    )
    beta2: float = option(
        0.999,
        "with adamw and lamb: decay of the mean of the gradient's square",
        low=0,
        high=0.99999,
        why_high="with a higher one, the mean hardly moves in float32",
        metavar="DECAY",
    )
    wd: Optional[float] = option(
        None,
        "weight decay; nag and sgd add it to the gradient, adamw and lamb to the update",
        low=0,
        high=10,
        least=1e-10,
        why_low="a smaller decay is lost in float32",
        why_high="a larger decay erases the weights",
        unset=by_optimizer("wd"),
    )
    no_wd: bool = option(False, "1: no weight decay for gamma and beta of batch normalisation, and for biases")
    clip_gradient: Optional[float] = option(
        None,
        "scale the gradient down to this norm if its own norm is larger; the norm is that of all parameters together, "
        "and the gradient that of the mean loss over all images of the update, without weight decay",
        above=0,
        low=1e-6,
        high=1e6,
        why_low="a lower norm stops the training",
        why_high="no gradient has a higher norm",
        metavar="NORM",
    )
    accumulate: int = option(
        1,
        "batches whose gradients are summed for one update: the result of a larger batch, apart from the statistics of "
        "batch normalisation, with the memory of one",
        low=1,
        high=65536,
        why_high="no data set here has batches for one such update",
    )
    ema: Optional[float] = option(
        None,
        "keep an exponential moving average of the learned parameters, for example with 0.999; update n moves it "
        "towards the new parameters by 1 - DECAY, or by 9 / (n + 10) while that is more; the average is validated too, "
        "with the running statistics of batch normalisation, which are not averaged, and saved as ema.params and "
        "best-ema.params",
        above=0,
        below=1,
        low=0.001,
        high=0.9999999,
        why_low="a lower decay makes no average",
        why_high="a higher decay keeps the average where it begins",
        metavar="DECAY",
    )
