"""Answer the requests of clients: the images of a request in, the classes of each out."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Awaitable, Dict, List, Optional, Sequence, TypeVar

from starlette.requests import Request

from ..prediction.logits import top_predictions
from . import pictures
from .batches import BatchThread, QueueFull
from .faults import RequestFault, busy
from .options import ServeOptions
from .served_network import Answer, Question, ServedNetwork
from .uploads import Body, Upload, close, read_uploads

DEFAULT_TOP, MOST_TOP = 5, 100_000
PARAMETERS = ("top", "pictures")
_T = TypeVar("_T")


class Service:
    """The network of a server, and the threads that work for its requests.

    One thread computes, since MXNet allows only one, and one decodes images, so that the memory of one decoded image
    is enough.

    Parameters
    ----------
    path : str
        Parameter file, name of packaged parameters, ONNX or `.safetensors` file.
    options : ServeOptions

    Attributes
    ----------
    network : ServedNetwork
    under_way : int
        Number of requests that are not answered yet.
    cut_off : int
        Number of requests that the end of the server has cut off.

    Raises
    ------
    InputError
        If the network cannot be loaded.
    """

    def __init__(self, path: str, options: ServeOptions) -> None:
        self.options = options
        self._batches = BatchThread(lambda: ServedNetwork(path, options), options.queue_limit)
        self.network: ServedNetwork = self._batches.start()
        self._decoder = ThreadPoolExecutor(1, "decoder")
        self.under_way = self.cut_off = 0

    def close(self) -> None:
        """End the threads."""
        self._decoder.shutdown()
        self._batches.close()

    def health(self) -> Dict[str, Any]:
        """Return the state of the service, of JSON types."""
        return {
            "status": "ok",
            **self.network.facts,
            "masks": self.network.has_masks,
            "requests": self.under_way,
            "queue": self._batches.waiting,
            "queue_limit": self.options.queue_limit,
        }

    async def predict(self, request: Request) -> Dict[str, Any]:
        """Return the predictions of the images of a request.

        Raises
        ------
        RequestFault
            If the request is wrong or takes too long, or too many others are under way.
        """
        body = Body(request, self.options.max_bytes)
        self.under_way += 1
        try:
            if self.under_way > self.options.queue_limit:
                raise busy("too many requests are under way: try again later")
            top, wants_pictures = read_parameters(request)
            uploads = await self._in_time(
                read_uploads(body, self.options.max_images),
                RequestFault(408, f"the body did not arrive within {self.options.timeout:g} seconds"),
            )
            try:
                answer = self._answer(uploads, top, wants_pictures)
                late = busy(f"not computed within {self.options.timeout:g} seconds: try again later")
                return {"images": await self._in_time(answer, late)}
            finally:
                close(uploads)
        except RequestFault as fault:
            await body.drain()
            if not body.ended:
                fault.headers["Connection"] = "close"  # else uvicorn would read the rest, however long it is
            raise
        except asyncio.CancelledError as end:
            self.cut_off += 1
            raise busy("the server ends: try again later") from end
        finally:
            self.under_way -= 1

    async def _in_time(self, work: Awaitable[_T], fault: RequestFault) -> _T:
        try:
            return await asyncio.wait_for(work, self.options.timeout)
        except asyncio.TimeoutError as error:
            raise fault from error

    async def _answer(self, uploads: Sequence[Upload], top: int, wants_pictures: bool) -> List[Dict[str, Any]]:
        prepared = []
        for name, file in uploads:
            arguments = (self.network.classifier, name, file, self.options.max_pixels, wants_pictures)
            prepared.append(await self._decode(pictures.prepare, *arguments))
        wants_masks = wants_pictures and self.network.has_masks
        try:
            waiting = self._batches.submit([Question(each.pixels, wants_masks) for each in prepared])
        except QueueFull as error:
            raise busy("too many images wait for the network: try again later") from error
        answers: List[Answer] = await asyncio.gather(*map(asyncio.wrap_future, waiting))
        found = []
        for upload, each, answer in zip(uploads, prepared, answers):
            (prediction,) = top_predictions(answer.logits[None], self.network.classifier.classes, top)
            entry = {"image": upload.name, "predictions": prediction.to_list()}
            if wants_pictures:
                entry.update(await self._decode(pictures.draw, each.seen, answer.masks))
            found.append(entry)
        return found

    async def _decode(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._decoder, work, *arguments)


def read_parameters(request: Request) -> Any:
    """Return the number of classes of an answer, and whether it has pictures.

    Raises
    ------
    RequestFault
        If a parameter is unknown or wrong.
    """
    given = request.query_params
    for name in given:
        if name not in PARAMETERS:
            raise RequestFault(400, f"{name!r}: no such parameter; there are {', '.join(PARAMETERS)}")
    top, wanted = given.get("top", str(DEFAULT_TOP)), given.get("pictures", "0")
    count: Optional[int] = int(top) if top.isascii() and top.isdigit() and len(top) <= len(str(MOST_TOP)) else None
    if count is None or not 1 <= count <= MOST_TOP:
        raise RequestFault(400, f"top={top[:20]!r}: give a whole number from 1 to {MOST_TOP}")
    if wanted not in ("0", "1"):
        raise RequestFault(400, f"pictures={wanted[:20]!r}: give 0 or 1")
    return count, wanted == "1"
