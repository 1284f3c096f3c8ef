"""Run the server: from its address to the signal that ends it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import math
import signal
import socket
from typing import Any, Iterator, List, Optional

from ..options.fields import assignment
from ..system import signals
from ..system.errors import InputError, reason
from .options import ServeOptions

PACKAGES = {
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "python-multipart": "python_multipart",
    "jinja2": "jinja2",
}
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BACKLOG = 1024  # connections that wait to be accepted


def check_packages() -> None:
    """Raise InputError unless the packages of the extra `serve` are installed."""
    missing = [name for name, module in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise InputError(f"serving needs {', '.join(missing)}: python -m pip install -e '.[serve]'")


def serve(path: str, options: ServeOptions) -> int:
    """Answer requests until a signal ends the server; return the exit code.

    SIGTERM, SIGINT and SIGHUP let it answer the requests that are under way, and then end it. A second SIGINT does not
    wait for them.

    Parameters
    ----------
    path : str
        Parameter file, name of packaged parameters, ONNX or `.safetensors` file.
    options : ServeOptions

    Returns
    -------
    int
        0: all requests that were under way have been answered. 128 and the number of the signal: some were cut off.

    Raises
    ------
    InputError
        If a package is missing, the address cannot be listened on, or the network cannot be loaded.
    """
    check_packages()
    import uvicorn

    from .app import make_app
    from .service import Service

    with _listen(options) as listening, contextlib.closing(Service(path, options)) as service:
        config = uvicorn.Config(
            make_app(service),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,  # its warnings go to stderr, a line each
            access_log=False,
            server_header=False,
            proxy_headers=False,  # else a client of this machine chooses the address that is logged
            timeout_graceful_shutdown=math.ceil(options.timeout),
        )
        server = uvicorn.Server(config)
        with _ended_by_signals(server) as received:
            print(f"{service.network.title}: {_address(listening)}", flush=True)
            asyncio.run(server.serve(sockets=[listening]))
        return 128 + received[0] if received and service.cut_off else 0


def _listen(options: ServeOptions) -> socket.socket:
    """Return a socket that listens on the address of the options."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise InputError(f"{assignment('host', options.host)}: no such address ({reason(error)})") from error
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        given = f"{assignment('host', options.host)} {assignment('port', options.port)}"
        raise InputError(
            f"{given}: cannot be listened on ({reason(error)}); give another, or `port=0` for a free port"
        ) from error
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


@contextlib.contextmanager
def _ended_by_signals(server: Any) -> Iterator[List[int]]:
    """Let signals end a server; yield the list of those that were received.

    While it runs, uvicorn handles SIGINT and SIGTERM itself, and raises them again at its end: then they come here.
    """
    received: List[int] = []

    def end(number: int, _frame: Optional[Any]) -> None:
        received.append(number)
        server.should_exit = True

    before = signals.install(end, _ENDING)
    try:
        yield received
    finally:
        signals.restore(before)
