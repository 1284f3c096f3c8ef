"""Fixtures and settings of all tests.

This file imports MXNet through `resattnet.machine.mxnet` before other code can import it directly.
"""

import os
import signal

import pytest

# The networks of the tests are small: threads would wait for each other longer than they compute, even more so while
# other work runs on the same machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

for name in [name for name in os.environ if name.startswith("MXNET_")]:
    del os.environ[name]  # set by the user: some make MXNet print where a test expects no output

# Under nohup, SIGHUP is ignored, and in the background of a script SIGINT. Programs that the tests start would inherit
# that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest.register_assert_rewrite("helpers.boards", "helpers.networks", "helpers.runs", "helpers.scripts")

import matplotlib.font_manager  # noqa: F401  # what it says, once, of fonts and a folder for them, it says here

from helpers import headless, small_digits
from resattnet.machine.mxnet import mx  # noqa: F401
from resattnet.models import spec
from resattnet.run_options.options import TrainingOptions

ATTENTION_56 = spec.attention_net_spec[56]

# Sorted by running time, longest first: otherwise one process still runs a long file when the others are done.
LONG = (
    "test_loop",
    "test_resume_bits",
    "test_graphs",
    "test_recipes",
    "test_export",
    "test_benchmark",
    "test_network",
    "test_cli",
    "test_robustness",
    "test_mask_log",
    "test_precision",
    "test_initial_weights",
)


def pytest_configure(config):
    """Make pytest-xdist keep the order of `LONG` instead of sorting by number of tests.

    Only pytest-xdist 3.7 and newer have this option.
    """
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    places = {name + ".py": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


@pytest.fixture
def few_digits(monkeypatch):
    """Use 64 training and 50 test digits of 16x16 pixels, and a network with few channels, units and modules.

    What takes time in such runs is the number of parameters.
    """
    small_digits.use(monkeypatch, 64, 50)
    monkeypatch.setitem(spec.CIFAR_WIDTHS, "thin", spec.Widths(8, (16, 16, 16), 16))
    monkeypatch.setitem(spec.attention_net_spec, 56, ATTENTION_56._replace(t=1, modules=(0, 0, 1)))
    monkeypatch.setattr("resattnet.models.network.TAIL_UNITS", 1)


@pytest.fixture
def three_modules(few_digits, monkeypatch):
    """Give the network of `few_digits` the three attention modules of Attention-56 again."""
    monkeypatch.setitem(spec.attention_net_spec, 56, ATTENTION_56)


@pytest.fixture
def options(tmp_path, few_digits):
    """Return options for a run of three epochs on `few_digits`. The run takes one or two seconds."""
    return TrainingOptions(
        dataset="digits",
        widths="thin",
        epochs=3,
        batch_size=16,
        warmup_epochs=1,
        log_interval=2,
        num_gpus=0,
        name="run",
        log_dir=str(tmp_path / "log"),
        model_dir=str(tmp_path / "models"),
    )


@pytest.fixture(scope="session")
def cifar10_dir():
    """Return the folder that contains the real CIFAR-10 as `cifar-10-batches-bin/`, for `--data-dir`."""
    folder = os.environ.get("RESATTNET_CIFAR10")
    if not folder:
        pytest.skip("real CIFAR-10 is not here: set RESATTNET_CIFAR10 to the folder of cifar-10-batches-bin")
    missing = [
        name
        for name in [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
        if not os.path.isfile(os.path.join(folder, "cifar-10-batches-bin", name))
    ]
    assert not missing, f"RESATTNET_CIFAR10={folder} lacks {', '.join(missing)}"
    return folder


@pytest.fixture
def browser(tmp_path):
    """Return a `headless.Browser`."""
    path = headless.find()
    if not path:
        pytest.skip("no Chromium is here: apt-get install chromium, or set RESATTNET_BROWSER to its path")
    return headless.Browser(path, tmp_path / "profile")
