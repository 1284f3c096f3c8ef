"""Tests for a run's curves and mask pictures as a TensorBoard user sees them: over HTTP and in a browser."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest

from helpers.scripts import script
from resattnet.data.image_set import ImageSet
from resattnet.datasets import record_writer

pytest.importorskip("tensorboard", reason="tensorboard is not installed")
pytestmark = pytest.mark.timeout(600)  # the first test includes the training run and the wait for the server

PATIENCE = 120  # seconds to wait for each response or condition
EPOCHS, STEPS = 3, 4  # STEPS is the number of steps per epoch
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
SHARED = ["accuracy/train_and_validation", "loss/train_and_validation"]  # cards with a curve of each of CURVES
CURVES = ["run/train", "run/validation"]
OWN = ["accuracy/train", "accuracy/validation_top5", "loss/train", "progress/learning_rate"]
OWN += ["progress/samples_per_second"]
MASKS = [f"masks/stage{stage}/module1" for stage in (1, 2, 3)]

# JavaScript that finds all visible elements of the page. `querySelectorAll` alone does not search shadow trees.
ALL = """(() => {
  const found = [];
  const walk = root => root.querySelectorAll("*").forEach(e => {
    found.push(e);
    if (e.shadowRoot) walk(e.shadowRoot);
  });
  walk(document);
  const seen = e => { const box = e.getBoundingClientRect(); return box.width > 0 && box.height > 0; };
  const all = found.filter(seen);
  return %s;
})()"""
TEXTS = ALL % "all.filter(e => e.children.length == 0).map(e => e.textContent.trim())"
LINES = ALL % "all.filter(e => e.matches('path.line') && e.getTotalLength() > 50).length"
# The title of each card of the Scalars tab, and the colours of its lines.
CARDS = (
    ALL
    % """all.filter(e => e.tagName == 'TF-SCALAR-CARD').map(card => {
  const colours = [];
  const look = root => root.querySelectorAll("*").forEach(e => {
    if (e.matches("path.line") && e.getTotalLength() > 50) colours.push(getComputedStyle(e).stroke);
    if (e.shadowRoot) look(e.shadowRoot);
  });
  look(card.shadowRoot);
  return [card.tag, colours];
})"""
)
CHARTS = (
    ALL
    % """all.filter(e => e.tagName == 'LINE-CHART').map(e => {
  const box = e.getBoundingClientRect();
  return [box.right - 10, (box.top + box.bottom) / 2];
})"""
)
IMAGES = ALL % "all.filter(e => e.tagName == 'IMG' && e.complete).map(e => [e.naturalWidth, e.naturalHeight])"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Run the training script on a few small images, and return the folder that has the logs of the run."""
    folder, rng = str(tmp_path_factory.mktemp("home")), np.random.default_rng(0)
    sets = {
        split: ImageSet(
            rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8), np.arange(count, dtype=np.int32) % 5, tuple("abcde")
        )
        for split, count in (("train", 16 * STEPS), ("test", 20))
    }
    record_writer.write_records(folder, "noise", sets, "noise", (0.5,) * 3, (0.3,) * 3, True)
    done = script(
        "cifar10_train.py",
        *(
            f"--dataset noise --data-format rec --data-dir . --widths thin -b 16 --epochs {EPOCHS} --log-interval 2 "
            "--num-gpus 0 --lr 0.01 --name run --mask-images 3"
        ).split(),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder


@contextlib.contextmanager
def serving(logdir, log):
    """Start TensorBoard, and yield the server's address once TensorBoard serves the run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(log, "w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tensorboard.main", "--logdir", logdir, "--host", "127.0.0.1", "--port", str(port)],
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield wait_for_runs(f"http://127.0.0.1:{port}/", process, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)  # the group includes TensorBoard's data server
        process.wait(60)


def wait_for_runs(address, process, log):
    """Return the address once TensorBoard serves the whole run."""
    deadline, runs = time.monotonic() + PATIENCE, None
    while not runs:
        if process.poll() is not None or time.monotonic() > deadline:
            with open(log) as said:
                raise AssertionError(f"TensorBoard serves no run: {said.read()}")
        time.sleep(0.3)
        with contextlib.suppress(urllib.error.URLError, ConnectionError, KeyError):
            # The last epoch writes this curve and this picture last: everything else precedes them.
            curve = ask(address, "plugin/scalars/scalars", run="run/validation", tag=SHARED[0])
            pictures = ask(address, "plugin/images/images", run="run", tag=MASKS[-1], sample=0)
            runs = len(curve) == len(pictures) == EPOCHS
    return address


@pytest.fixture(scope="module")
def board(home):
    with serving(os.path.join(home, "log", "board"), os.path.join(home, "tensorboard.txt")) as address:
        yield address


def get(address, path, **query):
    with OPENER.open(address + "data/" + path + "?" + urllib.parse.urlencode(query), timeout=PATIENCE) as answer:
        return answer.read()


def ask(address, path, **query):
    return json.loads(get(address, path, **query).decode())


def test_the_curves_have_a_point_for_each_epoch_or_report(board):
    assert sorted(ask(board, "runs")) == ["run", *CURVES]
    tags = ask(board, "plugin/scalars/tags")
    assert {run: sorted(found) for run, found in tags.items()} == {"run": OWN, **dict.fromkeys(CURVES, SHARED)}
    for run, tag in [(run, tag) for run, found in tags.items() for tag in found]:
        steps = [step for _, step, _ in ask(board, "plugin/scalars/scalars", run=run, tag=tag)]
        every = STEPS if run != "run" or tag == "accuracy/validation_top5" else 2
        assert steps == list(range(every, EPOCHS * STEPS + 1, every)), (run, tag)


def test_each_module_has_a_picture_for_each_epoch(board):
    assert sorted(ask(board, "plugin/images/tags")["run"]) == MASKS
    for tag in MASKS:
        samples = ask(board, "plugin/images/images", run="run", tag=tag, sample=0)
        assert [sample["step"] for sample in samples] == [STEPS, 2 * STEPS, 3 * STEPS]
        pictures = [
            get(board, "plugin/images/individualImage", **dict(urllib.parse.parse_qsl(sample["query"])))
            for sample in samples
        ]
        assert len(set(pictures)) == EPOCHS and all(png.startswith(b"\x89PNG") for png in pictures)


def test_the_text_page_has_the_arguments_under_their_name(board):
    assert ask(board, "plugin/text/tags") == {"run": ["arguments"]}
    [page] = ask(board, "plugin/text/text", run="run", tag="arguments")
    assert "epochs" in page["text"] and "<table>" in page["text"]


def test_a_browser_shows_training_and_validation_on_one_card(board, browser):
    """A card has a line for training and a line for validation, of different colours."""
    with browser.page(board + "#scalars", height=2500) as page:
        page.wait(lambda: set(SHARED) <= set(page.value(TEXTS)) and page.value(LINES) >= 7, PATIENCE)
        assert set(SHARED) <= set(page.value(TEXTS))
        cards = page.value(CARDS)
        for tag in SHARED:
            (colours,) = [colours for title, colours in cards if title == tag]
            assert len(set(colours)) == 2, (tag, colours)


def test_a_browser_shows_training_and_validation_on_one_card_in_time_series(board, browser):
    """The last values of both curves are shown below the chart.

    The curves are on a canvas, which a test cannot read.
    """
    last = [ask(board, "plugin/scalars/scalars", run=run, tag=SHARED[1])[-1][2] for run in CURVES]

    def shown(page):
        """Return whether the values are on the page together while the pointer is at the end of a card's curves.

        TensorBoard 2.14, the last one for Python 3.8, shows a value only while the pointer is on its curve.
        """
        for x, y in page.value(CHARTS):
            page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
            numbers = []
            for text in page.value(TEXTS):
                with contextlib.suppress(ValueError):
                    numbers.append(float(text.replace(",", "")))  # the page has thousands separators, as in 1,110.1962
            if all(any(abs(number - value) <= 1e-3 * value for number in numbers) for value in last):
                return True
        return False

    with browser.page(board + "#timeseries", height=4000) as page:
        assert page.wait(lambda: shown(page), PATIENCE)
        assert {"/train_and_validation", "/validation_top5"} <= set(page.value(TEXTS))


def test_a_browser_shows_the_masks(board, browser):
    with browser.page(board + "#images", height=3000) as page:
        page.wait(lambda: len(page.value(IMAGES)) == len(MASKS), PATIENCE)
        assert set(MASKS) <= set(page.value(TEXTS))
        sizes = page.value(IMAGES)
        assert len(sizes) == len(MASKS) and min(map(min, sizes)) > 300
