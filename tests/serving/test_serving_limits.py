"""Test the limits of a server: bytes, pixels, images, time, and requests that wait."""

import asyncio
import re
import threading
import time

import pytest

from helpers.servers import NETWORK, Connection, file_of, head, httpx, photograph, serving, wait_until
from resattnet.serving import service as service_module
from resattnet.serving.app import make_app
from resattnet.serving.batches import BatchThread, QueueFull
from resattnet.serving.options import ServeOptions
from resattnet.serving.served_network import ServedNetwork
from resattnet.serving.service import Service
from resattnet.system.errors import InputError

PNG = file_of(photograph(1))


def test_a_body_that_is_too_large(limited):
    large, message = bytes(3_000_000), {"error": "the body is too large: it may have 200000 bytes"}

    def in_chunks():
        for _ in range(30):
            yield bytes(100_000)

    several = [("image", ("a.png", large)), ("image", ("b.png", PNG))]
    for kwargs in (dict(content=large), dict(content=in_chunks()), dict(files=several)):
        answer = httpx.post(limited.url + "/predict", **kwargs)
        assert (answer.status_code, answer.json()) == (413, message)
    exact = httpx.post(limited.url + "/predict", content=PNG + bytes(200_000 - len(PNG)))
    assert exact.status_code == 200


