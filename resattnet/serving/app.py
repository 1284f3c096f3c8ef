"""The pages of the server, and its log: one line for each request."""

from __future__ import annotations

import sys
import time
import traceback
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ..system.console import say
from ..system.errors import one_line
from .faults import RequestFault
from .page import render_start_page
from .service import Service

_FAULT = "fault"  # key of a request's scope: what was wrong with it
_TEXTS = {404: "no such page: there are /, /predict and /health", 405: "this page does not have the method"}
_CLIENT_LEFT = 499  # as nginx logs it; nobody is left to receive the status
_OUR_FAULT = "a fault of the server, which its log describes"
_LOGGED = 200  # letters of a path in the log


def make_app(service: Service) -> RequestLog:
    """Return the ASGI application of a service."""
    page = render_start_page(service.network, service.options)

    async def start(request: Request) -> Response:
        return HTMLResponse(page.html, headers=page.headers)

    async def predict(request: Request) -> Response:
        return JSONResponse(await service.predict(request))

    async def health(request: Request) -> Response:
        return JSONResponse(service.health())

    app = Starlette(
        routes=[Route("/", start), Route("/predict", predict, methods=["POST"]), Route("/health", health)],
        exception_handlers={
            RequestFault: _answer_fault,
            HTTPException: _answer_http_fault,
            ClientDisconnect: _note_end_of_client,
            Exception: _answer_our_fault,
        },
    )
    app.router.redirect_slashes = False  # a redirect would name the host that the client says it has asked
    return RequestLog(app)


def _answer(request: Request, status: int, message: str, headers: Any = None) -> Response:
    request.scope[_FAULT] = message
    return JSONResponse({"error": message}, status, headers)


async def _answer_fault(request: Request, fault: Any) -> Response:
    return _answer(request, fault.status, fault.message, fault.headers)


async def _answer_http_fault(request: Request, fault: Any) -> Response:
    return _answer(request, fault.status_code, _TEXTS.get(fault.status_code, str(fault.detail)), fault.headers)


async def _note_end_of_client(request: Request, _: Exception) -> Response:
    return _answer(request, _CLIENT_LEFT, "the client left before it had sent the request")


async def _answer_our_fault(request: Request, _: Exception) -> Response:
    return _answer(request, 500, _OUR_FAULT)


class RequestLog:
    """An ASGI application that prints a line on stderr for each request of another one.

    The line has the date and time of the answer, the client, the method, the path, the status, the milliseconds until
    the answer was sent, and what was wrong. Only what is our fault is printed in any case, with its traceback.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        began, status = time.monotonic(), 0

        async def note(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        fault = None
        try:
            await self._app(scope, receive, note)
        except Exception as error:
            fault = error
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        client = (scope.get("client") or ("unknown",))[0]
        what = one_line(f"{scope['method']} {scope['path'][:_LOGGED]}")
        why = f": {scope[_FAULT]}" if _FAULT in scope else ""
        line = f"{now} {client} {what} {status or '-'} {1000 * (time.monotonic() - began):.0f} ms{why}"
        if fault is None:
            say(line, file=sys.stderr)
            return
        trace = "".join(traceback.format_exception(type(fault), fault, fault.__traceback__))
        print(f"{line}\n{trace}", end="", file=sys.stderr, flush=True)
