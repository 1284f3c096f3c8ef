"""The options of the command `serve`."""

from __future__ import annotations

from dataclasses import dataclass

from ..options.fields import assignment, option, redefine
from ..prediction.options import ClassifierOptions
from ..system.errors import InputError


@dataclass(frozen=True)
class ServeOptions(ClassifierOptions):
    """Options of a server; each is set by the flag of the same name of the command `serve`."""

    heading = "server"

    batch_size: int = redefine(
        ClassifierOptions,
        "batch_size",
        16,
        help="largest number of waiting images that are computed together, on each device",
        high=1024,
        why_high="the first of them would wait for the last",
    )
    host: str = option("127.0.0.1", "address to listen on; 0.0.0.0: every network of this machine", metavar="ADDRESS")
    port: int = option(
        8000, "port to listen on; 0: a free one, which is printed", low=0, high=65535, why_high="no port is higher"
    )
    max_bytes: int = option(
        32_000_000,
        "largest body of a request, in bytes",
        low=1,
        high=1_000_000_000,
        why_high="it may go to a temporary file, for each request under way",
    )
    max_pixels: int = option(
        50_000_000,
        "largest number of pixels of an image, width times height, checked before it is decoded",
        low=1,
        high=178_956_970,
        why_high="Pillow reads no larger image",
    )
    max_images: int = option(
        16, "largest number of images of a request", low=1, high=1000, why_high="each has an open file"
    )
    queue_limit: int = option(
        256,
        "largest number of requests under way, and of images that wait for the network; more are answered with 503",
        low=1,
        high=100_000,
        why_high="each of them has an open connection",
    )
    timeout: float = option(
        30.0,
        "seconds that the body of a request may take to arrive (else 408), and its answer to be computed (else 503)",
        above=0,
        high=3600,
        why_high="no client waits longer",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_images > self.queue_limit:
            raise InputError(
                f"{assignment('max_images', self.max_images)} {assignment('queue_limit', self.queue_limit)}: a request "
                "with more images than may wait is never answered; give a smaller `max_images`"
            )
