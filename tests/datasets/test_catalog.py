"""Tests for the table of data sets: the facts of each set, and the errors for invalid arguments."""

import os
import subprocess
import sys

import pytest

from resattnet.datasets import catalog
from resattnet.system.errors import InputError


def message(*args, **kwargs):
    """Return the one-line message of the InputError from `load_images`."""
    with pytest.raises(InputError) as caught:
        catalog.load_images(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_set_is_described_without_files():
    assert catalog.DATASETS == ("digits", "cifar10", "cifar100")
    assert [len(catalog.describe_data(name).classes) for name in catalog.DATASETS] == [10, 10, 100]
    for name in catalog.DATASETS:
        data_set = catalog.describe_data(name)
        assert len(set(data_set.classes)) == len(data_set.classes)
        assert len(data_set.mean) == len(data_set.std) == 3
    assert [catalog.describe_data(name).flip for name in catalog.DATASETS] == [False, True, True]
    assert list(catalog.describe_data("cifar100").classes) == sorted(catalog.describe_data("cifar100").classes)


def test_unknown_names_list_the_choices():
    assert message("mnist", "data", "train") == "dataset=mnist: choose from digits, cifar10, cifar100"
    assert message("digits", "data", "validation") == "split=validation: choose from train, test"
    with pytest.raises(InputError, match="choose from digits"):
        catalog.describe_data("mnist")


def test_reading_needs_no_mxnet():
    code = (
        "import sys; from resattnet.data import transforms; from resattnet.loaders import array_loader; "
        "from resattnet.datasets import catalog; "
        "catalog.load_images('digits', None, 'test'); "
        "print([name for name in ('mxnet', 'sklearn', 'PIL') if name in sys.modules])"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(catalog.__file__))))
    assert subprocess.check_output([sys.executable, "-c", code], cwd=root).strip() == b"[]"
