"""Read the images of a request from its body, within limits, without holding the body in memory."""

from __future__ import annotations

import asyncio
import contextlib
from tempfile import SpooledTemporaryFile
from typing import Any, AsyncIterator, BinaryIO, List, NamedTuple, Sequence, cast

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ..system.errors import one_line
from .faults import RequestFault

IN_MEMORY = 1 << 16  # bytes of an image that are kept in memory; larger ones go to a temporary file
NAME_LENGTH = 100  # letters of a file's name in answers
# What is still read, and thrown away, of the body of a request that is refused.
DRAINED_BYTES, DRAINED_SECONDS = 64_000_000, 2.0
_MULTIPART = "multipart/form-data"


class _Parser(MultiPartParser):
    spool_max_size = max_file_size = IN_MEMORY  # the name in newer and in older versions


class Upload(NamedTuple):
    """An image of a request: its name, and a file at its beginning."""

    name: str
    file: BinaryIO


class Body:
    """The body of a request, which is read in parts, as far as a limit.

    Parameters
    ----------
    request : Request
    limit : int
        Largest number of bytes.

    Attributes
    ----------
    ended : bool
        Whether all of it has been read.
    """

    def __init__(self, request: Request, limit: int) -> None:
        self.ended = False
        self.headers, self._limit = request.headers, limit
        self._stream = request.stream()
        self._asks_first = bool(request.headers.get("expect"))  # `Expect: 100-continue`: it is sent once it is read

    @property
    def kind(self) -> str:
        """The media type."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the parts of the body.

        Raises
        ------
        RequestFault
            If the body is too large, or its length says so.
        """
        length = self.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._limit:
            raise _too_large(self._limit)
        self._asks_first = False
        read = 0
        async for part in self._stream:
            read += len(part)
            if read > self._limit:
                raise _too_large(self._limit)
            yield part
        self.ended = True

    async def drain(self) -> None:
        """Read the rest and throw it away, as far as is reasonable: its sender sees no answer before."""
        if not self._asks_first:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._discard(), DRAINED_SECONDS)

    async def _discard(self) -> None:
        drained = 0
        async for part in self._stream:
            drained += len(part)
            if drained > DRAINED_BYTES:
                return
        self.ended = True


def _too_large(limit: int) -> RequestFault:
    return RequestFault(413, f"the body is too large: it may have {limit} bytes")


async def read_uploads(body: Body, max_images: int) -> List[Upload]:
    """Return the images of a request: the files of a multipart body, or the body itself.

    Raises
    ------
    RequestFault
        If the body is larger, or has more images, than is allowed, or has none.
    """
    uploads = await (_read_multipart(body, max_images) if body.kind == _MULTIPART else _read_raw(body))
    named = [
        Upload(_name(upload, "image" if len(uploads) == 1 else f"image {number}"), upload.file)
        for number, upload in enumerate(uploads, 1)
    ]
    for upload, (name, _) in zip(uploads, named):
        if not upload.size:
            close(named)
            raise RequestFault(422, f"{name}: the file is empty")
    return named


def close(uploads: Sequence[Upload]) -> None:
    """Close the files of uploads."""
    for upload in uploads:
        upload.file.close()


def _name(upload: UploadFile, default: str) -> str:
    return one_line(upload.filename or default)[:NAME_LENGTH]


async def _read_raw(body: Body) -> List[UploadFile]:
    upload = UploadFile(cast(Any, SpooledTemporaryFile(IN_MEMORY)), size=0)
    try:
        async for part in body.parts():
            await upload.write(part)
        await upload.seek(0)
    except BaseException:
        upload.file.close()
        raise
    if not upload.size:
        raise _no_image()
    return [upload]


async def _read_multipart(body: Body, max_images: int) -> List[UploadFile]:
    parts: Any = body.parts()
    try:
        form = await _Parser(body.headers, parts, max_files=max_images, max_fields=0).parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise RequestFault(413, f"too many images: a request may have {max_images}") from error
        if error.message.startswith("Too many fields"):
            raise RequestFault(400, "the body has a field that is no file: send images as files only") from error
        raise _not_multipart(error.message) from error
    except FormParserError as error:
        raise _not_multipart(str(error)) from error
    uploads = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
    if not uploads:
        raise _no_image()
    return uploads


def _not_multipart(why: str) -> RequestFault:
    return RequestFault(400, f"the multipart body cannot be read ({one_line(why)})")


def _no_image() -> RequestFault:
    return RequestFault(400, "the request has no image: send files in a multipart body, or one image as the body")
