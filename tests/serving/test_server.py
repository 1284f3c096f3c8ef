"""Test how a server begins and ends, and that it serves an exported network without MXNet."""

import importlib.util
import re
import signal
import socket
import sys
from datetime import datetime

import pytest

from helpers.networks import DESCRIPTION, initialised
from helpers.scripts import refused, script
from helpers.servers import (
    NETWORK,
    WITHOUT_MXNET,
    Connection,
    Server,
    file_of,
    head,
    httpx,
    photograph,
    serving,
    wait_until,
)
from helpers.torch_nets import import_torch
from resattnet.export.export_file import export_file
from resattnet.export.options import ExportOptions
from resattnet.models.network import build
from resattnet.models.spec import NetworkSpec
from resattnet.serving.options import ServeOptions
from resattnet.serving.page import render_start_page
from resattnet.serving.served_network import ServedNetwork
from resattnet.serving.server import check_packages
from resattnet.system.errors import InputError
from resattnet.zoo import parameters

PNG = file_of(photograph(1))
FACTS = ("stage", "module", "channels", "height", "width")  # of the masks of a module


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_the_requests_under_way_are_answered_before_the_end(exported, tmp_path, number):
    server = Server(tmp_path, params=exported)
    connection = Connection(server)
    connection.send(head(len(PNG)), PNG[:50])
    wait_until(lambda: httpx.get(server.url + "/health").json()["requests"] == 1)
    server.process.send_signal(number)
    wait_until(lambda: not _accepts(server))
    connection.send(PNG[50:])
    status, _, answer = connection.answer()
    assert status == 200 and len(answer["images"][0]["predictions"]) == 5
    assert server.wait() == 0
    assert [line.split()[2:5] for line in server.log.splitlines()][-1] == ["POST", "/predict", "200"]


def _accepts(server):
    try:
        socket.create_connection(server.address, 5).close()
    except OSError:
        return False
    return True


def test_a_second_interrupt_cuts_requests_off(exported, tmp_path):
    server = Server(tmp_path, params=exported)
    connection = Connection(server)
    connection.send(head(len(PNG)), PNG[:50])
    wait_until(lambda: httpx.get(server.url + "/health").json()["requests"] == 1)
    server.process.send_signal(signal.SIGINT)
    wait_until(lambda: not _accepts(server))
    assert server.stop(signal.SIGINT) == 130
    assert "Traceback" not in server.log
    assert connection.answer()[::2] == (503, {"error": "the server ends: try again later"})
    connection.close()


def test_a_request_is_logged_with_its_time_and_the_address_that_it_came_from(limited):
    """The headers of proxies are not believed: a client may send them too."""
    began = datetime.now().astimezone().replace(microsecond=0)
    forged = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Forwarded-Proto": "https"}
    assert httpx.get(limited.url + "/from-where", headers=forged).status_code == 404
    wait_until(lambda: "/from-where" in limited.log)
    (line,) = [line for line in limited.log.splitlines() if "/from-where" in line]
    found = re.fullmatch(r"(\S{25}) 127\.0\.0\.1 GET /from-where 404 \d+ ms: no such page: there are .*", line)
    assert found, line
    assert began <= datetime.fromisoformat(found.group(1)) <= datetime.now().astimezone()
    assert "203.0.113.9" not in limited.log


def test_quiet(exported, tmp_path):
    with serving(tmp_path, "--quiet", params=exported) as server:
        assert httpx.post(server.url + "/predict", content=b"no image").status_code == 422
        assert server.log == ""


def test_a_port_in_use(limited):
    done = script("serve.py", "--params", NETWORK, "--port", limited.address[1])
    assert refused(done) == (
        f"serve.py: --host 127.0.0.1 --port {limited.address[1]}: cannot be listened on (Address already in use); give "
        "another, or --port 0 for a free port\n"
    )


