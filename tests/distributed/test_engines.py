"""Test the engines besides MXNet's own: Horovod where it is installed, BytePS by a stand-in with its interface."""

import importlib.util
import os
import shutil
import sys

import numpy as np
import pytest

from helpers import jobs, live_runs
from helpers.jobs import EXACT, FLAGS, FROZEN, alone, arrays, assert_same_bits, assert_same_training, history, ran, run
from helpers.scripts import ROOT
from helpers.tries import FULL
from resattnet.distributed.byteps_group import import_byteps
from resattnet.distributed.engines import COMPRESSIONS
from resattnet.distributed.horovod_group import import_horovod
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError

STAND_IN = os.path.join(ROOT, "tests", "helpers", "byteps_stand_in")


def horovod_here():
    """Skip the test where Horovod cannot run."""
    if not importlib.util.find_spec("horovod"):
        pytest.skip("Horovod is not installed: docs/distributed.md says how to build it")
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    assert shutil.which("horovodrun", path=path)
    return jobs.environment(PATH=path)


def byteps_here():
    """Return the environment of a job that uses the stand-in."""
    environment = jobs.environment(PATH=os.pathsep.join([STAND_IN, os.environ["PATH"]]))
    return dict(environment, PYTHONPATH=os.pathsep.join([ROOT, STAND_IN]))


ENGINES = {"horovod": horovod_here, "byteps": byteps_here}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ENGINES)
def test_two_processes_with_half_of_the_batch_train_as_one(tmp_path, engine):
    env = ENGINES[engine]()
    words = [FROZEN, *EXACT, "-b", 8, "--name", "two", "--kvstore", engine, "--clip-gradient", 5]
    output = ran(run(tmp_path, "-n", 2, *words, env=env))
    assert f"of each of 2 processes ({engine})" in output
    alone(tmp_path, FROZEN, *EXACT, "-b", 16, "--name", "one", "--clip-gradient", 5)
    assert_same_training(arrays(tmp_path, "one"), arrays(tmp_path, "two"))
    (row,), (expected,) = history(tmp_path, "two"), history(tmp_path, "one")
    assert all(abs(row[name] - value) < 1e-4 for name, value in expected.items())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(tmp_path, engine):
    env = ENGINES[engine]()
    live_runs.write_noise_records(tmp_path)
    flags = ["train", *FLAGS, "--kvstore", engine, "--lr-schedule", "step", "--lr-steps", 1, "--epochs"]
    ran(run(tmp_path, "-n", 2, *flags, 3, "--name", "whole", env=env))
    ran(run(tmp_path, "-n", 2, *flags, 2, "--name", "parts", env=env))
    ran(run(tmp_path, "-n", 2, "train", "--resume", "models/parts", "--kvstore", engine, "--epochs", 3, env=env))
    assert_same_bits(arrays(tmp_path, "whole"), arrays(tmp_path, "parts"))
    statistics = [name for name in arrays(tmp_path, "whole") if name.endswith("running_mean/1")]
    assert statistics and np.isfinite(arrays(tmp_path, "whole")[statistics[0]]).all()


@pytest.mark.parametrize("name, load", [("horovod", import_horovod), ("byteps", import_byteps)])
def test_a_missing_engine_is_one_line(name, load, monkeypatch):
    monkeypatch.setitem(sys.modules, f"{name}.mxnet", None)
    with pytest.raises(InputError, match=f"^kvstore={name}: .* with MXNet cannot be imported \\(.*\\).*pip install"):
        load()


@pytest.mark.parametrize("engine", ["horovod", "byteps", "dist_async"])
def test_a_process_of_these_engines_has_one_device(engine):
    for name, value in (("num_cpus", 2), ("num_gpus", 2)):
        with pytest.raises(InputError, match="its processes have one device each; start more processes"):
            TrainingOptions(kvstore=engine, **{name: value})


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not FULL, reason="validates 10,000 images twice: `make fuzz` does")
def test_horovod_trains_as_one_on_real_images(tmp_path, cifar10_dir):
    env = horovod_here()
    flags = ["--dataset", "cifar10", "--data-dir", cifar10_dir, *EXACT[2:]]
    ran(run(tmp_path, "-n", 2, FROZEN, *flags, "-b", 8, "--name", "two", "--kvstore", "horovod", env=env))
    alone(tmp_path, FROZEN, *flags, "-b", 16, "--name", "one")
    assert_same_training(arrays(tmp_path, "one"), arrays(tmp_path, "two"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_horovod_trains_with_float16_gradients(tmp_path):
    env = horovod_here()
    words = ["train", *EXACT, "-b", 32, "--kvstore", "horovod"]
    ran(run(tmp_path, "-n", 2, *words, "--name", "half", "--compress-gradients", "fp16", env=env))
    ran(run(tmp_path, "-n", 2, *words, "--name", "whole", env=env))
    half, whole = arrays(tmp_path, "half"), arrays(tmp_path, "whole")
    momenta = [name for name in whole if name.startswith("optimizer/")]
    apart = max(np.abs(half[name] - whole[name]).max() for name in momenta)
    assert 0 < apart < 0.01 * max(np.abs(whole[name]).max() for name in momenta)


def test_compression_and_engine_belong_together():
    for given, words in (
        (dict(compress_gradients="2bit"), "compress_gradients=2bit needs .*kvstore=dist_sync.* or "),
        (dict(compress_gradients="fp16", kvstore="dist_sync"), "compress_gradients=fp16 needs .*kvstore=horovod"),
        (dict(compress_gradients="2bit", kvstore="dist_async"), "compress_gradients=2bit needs"),
        (dict(compression_threshold=2.0, kvstore="dist_sync"), "has no effect without .*compress_gradients=2bit"),
        (dict(kvstore="dist_async", float16=True), "a small update of a float16 weight is lost"),
    ):
        with pytest.raises(InputError, match=words):
            TrainingOptions(**given)
    assert set(COMPRESSIONS) == {"2bit", "fp16"} and COMPRESSIONS["fp16"] == ["horovod"]


def test_what_several_processes_cannot_do_is_refused():
    for given, words in (
        (dict(time_limit="1h"), "the speed of several processes is not measured"),
        (dict(lr_find=True), "rates are tested in one process"),
        (dict(loader="dali", data_format="rec"), "DALI does not divide its images among processes"),
    ):
        with pytest.raises(InputError, match=words):
            TrainingOptions(kvstore="dist_sync", **given)
