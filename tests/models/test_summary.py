"""Test `python -m resattnet`: figures for each network, and messages for invalid input."""

import subprocess
import sys

import pytest

import resattnet
from helpers.in_process import package_here
from helpers.scripts import ROOT
from resattnet.models import summary

# Parameters and GMACs by depth, counted by hand from the definitions in arXiv 1704.06904.
CIFAR = {56: (7467370, 0.503), 92: (12646506, 0.851), 128: (13905770, 1.216), 164: (17124970, 1.572)}
IMAGENET = {56: (31810728, 6.271), 92: (52466344, 10.534)}


def told(*args):
    return subprocess.run(
        [sys.executable, "-m", "resattnet"] + [str(arg) for arg in args],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=280,
    )


@pytest.mark.parametrize(
    "build, classes, side, depth, expected",
    [
        (build, classes, side, depth, expected)
        for build, classes, side, known in (
            ("get_attention_cifar", 10, 32, CIFAR),
            ("get_attention_net", 1000, 224, IMAGENET),
        )
        for depth, expected in known.items()
    ],
)
def test_parameters_and_macs(build, classes, side, depth, expected):
    parameters, macs = summary.total(summary.layers(getattr(resattnet, build)(classes, depth), side, side))
    assert parameters == expected[0] and macs / 1e9 == pytest.approx(expected[1], abs=6e-4)


def test_layers_are_those_of_the_network():
    net = resattnet.get_attention_cifar(10, 56, widths="thin")
    rows = summary.layers(net, 32, 48)
    assert [row.name for row in rows] == [f"features.{index}" for index in range(len(net.features))] + ["output"]
    assert rows[0] == ("features.0", "Conv2D", (16, 32, 48), 16 * 3 * 9, 16 * 3 * 9 * 32 * 48)
    assert rows[4].kind == "AttentionModule" and rows[4].shape == (64, 32, 48)
    assert rows[-1] == ("output", "Dense", (10,), 2570, 2560)
    lines = summary.table(rows)
    assert len({len(line) for line in lines}) == 1 and lines[-1].split()[:2] == ["total", "1,214,394"]


@pytest.mark.slow
def test_the_packaged_networks():
    done = told()
    assert done.returncode == 0 and not done.stderr, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"resattnet {resattnet.__version__}, Python ") and "MXNet 1.9.1" in lines[0]
    assert any(line.startswith("CPU ") for line in lines) and any("GPU" in line for line in lines)
    (row,) = [line for line in lines if line.startswith("  452 ")]
    assert "43,783,274" in row and "176,499,368" in row and "48.487 GMACs" in row


def test_a_summary_and_bad_input():
    done = told("summary", "--widths", "thin", "--mask", "none")
    assert done.returncode == 0 and "774,458" in done.stdout.splitlines()[-1]
    done = package_here("summary", "--stem", "imagenet", "--unit", "resnext")
    assert done.stdout.splitlines()[-1].split() == ["total", "31,322,408", "6419.11"]
    for args, message in (
        (("summary", "--num-layers", 50), "--num-layers 50: choose from 56, 92"),
        (("summary", "--stem", "imagenet", "--widths", "wide"), "--widths wide: choose from full, thin, tiny"),
        (("summary", "--unit", "next"), "--unit next: choose from bottleneck, resnext, inception, basic"),
    ):
        done = package_here(*args)
        assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