def test_a_body_that_is_too_large_is_not_read_to_its_end(limited):
    """The client asks whether it may send, and is answered before it has sent anything; else the server hangs up."""
    asking = Connection(limited)
    asking.send(head(10**12, "Expect: 100-continue\r\n"))
    assert asking.answer()[0] == 413
    asking.close()
    endless = Connection(limited)
    endless.send("POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    began = time.monotonic()
    with pytest.raises(OSError):
        while time.monotonic() < began + 60:
            endless.send("100000\r\n", bytes(1 << 20), "\r\n")
    endless.close()
    assert time.monotonic() < began + 50
    assert httpx.get(limited.url + "/health").json()["requests"] == 0


def test_a_refused_request_whose_body_does_not_come(limited):
    stalled = Connection(limited)
    stalled.send(head(len(PNG)).replace("/predict", "/predict?top=0"), PNG[:20])
    status, headers, _ = stalled.answer()
    assert status == 400 and headers["connection"] == "close"
    stalled.close()


def test_a_content_length_that_lies(limited):
    """Less than the body: the rest is no request. More than the body: the server waits for it, for a while."""
    short = Connection(limited)
    short.send(head(len(PNG) - 50), PNG)
    status, _, answer = short.answer()
    assert status == 422 and answer["error"].startswith("image: not an image that can be read (")
    short.close()
    long = Connection(limited)
    long.send(head(len(PNG) + 50), PNG)
    began = time.monotonic()
    status, _, answer = long.answer()
    assert (status, answer) == (408, {"error": "the body did not arrive within 5 seconds"})
    assert 4.5 < time.monotonic() - began < 30
    long.close()
    garbage = Connection(limited)
    garbage.send(head("many"))
    assert garbage.answer()[0] == 400
    garbage.close()
    assert httpx.post(limited.url + "/predict", content=PNG).status_code == 200
    assert "Traceback" not in limited.log


@pytest.mark.parametrize(
    "query, kind, sent",
    [
        ("", "image/png", PNG[:20]),
        ("", "multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="i"; filename="i"\r\n'),
        ("?top=0", "image/png", PNG[:20]),
    ],
    ids=["image", "multipart", "refused"],
)
def test_an_upload_that_its_client_cuts_off_is_no_fault_of_the_server(limited, query, kind, sent):
    before = len(limited.log.splitlines())
    gone = Connection(limited)
    gone.send(head(len(PNG), f"Content-Type: {kind}\r\n").replace("/predict", "/predict" + query), sent)
    wait_until(lambda: httpx.get(limited.url + "/health").json()["requests"] == 1)
    gone.close()
    wait_until(lambda: httpx.get(limited.url + "/health").json()["requests"] == 0)
    wait_until(lambda: "POST /predict " in "".join(limited.log.splitlines()[before:]))
    (line,) = [line for line in limited.log.splitlines()[before:] if "/health" not in line]
    reason = "the client left before it had sent the request"
    assert re.fullmatch(rf"\S+ 127\.0\.0\.1 POST /predict 499 \d+ ms: {reason}", line), line


def test_too_many_images_and_pixels(limited):
    files = [("image", (f"{number}.png", PNG)) for number in range(4)]
    assert httpx.post(limited.url + "/predict", files=files[:3]).status_code == 200
    answer = httpx.post(limited.url + "/predict", files=files)
    assert (answer.status_code, answer.json()) == (413, {"error": "too many images: a request may have 3"})
    answer = httpx.post(limited.url + "/predict", content=file_of(photograph(1, 501, 500), "JPEG"))
    assert answer.status_code == 413
    assert answer.json() == {"error": "image: 501x500 pixels: an image may have 250000 pixels"}
    assert httpx.post(limited.url + "/predict", content=file_of(photograph(1, 500, 500), "JPEG")).status_code == 200


def test_requests_that_may_not_wait_are_told_to_come_again(exported, tmp_path):
    async def ask_all(url):
        async with httpx.AsyncClient(timeout=60) as client:
            return await asyncio.gather(*(client.post(url, content=PNG) for _ in range(30)))

    with serving(tmp_path, "--queue-limit", 1, "--max-images", 1, params=exported) as server:
        answers = asyncio.run(ask_all(server.url + "/predict"))
        refused = [answer for answer in answers if answer.status_code == 503]
        assert {answer.status_code for answer in answers} == {200, 503}
        for answer in refused:
            assert answer.headers["retry-after"] == "1" and answer.json()["error"].endswith(": try again later")
        assert httpx.post(server.url + "/predict", content=PNG).status_code == 200


def test_a_request_with_more_images_than_may_wait_is_an_error_of_the_options():
    with pytest.raises(InputError, match="max_images=16 queue_limit=8: a request with more images than may wait"):
        ServeOptions(queue_limit=8)


# In this process: networks that are slow, or fail


class Network(ServedNetwork):
    """A network whose first answer, after that which is computed at the start, waits for an event, or fails."""

    gate = threading.Event()
    fault = None

    def compute(self, questions):
        if self._sized:
            self.gate.wait(60)
            if self.fault:
                raise self.fault
        return super().compute(questions)


class Client:
    """A client of an application in this process."""

    def __init__(self, app):
        self._transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)

    def post(self, path, content):
        """Return the answer to a request."""

        async def ask():
            async with httpx.AsyncClient(transport=self._transport, base_url="http://server") as client:
                return await client.post(path, content=content)

        return asyncio.run(ask())


@pytest.fixture
def start(monkeypatch):
    """Return a function that returns a client of a server whose network is a `Network`."""
    Network.gate, Network.fault = threading.Event(), None
    monkeypatch.setattr(service_module, "ServedNetwork", Network)
    services = []

    def start_service(timeout):
        services.append(Service(NETWORK, ServeOptions(timeout=timeout, num_gpus=0)))
        return Client(make_app(services[0]))

    yield start_service
    Network.gate.set()
    services[0].close()


def test_an_answer_that_takes_too_long(start):
    client = start(1.0)
    answer = client.post("/predict", content=PNG)
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
    assert answer.json() == {"error": "not computed within 1 seconds: try again later"}
    Network.gate.set()
    wait_until(lambda: client.post("/predict", content=PNG).status_code == 200)


def test_a_fault_of_ours_is_one_line_and_a_traceback_in_the_log(start, capsys):
    client = start(60.0)
    Network.fault = RuntimeError("secret of the server")
    Network.gate.set()
    answer = client.post("/predict", content=PNG)
    assert answer.status_code == 500, answer.text
    assert answer.json() == {"error": "a fault of the server, which its log describes"}
    log = capsys.readouterr().err
    line = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d 127\.0\.0\.1 POST /predict 500 \d+ ms: a fault of the server"
    assert re.match(line, log) and log.endswith("RuntimeError: secret of the server\n"), log
    assert log.count("Traceback (most recent call last)") == 1
    Network.fault = None
    assert client.post("/predict", content=PNG).status_code == 200


class Adder:
    """Computes slowly; notes the sizes of its batches."""

    largest = 4

    def __init__(self):
        self.sizes, self.gate = [], threading.Event()

    def compute(self, items):
        self.sizes.append(len(items))
        self.gate.wait(60)
        return [item + 1 for item in items]


def test_what_waits_is_computed_together_and_what_is_cancelled_is_not():
    adder = Adder()
    thread = BatchThread(lambda: adder, 8)
    assert thread.start() is adder
    first = thread.submit([0])
    while not adder.sizes:
        time.sleep(0.01)
    rest = thread.submit([1, 2, 3]) + thread.submit([4, 5, 6, 7])
    assert thread.waiting == 7
    with pytest.raises(QueueFull):
        thread.submit([8, 9])
    assert rest[2].cancel()
    adder.gate.set()
    thread.close()
    assert adder.sizes == [1, 4, 2] and first[0].result() == 1
    assert [future.result() for future in rest if not future.cancelled()] == [2, 3, 5, 6, 7, 8]
    with pytest.raises(QueueFull):
        thread.submit([1])


def test_a_network_that_cannot_be_loaded_is_an_error_of_the_start():
    with pytest.raises(InputError, match=r"none\.params: no such parameter file"):
        Service("none.params", ServeOptions())
