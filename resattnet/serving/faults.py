"""What is wrong with a request, as the answer that says it."""

from __future__ import annotations

from typing import Dict, Optional

RETRY_SECONDS = "1"


class RequestFault(Exception):
    """A request that is not answered, by a fault of the client or for want of time.

    Attributes
    ----------
    status : int
        Status code of the answer.
    message : str
        What is wrong, in one line.
    headers : dict of str to str
        More headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: Optional[Dict[str, str]] = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


def busy(message: str) -> RequestFault:
    """Return the fault of a request that may succeed later."""
    return RequestFault(503, message, {"Retry-After": RETRY_SECONDS})