@pytest.mark.parametrize(
    "flags, line",
    [
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid: no such address ("),
        (["--host", "198.51.100.1"], "--host 198.51.100.1 --port 8000: cannot be listened on (Cannot assign requested"),
        (["--port", 65536], "--port 65536: give a number at most 65535"),
        (["--max-bytes", 0], "--max-bytes 0: give a number at least 1"),
        (["--max-pixels", 10**9], "--max-pixels 1000000000: give a number at most 178956970 (Pillow reads no larger"),
        (["--timeout", 0], "--timeout 0.0: give a number above 0"),
        (["--precision", "int8", "--port", 0], "is in float32: write an INT8 file by"),
    ],
)
def test_wrong_arguments(flags, line):
    assert line in refused(script("serve.py", "--params", NETWORK, *flags))


@pytest.mark.parametrize(
    "modules, names",
    [(["uvicorn"], "uvicorn"), (["jinja2"], "jinja2"), (["python_multipart", "jinja2"], "python-multipart, jinja2")],
)
def test_missing_packages_are_named_with_the_way_to_install_them(monkeypatch, modules, names):
    check_packages()
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"^serving needs {names}: python -m pip install -e '\.\[serve\]'$"):
        check_packages()


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_exported_network_is_served_without_mxnet(runtime, exported, classifier, tmp_path):
    if not importlib.util.find_spec(runtime):
        pytest.skip(f"python -m pip install {runtime}")
    images = [photograph(number) for number in range(5)]
    files = [("image", (f"{number}.png", file_of(image))) for number, image in enumerate(images)]
    with serving(tmp_path, "--runtime", runtime, params=exported, program=("-c", WITHOUT_MXNET)) as server:
        state = httpx.get(server.url + "/health").json()
        answer = httpx.post(server.url + "/predict?pictures=1", files=files, timeout=60).json()
        page = httpx.get(server.url).text
    assert (state["runtime"], state["network"], state["top1"]) == (runtime, "Attention-56, thin", 0.9012)
    for entry, prediction in zip(answer["images"], classifier.predict(images)):
        assert entry["predictions"][0]["class"] == prediction.classes[0]
        assert entry["predictions"][0]["probability"] == pytest.approx(prediction.probabilities[0], abs=2e-4)
        assert entry["masks"] == [] and entry["seen"].startswith("data:image/jpeg;base64,")
    reason = "an ONNX file computes the logits only; give the parameter or .safetensors file to see the masks"
    assert f"No masks are shown: {reason}." in page


def test_a_torch_file_is_served_with_its_masks_without_mxnet(server, tmp_path):
    import_torch()
    path = str(tmp_path / "net.safetensors")
    export_file(NETWORK, ExportOptions(to="torch", output=path))
    files = [("image", (f"{number}.png", file_of(photograph(number)))) for number in range(2)]
    with serving(tmp_path, "--num-gpus", "0", params=path, program=("-c", WITHOUT_MXNET)) as running:  # nor matplotlib
        assert not httpx.get(running.url + "/health").json()["masks"]
        reason = "matplotlib, which has their colours, is not installed: python -m pip install matplotlib"
        assert f"No masks are shown: {reason}." in httpx.get(running.url).text
    program = WITHOUT_MXNET.replace("'matplotlib', ", "")
    with serving(tmp_path, "--num-gpus", "0", params=path, program=("-c", program)) as running:
        state = httpx.get(running.url + "/health").json()
        found = httpx.post(running.url + "/predict?pictures=1", files=files, timeout=60).json()
        page = httpx.get(running.url).text
    assert (state["runtime"], state["masks"]) == ("torch", True) and "No masks are shown" not in page
    expected = httpx.post(server.url + "/predict?pictures=1", files=files, timeout=60).json()
    for one, other in zip(found["images"], expected["images"]):
        assert len(one["masks"]) == len(other["masks"]) == 3
        for ours, theirs in zip(one["masks"], other["masks"]):
            assert [ours[name] for name in FACTS] == [theirs[name] for name in FACTS]
            assert [drawn["title"] for drawn in ours["maps"]] == [drawn["title"] for drawn in theirs["maps"]]
            assert ends(ours) == pytest.approx(ends(theirs), rel=0.02)  # engines round the last digit differently


def ends(module):
    """Return the lowest and the highest value of each map of a module."""
    return [float(drawn[end]) for drawn in module["maps"] for end in ("low", "high")]


def test_a_network_without_masks_says_so(tmp_path):
    spec = NetworkSpec(classes=10, widths="tiny", unit="basic", mask="none")
    path = str(tmp_path / "trunks.params")
    parameters.save_parameters(initialised(build(spec)), path, dict(DESCRIPTION, network=spec.to_dict()))
    options = ServeOptions(num_gpus=0)
    network = ServedNetwork(path, options)
    assert not network.has_masks and network.facts["top1"] is None
    page = render_start_page(network, options).html
    assert "No masks are shown: the network has no soft masks: it consists of trunks only." in page
    assert "<dd>not known</dd>" in page and "<dd>Attention-56, tiny, basic units</dd>" in page
