"""Test that a server answers as the classifier does, alone and under load, and refuses what is no image in one line."""

import numpy as np
import pytest
from PIL import Image

from helpers.servers import NETWORK, ask_at_once, file_of, httpx, photograph, resized_jpeg, resized_png


def multipart(*files):
    return [("image", file) for file in files]


def check(entry, prediction):
    """Check the answer for an image against what the classifier says."""
    assert [found["label"] for found in entry["predictions"]] == list(prediction.labels)
    assert [found["class"] for found in entry["predictions"]] == list(prediction.classes)
    probabilities = [found["probability"] for found in entry["predictions"]]
    assert probabilities == pytest.approx(prediction.probabilities, abs=1e-5)


def test_one_image_in_every_kind_of_body(server, classifier):
    image = photograph(1)
    (expected,) = classifier.predict(image, top=3)
    file = file_of(image)

    def in_chunks():
        yield file[:100]
        yield file[100:]

    named = httpx.post(server.url + "/predict?top=3", files=multipart(("cat.png", file))).json()
    raw = httpx.post(server.url + "/predict?top=3", content=file, headers={"content-type": "image/png"}).json()
    chunked = httpx.post(server.url + "/predict?top=3", content=in_chunks()).json()
    assert [answer["images"][0]["image"] for answer in (named, raw, chunked)] == ["cat.png", "image", "image"]
    for answer in (named, raw, chunked):
        (entry,) = answer["images"]
        assert set(entry) == {"image", "predictions"}
        check(entry, expected)


def test_several_images_are_answered_in_their_order_as_each_alone(server, classifier):
    images = [photograph(number, 30 + number, 50) for number in range(7)]
    files = [(f"{number}.png", file_of(image)) for number, image in enumerate(images)]
    together = httpx.post(server.url + "/predict?top=10", files=multipart(*files)).json()["images"]
    assert [entry["image"] for entry in together] == [name for name, _ in files]
    for entry, image, file in zip(together, images, files):
        (alone,) = httpx.post(server.url + "/predict?top=10", files=multipart(file)).json()["images"]
        for one, other in zip(entry["predictions"], alone["predictions"]):
            assert one["label"] == other["label"] and abs(one["probability"] - other["probability"]) < 1e-5
        check(entry, classifier.predict(image, top=10)[0])


