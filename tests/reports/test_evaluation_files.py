"""Test the figures of evaluation results: the corruption sheet and the reliability diagram."""

import os

import numpy as np
import pytest

from resattnet.data.corruptions import STRENGTHS, corrupt
from resattnet.datasets import catalog
from resattnet.evaluation.metrics import compute_reliability
from resattnet.reports import evaluation_figures, figure_style, image_grids
from resattnet.reports.evaluation_files import corruption_sheet


def test_reliability_diagram_has_the_bins(tmp_path):
    figure = evaluation_figures.reliability_diagram(
        compute_reliability(np.array([0.5, 0.5, 0.99]), np.array([True, True, False]))
    )
    upper, lower = figure.axes
    bars = {
        label: [bar.get_height() for bar in container]
        for label, container in zip(upper.get_legend_handles_labels()[1][-3:], upper.containers)
    }
    assert bars["accuracy"] == [0.5, 0] and bars["under-confident: accuracy above confidence"] == [0.5, 0]
    assert bars["over-confident: confidence above accuracy"] == [0, 0.99]
    assert upper.get_ylabel() == "accuracy" and lower.get_xlabel().startswith("confidence")
    assert upper.get_title() == "expected calibration error (ECE) 0.6633"  # (2 * 0.5 + 0.99) / 3
    assert [bar.get_height() for bar in lower.patches] == pytest.approx([0] * 7 + [2 / 3] + [0] * 6 + [1 / 3])
    figure_style.save(figure, str(tmp_path / "x.png"))
    assert os.listdir(str(tmp_path)) == ["x.png"]


def test_the_sheet_shows_the_first_image_of_each_class(monkeypatch):
    digits, drawn = catalog.load_images("digits", None, "test"), []
    draw = image_grids.mosaics
    monkeypatch.setattr(image_grids, "mosaics", lambda *args: drawn.append(args) or draw(*args))
    corruption_sheet(digits, ("noise", "jpeg"))
    ((panels, columns, rows),) = drawn
    assert columns == ("clean", "1", "2", "3", "4", "5") and rows == list("0123456789")
    assert [title.split(":")[0] for title, _ in panels] == ["noise", "jpeg"]
    for name, (_, images) in zip(("noise", "jpeg"), panels):
        whole = [digits.images] + [corrupt(digits.images, name, strength) for strength in STRENGTHS]
        for label in range(10):
            row = digits.labels.tolist().index(label)
            assert (images[label] == [stage[row] for stage in whole]).all()


def test_mosaics_put_each_image_in_its_place():
    images = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 5, 3), dtype=np.uint8)
    figure = image_grids.mosaics([("a", images), ("b$", images[::-1])], "xyz", "uv", per_row=1)
    for axes, expected in zip(figure.axes, (images, images[::-1])):
        shown = np.asarray(axes.get_images()[0].get_array())
        assert [text.get_text() for text in axes.get_xticklabels()] == list("xyz")
        for row in range(2):
            for column in range(3):
                assert (shown[5 * row : 5 * row + 4, 6 * column : 6 * column + 5] == expected[row, column]).all()
                assert 6 * column < axes.get_xticks()[column] < 6 * column + 4


def test_a_sheet_of_many_classes_shows_ten(monkeypatch):
    images = np.zeros((100, 8, 8, 3), np.uint8)
    many = catalog.ImageSet(images, np.arange(100, dtype=np.int32)[::-1].copy(), tuple(f"c{k}" for k in range(100)))
    drawn = []
    draw = image_grids.mosaics
    monkeypatch.setattr(image_grids, "mosaics", lambda *args: drawn.append(args) or draw(*args))
    corruption_sheet(many, ("blur",))
    assert drawn[0][2] == [f"c{label}" for label in range(0, 100, 11)]
