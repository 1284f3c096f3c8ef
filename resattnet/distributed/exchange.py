"""How the processes of a run exchange gradients, as its options say: `Exchange`. Nothing here imports MXNet."""

from __future__ import annotations

from typing import NamedTuple


class Exchange(NamedTuple):
    """An engine and its settings.

    Attributes
    ----------
    kvstore : str
        Key of `engines.KVSTORES`; 'none': this process trains alone.
    compression : str
        What gradients are sent as: 'none': as they are; else a key of the engine's `compressions`.
    threshold : float
        With '2bit': the one size that is sent.
    """

    kvstore: str = "none"
    compression: str = "none"
    threshold: float = 0.5
