"""Test batch normalisation by the statistics of the batch on all devices, against one device with the whole batch."""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from helpers import jobs
from helpers.scripts import ROOT
from resattnet.machine import cores
from resattnet.machine.mxnet import mx
from resattnet.models.batch_norm import BatchNorm, SynchronisedDevices, synchronise
from resattnet.models.network import build
from resattnet.models.spec import NetworkSpec
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError

HELPER = os.path.join(ROOT, "tests", "helpers", "synchronised.py")


@pytest.mark.parametrize("unit, sizes", [("bottleneck", [[4, 4], [4, 3], [1]]), ("basic", [[2, 2]])])
def test_two_devices_have_statistics_and_gradients_of_one_with_the_whole_batch(unit, sizes):
    """Also with parts of different sizes, and with a batch of one image, which the second device does not see."""
    done = subprocess.run(
        [sys.executable, HELPER, unit, json.dumps(sizes)],
        env=jobs.environment(),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    apart = json.loads(done.stdout)
    assert len(apart["gradients"]) == len(sizes) and max(apart["gradients"]) < 1e-9
    assert apart["statistics"][0] < 1e-5 and (len(sizes) > 1 or apart["statistics"][1] < 1e-5)


def test_a_run_on_two_devices_has_one_set_of_statistics(tmp_path):
    flags = "--dataset digits --widths tiny -b 4 --num-cpus 2 --sync-bn 1 --max-steps 2 --name run".split()
    jobs.alone(tmp_path, "-m", "resattnet", "train", *flags)
    arrays = jobs.arrays(tmp_path, "run")
    pairs = [(array, arrays[name[:-1] + "1"]) for name, array in arrays.items() if name.endswith("running_mean/0")]
    assert len(pairs) > 50 and all(np.array_equal(one, other) and one.any() for one, other in pairs[:5])


def test_layers_with_fixed_statistics_stay_and_names_too():
    net = build(NetworkSpec(10, stem="cifar", num_layers=56, widths="tiny"))
    layers = []
    net.apply(lambda block: layers.append(block) if isinstance(block, BatchNorm) else None)
    layers[0]._kwargs["use_global_stats"] = True
    devices = synchronise(net, [mx.cpu(0), mx.cpu(1)])
    assert layers[0].devices is None and all(layer.devices is devices for layer in layers[1:])
    assert all("batchnorm" in layer.name for layer in layers)


def test_a_device_that_does_not_come_is_an_error(monkeypatch):
    monkeypatch.setattr("resattnet.models.batch_norm._PATIENCE", 0.1)
    devices = SynchronisedDevices([mx.cpu(0), mx.cpu(1)])
    devices.begin([1, 1])
    with pytest.raises(RuntimeError, match="norm1: 1 of 2 devices have come to step 0 in 0 s"):
        devices.gather("norm1", "forward", 0, 0, 2, np.zeros(1))


def test_devices_get_what_all_of_them_have():
    devices = SynchronisedDevices([mx.cpu(0), mx.cpu(1)])
    for sizes in ([3, 2], [1], [2, 2]):
        devices.begin(sizes)
    assert [devices.next_step("a", 1) for _ in range(2)] == [(0, [3, 2]), (2, [2, 2])]
    assert [devices.next_step("a", 0)[0] for _ in range(3)] == [0, 1, 2]
    found = {}
    threads = [
        threading.Thread(target=lambda p=place: found.update({p: devices.gather("a", "forward", 0, p, 2, p)}))
        for place in (0, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == {0: [0, 1], 1: [0, 1]}


def test_scratch_memory_is_separate_unless_the_user_has_set_it(monkeypatch):
    monkeypatch.setattr(cores, "_defaults", {})
    monkeypatch.delenv("MXNET_CPU_TEMP_COPY", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    cores.split_cores(2)
    cores.separate_scratch()
    assert int(os.environ["MXNET_CPU_TEMP_COPY"]) > 10000
    monkeypatch.setenv("MXNET_CPU_TEMP_COPY", "8")
    cores.separate_scratch()
    assert os.environ["MXNET_CPU_TEMP_COPY"] == "8"


@pytest.mark.parametrize("other", [{"kvstore": "dist_sync"}, {"dtype": "bfloat16", "num_gpus": 0}])
def test_what_does_not_go_with_it_is_refused(other):
    with pytest.raises(InputError, match="sync_bn=True .*statistics are"):
        TrainingOptions(sync_bn=True, **other)
