"""Test the page in a browser: drop a photograph on it, choose one, and see the classes and the masks."""

import base64
import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from helpers.servers import NETWORK, file_of, httpx, photograph, serving
from resattnet.prediction.classifier import Classifier
from resattnet.prediction.masks import soft_masks
from resattnet.reports.mask_overlays import most_varying

LOADED = "document.readyState == 'complete' && !!document.getElementById('drop')"
MODULES = 3  # of Attention-56


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for number, size in enumerate([(300, 200), (200, 300)]):
        (folder / f"photo{number}.jpg").write_bytes(file_of(photograph(number, *size), "JPEG"))
    (folder / "<b>notes.txt").write_text("no image")
    return folder


def pixels_of(address):
    head, data = address.split(",", 1)
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(float)


def test_the_pictures_show_the_masks_of_the_network(server, classifier):
    image = photograph(1, 300, 200)
    (entry,) = httpx.post(server.url + "/predict?pictures=1", content=file_of(image)).json()["images"]
    seen = pixels_of(entry["seen"])
    assert seen.shape == (240, 240, 3)
    expected = np.asarray(image.crop((50, 0, 250, 200)).resize((240, 240), Image.BILINEAR)).astype(float)
    assert np.abs(seen - expected).mean() < 4  # JPEG
    maps = soft_masks(classifier.net, classifier.normalised(classifier.pixels(image)[None]))
    assert len(entry["masks"]) == len(maps) == MODULES
    for shown, module in zip(entry["masks"], maps):
        assert [shown[name] for name in ("stage", "module")] == [module.stage, module.module]
        assert (shown["channels"], shown["height"], shown["width"]) == module.mask.shape[1:]
        titles = [each["title"] for each in shown["maps"]]
        assert titles[0].startswith("mean, range ")
        assert titles[1:] == [f"channel {channel}" for channel in most_varying(module.mask[0])]
        for each, values in zip(shown["maps"][1:], module.mask[0][most_varying(module.mask[0])]):
            assert float(each["low"]) == pytest.approx(values.min(), abs=6e-4)
            assert float(each["high"]) == pytest.approx(values.max(), abs=6e-4)
            drawn = pixels_of(each["picture"])
            assert drawn.shape == (240, 240, 3) and np.ptp(drawn) > 50


def test_the_page_needs_nothing_else_and_allows_nothing_else(server):
    answer = httpx.get(server.url)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy.replace("style-src 'unsafe-inline'", "")
    assert "http" not in answer.text.replace("http-equiv", "") and "src=" not in answer.text
    for words in ("Attention-56, thin", "CIFAR-10, 10 classes", "90.12 %", "at most 32 MB and 50 million pixels"):
        assert words in answer.text


def cards(page):
    """Return the texts of the cards that are complete, the newest first."""
    return page.value("[...document.querySelectorAll('.answer:not([aria-busy])')].map(card => card.innerText)")


def test_photographs_are_chosen_and_dropped_in_a_browser(server, browser, photographs, tmp_path):
    files = [photographs / "photo0.jpg", photographs / "photo1.jpg"]
    expected = Classifier.load(NETWORK, num_gpus=0).predict(map(str, files), top=1)
    with browser.page(server.url + "/") as page:
        assert page.wait(lambda: page.value(LOADED), 30)
        page.choose_files("#file", files[0])
        assert page.wait(lambda: len(cards(page)) == 1, 60)
        x, y = page.value("(b => [b.x + b.width / 2, b.y + b.height / 2])(drop.getBoundingClientRect())")
        page.drop_files(x, y, files[1], photographs / "<b>notes.txt")
        assert page.wait(lambda: len(cards(page)) == 3, 60)
        notes, *shown = cards(page)
        assert "<b>notes.txt: not an image that can be read (its format is none of" in notes
        for text, file, prediction in zip(shown[::-1], files, expected):
            name, percent = prediction.classes[0], f"{100 * prediction.probabilities[0]:.2f} %"
            assert text.startswith(f"{name}\n{percent} probable; {file.name}\n")
            assert text.count("Stage ") == MODULES and "Stage 3, module 1: 256 channels of 8 x 8 points" in text
        assert page.value("document.querySelectorAll('b').length") == 0
        loaded = "[...document.images].map(image => image.complete && image.naturalWidth)"
        assert page.value(loaded) == [240] * 2 * (1 + 4 * MODULES)
        bars = page.value("[...document.querySelectorAll('.answer .bar')].map(bar => bar.clientWidth)")
        assert len(bars) == 10 and bars[0] == max(bars[:5]) > bars[4]
        page.screenshot(tmp_path / "page.png")
        assert not page.value("document.querySelector('#no-masks')")
    with Image.open(tmp_path / "page.png") as picture:
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) > 5000  # the pictures were drawn
    kept = os.environ.get("RESATTNET_SCREENSHOTS")
    if kept:
        os.replace(tmp_path / "page.png", os.path.join(kept, "page.png"))


def test_the_page_shows_the_status_of_an_answer_that_is_not_the_servers(exported, browser, photographs, tmp_path):
    answers = [
        ("<html>no gateway</html>", 502, "Bad Gateway", "Status 502 Bad Gateway: "),
        ("<html>too large</html>", 413, "", "Status 413: "),
        ("Invalid HTTP request received.", 400, "Bad Request", "Status 400 Bad Request: "),
        ("null", 500, "", "Status 500: "),
        ("<html>log in</html>", 200, "OK", "Status 200 OK: "),
    ]
    unreadable = "no answer that this page can read. A proxy before the server may have sent it."
    with serving(tmp_path, params=exported) as server, browser.page(server.url + "/") as page:
        assert page.wait(lambda: page.value(LOADED), 30)
        for number, (body, status, words, shown) in enumerate(answers, 1):
            response = f"new Response({json.dumps(body)}, {{status: {status}, statusText: {json.dumps(words)}}})"
            assert page.value(f"(window.fetch = async () => {response}) && true")
            page.choose_files("#file", photographs / "photo0.jpg")
            assert page.wait(lambda number=number: len(cards(page)) == number, 60)
            name, text = cards(page)[0].split("\n", 1)
            assert (name, text.strip()) == ("photo0.jpg", shown + unreadable)


def test_the_page_says_when_the_server_is_gone(exported, browser, photographs, tmp_path):
    with serving(tmp_path, params=exported) as server:
        running = browser.page(server.url + "/")
        page = running.__enter__()
        assert page.wait(lambda: page.value(LOADED), 30)
        assert page.value("document.getElementById('no-masks').innerText").startswith(
            "No masks are shown: an ONNX file"
        )
    with running:
        page.choose_files("#file", photographs / "photo0.jpg")
        assert page.wait(lambda: len(cards(page)) == 1, 60)
        assert "The server does not answer: it may have been stopped." in cards(page)[0]
