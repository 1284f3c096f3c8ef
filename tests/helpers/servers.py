"""Start servers as users do, and talk to them, rightly and wrongly."""

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from helpers.scripts import ROOT

_ADVICE = "python -m pip install -e '.[dev]'"
httpx = pytest.importorskip("httpx", reason=_ADVICE)
for _name in ("starlette", "uvicorn", "python_multipart"):
    pytest.importorskip(_name, reason=_ADVICE)

NETWORK = "cifar10_attention56_thin"
SCRIPT = (os.path.join(ROOT, "scripts", "serve.py"),)
WITHOUT_MXNET = (
    "import sys; sys.modules.update(dict.fromkeys(['mxnet', 'gluoncv', 'matplotlib', 'tqdm', 'onnx'])); "
    "from resattnet.commands import run; run('serve')"
)


class Server:
    """A server in a process of its own.

    Attributes
    ----------
    process : subprocess.Popen
    line : str
        What it printed when it was ready.
    address : (str, int)
    url : str
    """

    def __init__(self, folder, *flags, params=NETWORK, program=SCRIPT):
        self._log = os.path.join(str(folder), "log.txt")
        command = [sys.executable, *program, "--params", str(params), "--port", "0", *map(str, flags)]
        environment = dict(os.environ, OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", PYTHONPATH=ROOT)
        with open(self._log, "w") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=str(folder)
            )
        self.line = self.process.stdout.readline()
        found = re.search(r"(http://([\d.]+):(\d+))/$", self.line)
        assert found, (self.line, self.log)
        self.url, self.address = found.group(1), (found.group(2), int(found.group(3)))

    @property
    def log(self):
        """What it has printed on stderr."""
        with open(self._log) as log:
            return log.read()

    def stop(self, number=signal.SIGTERM):
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        """Return the exit code."""
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            self.process.stdout.close()


@contextlib.contextmanager
def serving(folder, *flags, **kwargs):
    """Context of a server, which must end well."""
    server = Server(folder, *flags, **kwargs)
    try:
        yield server
    finally:
        code = server.stop()
    assert code == 0 and "Traceback" not in server.log, server.log


class Connection:
    """A connection over which bytes are sent as they are."""

    def __init__(self, server):
        self._socket = socket.create_connection(server.address, 60)

    def send(self, *parts):
        """Send texts and bytes."""
        for part in parts:
            self._socket.sendall(part.encode() if isinstance(part, str) else part)

    def answer(self):
        """Return the status, the headers and the JSON of an answer; None if the connection ends without one."""
        data = b""
        while b"\r\n\r\n" not in data or not self._is_whole(data):
            part = self._socket.recv(1 << 16)
            if not part:
                break
            data += part
        if not data:
            return None
        head, body = data.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        is_json = headers.get("content-type") == "application/json"
        return int(first.split()[1]), headers, json.loads(body) if is_json else body.decode()

    @staticmethod
    def _is_whole(data):
        head, body = data.split(b"\r\n\r\n", 1)
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        return bool(length) and len(body) >= int(length.group(1))

    def close(self):
        """Close the connection."""
        self._socket.close()


def ask_at_once(server, files):
    """Send each file over a connection of its own, all at once; return (status, JSON, seconds) of each.

    It is made of little: with httpx, the client would take more time than the server.
    """

    async def ask(file):
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(head(len(file), "Connection: close\r\n").encode() + file)
        answer = await reader.read()
        writer.close()
        first, body = answer.split(b"\r\n\r\n", 1)
        return int(first.split()[1]), json.loads(body), time.monotonic() - began

    async def ask_all():
        return await asyncio.gather(*map(ask, files))

    return asyncio.run(ask_all())


def head(length, more=""):
    """Return the head of a request with one image as the body."""
    return f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{more}\r\n"


def photograph(number, width=40, height=32):
    """Return an image that is smooth, and different for each number."""
    rng = np.random.default_rng(number)
    return Image.fromarray(rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)).resize((width, height), Image.BICUBIC)


def file_of(image, kind="PNG", **kwargs):
    """Return an image as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, kind, **kwargs)
    return file.getvalue()


def resized_png(file, width, height):
    """Return a PNG file that says it has another size."""
    head = file[12:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + file[24:29]
    return file[:12] + head + zlib.crc32(head).to_bytes(4, "big") + file[33:]


def resized_jpeg(file, width, height):
    """Return a baseline JPEG file that says it has another size."""
    start = file.index(b"\xff\xc0") + 5  # after the marker, the length and the bits of a sample
    return file[:start] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + file[start + 4 :]


def wait_until(condition, seconds=60):
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