def test_images_of_every_mode_are_seen_as_predict_sees_them(server, classifier, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = np.asarray(photograph(3, 60, 40).convert("L"))
    files = {
        "turned.jpg": file_of(photograph(2, 60, 40), "JPEG", exif=exif.tobytes()),
        "deep.png": file_of(Image.fromarray(grey.astype(np.uint16) * 257)),
        "clear.png": file_of(photograph(4).convert("RGBA").rotate(30, expand=True)),
        "palette.gif": file_of(photograph(5).quantize(), "GIF"),
        "print.tif": file_of(photograph(6, 33, 70).convert("CMYK"), "TIFF"),
        "long.png": file_of(photograph(7, 3000, 1)),
        "dot.bmp": file_of(photograph(8, 1, 1), "BMP"),
    }
    for name, file in files.items():
        (tmp_path / name).write_bytes(file)
    expected = classifier.predict([str(tmp_path / name) for name in files])
    answer = httpx.post(server.url + "/predict", files=multipart(*files.items())).json()
    for entry, prediction in zip(answer["images"], expected):
        check(entry, prediction)


def test_200_requests_at_once_lose_none(server, classifier):
    images = [photograph(number) for number in range(20)]
    expected, files = classifier.predict(images), [file_of(image) for image in images]
    answers = ask_at_once(server, 10 * files)
    assert [status for status, _, _ in answers] == [200] * 200
    for number, (_, answer, _) in enumerate(answers):
        check(answer["images"][0], expected[number % 20])
    seconds = sorted(taken for _, _, taken in answers)
    print(f"200 requests at once: median {seconds[100]:.2f} s, p99 {seconds[197]:.2f} s")
    assert httpx.get(server.url + "/health").json()["queue"] == 0


def test_the_state_of_the_server(server, classifier):
    state = httpx.get(server.url + "/health").json()
    assert state["classes"] == list(classifier.classes) and state["image_size"] == [32, 32]
    known = {name: state[name] for name in ("status", "network", "dataset", "top1", "runtime", "precision", "queue")}
    assert known == {
        "status": "ok",
        "network": "Attention-56, thin",
        "dataset": "CIFAR-10",
        "top1": 0.9012,
        "runtime": "mxnet",
        "precision": "float32",
        "queue": 0,
    }
    assert server.line == f"Attention-56, thin (CIFAR-10): {server.url}/\n" and NETWORK not in server.log


PNG = file_of(photograph(9, 300, 200))
JPEG = file_of(photograph(9, 300, 200), "JPEG")
GIF = file_of(photograph(9).quantize(), "GIF")
FRAME = GIF.index(b",")  # the first frame: a comma, left, top, width, height
LARGE_FRAME = GIF[: FRAME + 5] + b"\xff\xff\xff\xff" + GIF[FRAME + 9 :]
REFUSED = {
    "notes.txt": (b"not an image", 422, "its format is none of JPEG, PNG, WEBP, GIF, BMP, TIFF, PPM"),
    "cut.png": (PNG[:500], 422, "not an image that can be read (image file is truncated"),
    "cut.jpg": (JPEG[: len(JPEG) // 2], 422, "not an image that can be read (image file is truncated"),
    "nothing.png": (b"", 422, "the file is empty"),
    "head.png": (PNG[:8], 422, "not an image that can be read ("),
    "bomb.png": (resized_png(PNG, 60000, 60000), 413, "60000x60000 pixels: an image may have 50000000 pixels"),
    "bomb.jpg": (resized_jpeg(JPEG, 20000, 20001), 413, "20000x20001 pixels: an image may have 50000000 pixels"),
    "bomb.gif": (LARGE_FRAME, 413, "more than 178956970 pixels: an image may have 50000000 pixels"),
    "large.png": (resized_png(PNG, 10000, 5001), 413, "10000x5001 pixels: an image may have 50000000 pixels"),
    "float.tif": (file_of(Image.new("F", (9, 9)), "TIFF"), 422, "its pixels are 32-bit numbers"),
    "icon.ico": (file_of(photograph(9), "ICO"), 422, "its format is none of"),
    "page.eps": (file_of(photograph(9), "EPS"), 422, "its format is none of"),
    "vector.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 422, "its format is none of"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_image_is_refused_in_one_line_that_names_it(server, name):
    file, status, reason = REFUSED[name]
    for files in ([(name, file)], [("good.png", PNG), (name, file)]):
        answer = httpx.post(server.url + "/predict", files=multipart(*files))
        assert answer.status_code == status, answer.text
        error = answer.json()["error"]
        assert error.startswith(name + ": ") and reason in error and "\n" not in error
        assert set(answer.json()) == {"error"}
    assert error in server.log and "Traceback" not in server.log


def test_the_names_of_files_are_of_one_line_and_short(server):
    name = "a\x1b[31m\u2028" + "b" * 500
    body = (
        f'--x\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\nno image\r\n--x--\r\n'
    ).encode()
    headers = {"content-type": "multipart/form-data; boundary=x"}
    error = httpx.post(server.url + "/predict", content=body, headers=headers).json()["error"]
    assert error.startswith("a\\x1b[31m\\u2028bbb") and len(error) < 250


@pytest.mark.parametrize(
    "query, message",
    [
        ("top=0", "top='0': give a whole number from 1 to 100000"),
        ("top=-1", "top='-1': give"),
        ("top=3.0", "top='3.0': give"),
        ("top=", "top='': give"),
        pytest.param("top=" + 5000 * "9", "give a whole number", id="long"),
        ("top=%D9%A3", "give a whole number"),
        ("k=3", "'k': no such parameter; there are top, pictures"),
        ("pictures=yes", "pictures='yes': give 0 or 1"),
    ],
)
def test_wrong_parameters(server, query, message):
    answer = httpx.post(f"{server.url}/predict?{query}", content=PNG)
    assert answer.status_code == 400 and message in answer.json()["error"]


def test_more_classes_than_there_are(server):
    answer = httpx.post(server.url + "/predict?top=100", content=PNG).json()
    assert len(answer["images"][0]["predictions"]) == 10


@pytest.mark.parametrize(
    "method, path, status, message",
    [
        ("GET", "/predict", 405, "this page does not have the method"),
        ("PUT", "/predict", 405, "this page does not have the method"),
        ("POST", "/", 405, "this page does not have the method"),
        ("GET", "/favicon.ico", 404, "no such page: there are /, /predict and /health"),
        ("POST", "/predict/", 404, "no such page: there are /, /predict and /health"),
        ("GET", "/health/", 404, "no such page: there are /, /predict and /health"),
    ],
)
def test_other_methods_and_pages(server, method, path, status, message):
    answer = httpx.request(method, server.url + path)
    assert (answer.status_code, answer.json()) == (status, {"error": message})
    assert status != 405 or answer.headers["allow"]


@pytest.mark.parametrize(
    "kind, body, message",
    [
        ("multipart/form-data; boundary=x", b"--x--\r\n", "the request has no image: send files"),
        ("multipart/form-data", b"--x--\r\n", "the multipart body cannot be read ("),
        ("multipart/form-data; boundary=x", b"--y\r\n\r\n\r\n--y--\r\n", "the multipart body cannot be read ("),
        ("multipart/form-data; boundary=x", PNG, "the multipart body cannot be read ("),
        ("multipart/form-data; boundary=x; charset=no", b"--x--\r\n", "the request has no image"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\ntext\r\n--x--\r\n',
            "the body has a field that is no file: send images as files only",
        ),
        ("image/png", b"", "the request has no image: send files in a multipart body, or one image as the body"),
    ],
)
def test_bodies_without_an_image(server, kind, body, message):
    answer = httpx.post(server.url + "/predict", content=body, headers={"content-type": kind})
    assert answer.status_code == 400 and answer.json()["error"].startswith(message), answer.text
    assert "Traceback" not in server.log
