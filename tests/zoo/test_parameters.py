"""Test that this package and Gluon read parameter files, and that damaged or mismatched files are rejected."""

import builtins
import itertools
import json
import os
import resource
import shutil
from typing import NamedTuple

import numpy as np
import pytest

from helpers.jobs import assert_same_bits
from helpers.networks import change_description
from helpers.tries import FULL
from resattnet.export import symbol
from resattnet.machine.mxnet import mx
from resattnet.models.spec import NetworkSpec
from resattnet.system.errors import InputError
from resattnet.zoo import parameters
from resattnet.zoo.builders import get_attention_cifar, get_attention_net

DESCRIPTION = {
    "network": {"num_layers": 56, "widths": "thin", "classes": 10, "attention_learning": "arl"},
    "dataset": "digits",
}


@pytest.fixture(scope="module")
def net():
    net = get_attention_cifar(10, 56, "thin")
    net.initialize()
    return net


def values(net):
    return {name: p.data().asnumpy() for name, p in net._collect_params_with_prefix().items()}


def test_parameters_and_description_round_trip(tmp_path, net):
    path = str(tmp_path / "best.params")
    parameters.save_parameters(net, path, DESCRIPTION)
    assert sorted(os.listdir(str(tmp_path))) == ["best.json", "best.params"]
    description = parameters.read_description(path)
    assert description["network"] == DESCRIPTION["network"]
    again = get_attention_cifar(**description["network"])
    parameters.load_parameters(again, path, [mx.cpu()])
    assert_same_bits(values(net), values(again))


@pytest.mark.parametrize("missing", [10, 4 << 20])
def test_a_full_disk_keeps_the_earlier_parameters(tmp_path, net, missing):
    """A failed save keeps the previous file. MXNet itself reports no error if only the end of a file does not fit."""
    path = str(tmp_path / "best.params")
    parameters.save_parameters(net, path, dict(DESCRIPTION, epoch=1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) - missing, before[1]))
    try:
        with pytest.raises(OSError, match="is the disk full"):
            parameters.save_parameters(net, path, dict(DESCRIPTION, epoch=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert parameters.read_description(path)["epoch"] == 1
    assert sorted(os.listdir(str(tmp_path))) == ["best.json", "best.params"]


def test_plain_gluon_reads_the_parameters(tmp_path, net):
    parameters.save_parameters(net, str(tmp_path / "best.params"), DESCRIPTION)
    get_attention_cifar(10, 56, "thin").load_parameters(str(tmp_path / "best.params"))


def test_damaged_parameters_are_named_with_the_newest_intact_file(tmp_path, net):
    for name in ("epoch-0001", "last"):
        parameters.save_parameters(net, str(tmp_path / (name + ".params")), DESCRIPTION)
    with open(str(tmp_path / "last.params"), "r+b") as handle:
        handle.seek(100000)
        handle.write(b"damage")
    with pytest.raises(InputError, match="last.params is damaged.*the newest intact file is .*epoch-0001.params"):
        parameters.read_description(str(tmp_path / "last.params"))


def test_files_of_other_writers_are_read(tmp_path, net):
    """Names as in an exported symbol, and as Gluon's `collect_params().save()` writes them, also without a prefix."""
    images = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    symbol.export_symbol(net, str(tmp_path / "exported"), images)
    net.collect_params().save(str(tmp_path / "collected.params"))
    net.collect_params().save(str(tmp_path / "stripped.params"), strip_prefix=net.prefix)
    for name in ("exported-0000.params", "collected.params", "stripped.params"):
        again = get_attention_cifar(10, 56, "thin")
        parameters.load_parameters(again, str(tmp_path / name), [mx.cpu()])
        assert_same_bits(values(net), values(again))
        other = get_attention_cifar(5, 56, "thin")
        other.initialize()
        parameters.load_parameters(other, str(tmp_path / name), [mx.cpu()], head=False)
        assert (values(other)["features.0.weight"] == values(net)["features.0.weight"]).all()
        with pytest.raises(InputError, match="it fits num_layers=56 widths=thin and 10 classes"):
            parameters.load_parameters(get_attention_cifar(10, 92, "thin"), str(tmp_path / name), [mx.cpu()])


@pytest.mark.parametrize(
    "arrays, fault",
    [
        ([mx.nd.ones(2)], "holds 1 arrays without names: give a parameter file that a run saved"),
        ({"a": mx.nd.ones(2, dtype="int8")}, "holds a network in INT8, which is loaded by mxnet.gluon.SymbolBlock"),
        ({"a": mx.nd.ones(2)}, "holds the parameters of another network: no network of this package fits it"),
        ({"a": mx.nd.ones((2, 2)).tostype("row_sparse")}, "an array in it is damaged, or sparse"),
    ],
)
def test_what_is_no_parameter_file_says_what_it_is(tmp_path, net, arrays, fault):
    path = str(tmp_path / "some.params")
    mx.nd.save(path, arrays)
    with pytest.raises(InputError) as error:
        parameters.load_parameters(net, path, [mx.cpu()])
    assert str(error.value).startswith(path) and fault in str(error.value)


def test_a_size_larger_than_the_file_is_not_believed(tmp_path, net):
    path = str(tmp_path / "large.params")
    mx.nd.save(path, {"a": mx.nd.ones(2)})
    with open(path, "r+b") as handle:
        handle.seek(24 + 12)  # of the dimension
        handle.write((10**12).to_bytes(8, "little"))
    with pytest.raises(InputError, match="it is cut short, or a number in it is wrong"):
        parameters.load_parameters(net, path, [mx.cpu()])


def test_a_pipe_in_place_of_parameters_is_refused(tmp_path):
    path = str(tmp_path / "some.params")
    os.mkfifo(path)
    with pytest.raises(InputError, match=r"some.params cannot be read \(it is a named pipe, not a file\)"):
        parameters.read_description(path)


@pytest.mark.parametrize("changed", [{"dataset": "cifar10"}, {"epoch": 9}, {"data": {"mean": [0.5, 0.5, 0.5]}}])
def test_a_changed_description_is_noticed(tmp_path, net, changed):
    path = str(tmp_path / "best.params")
    parameters.save_parameters(net, path, dict(DESCRIPTION, epoch=1))
    with open(str(tmp_path / "best.json")) as handle:
        whole = json.load(handle)
    (tmp_path / "best.json").write_text(json.dumps(dict(whole, **changed)))
    with pytest.raises(InputError) as error:
        parameters.read_description(path)
    assert str(error.value).startswith(
        f"{tmp_path / 'best.json'} is damaged (a value was changed; to keep the change, remove description_sha256): "
    )
    change_description(path, **changed)  # as earlier versions wrote it
    assert parameters.read_description(path)["sha256"] == whole["sha256"]


@pytest.mark.parametrize(
    "changed, fault",
    [
        ({"network": 1}, "it is not a JSON object with an object network"),
        ({"dataset": ["digits"]}, "its dataset is ['digits']"),
        ({"data_dir": {}}, "its data_dir is {}"),
        ({"data": []}, "its data is []"),
        ([], "it is not a JSON object with an object network"),
    ],
)
def test_a_description_of_wrong_types_is_named(tmp_path, net, changed, fault):
    path = str(tmp_path / "best.params")
    parameters.save_parameters(net, path, DESCRIPTION)
    with open(str(tmp_path / "best.json"), "r+") as handle:
        description = json.load(handle)
        del description["description_sha256"]
        text = json.dumps(dict(description, **changed) if changed else changed)
        handle.seek(0)
        handle.truncate()
        handle.write(text)
    with pytest.raises(InputError) as error:
        parameters.read_description(path)
    assert str(error.value).startswith(f"{tmp_path / 'best.json'} is damaged ({fault})")


@pytest.mark.parametrize(
    "changed, fault",
    [
        ({"num_layers": [56]}, "the network has the wrong value [56] of num_layers"),
        ({"classes": "ten"}, "the network has the wrong value 'ten' of classes"),
        ({"classes": True}, "the network has the wrong value True of classes"),
        ({"widths": None}, "the network has the wrong value None of widths"),
        ({"stage_strides": [1, 2]}, "the network has the wrong value [1, 2] of stage_strides"),
        ({"stage_strides": [1, 2, 0]}, "the network has the wrong value [1, 2, 0] of stage_strides"),
        ({"depth": 3}, "the network has depth, which this version of resattnet does not know"),
    ],
)
def test_a_specification_of_wrong_types_is_named(changed, fault):
    with pytest.raises(InputError) as error:
        NetworkSpec.from_dict(dict(DESCRIPTION["network"], **changed))
    assert str(error.value) == fault


@pytest.mark.parametrize("size", [0, 10, 100000])
def test_cut_parameters_without_description(tmp_path, net, size):
    path = str(tmp_path / "cut.params")
    net.save_parameters(path)
    os.truncate(path, size)
    with pytest.raises(InputError, match="cut.params is not a complete parameter file"):
        parameters.load_parameters(net, path, [mx.cpu()])


def test_parameters_of_another_network_name_the_one_they_fit(tmp_path, net):
    path = str(tmp_path / "best.params")
    net.save_parameters(path)
    for other in (get_attention_cifar(10, 92, "thin"), get_attention_cifar(10, 56), get_attention_cifar(9, 56, "thin")):
        with pytest.raises(InputError, match="it fits num_layers=56 widths=thin and 10 classes"):
            parameters.load_parameters(other, path, [mx.cpu()])


@pytest.mark.parametrize(
    "builder, variant, message",
    [
        (get_attention_cifar, dict(widths="tiny", unit="resnext"), "num_layers=56 widths=tiny unit=resnext"),
        (get_attention_cifar, dict(widths="tiny", unit="basic", mask="none"), "widths=tiny unit=basic mask=none"),
        (get_attention_net, dict(widths="tiny", unit="inception"), "widths=tiny stem=imagenet unit=inception"),
    ],
)
def test_parameters_of_other_units_and_stems_name_the_network(builder, variant, message, tmp_path, net):
    path, other = str(tmp_path / "best.params"), builder(10, 56, **variant)
    other.initialize()
    other.save_parameters(path)
    with pytest.raises(InputError, match=f"it fits .*{message} and 10 classes"):
        parameters.load_parameters(net, path, [mx.cpu()])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_all_finite_sees_every_parameter(dtype):
    net = get_attention_cifar(10, 92, "thin")
    net.initialize()
    net.cast(dtype)
    assert parameters.all_finite(net)
    parameter = list(net.collect_params().values())[-1]
    parameter.set_data(mx.nd.full(parameter.shape, np.nan))
    assert not parameters.all_finite(net)


def test_description_is_json_for_others(tmp_path, net):
    parameters.save_parameters(net, str(tmp_path / "best.params"), DESCRIPTION)
    with open(str(tmp_path / "best.json")) as handle:
        assert set(json.load(handle)) == {"network", "dataset", "sha256", "description_sha256"}


DONE, KILLED = 0, 9  # how the process that saves has ended


def save_and_die(path, epoch, call):
    """Save parameters that are all equal to `epoch` in a child process, which ends just before a system call.

    Parameters
    ----------
    call : int
        Number of the call, from 0. The calls are those that open, flush, rename or remove a file.
    """
    child = os.fork()
    if child:
        return os.WEXITSTATUS(os.waitpid(child, 0)[1])
    calls = itertools.count()

    def dying(function):
        def counted(*args, **kwargs):
            if next(calls) == call:
                os._exit(KILLED)
            return function(*args, **kwargs)

        return counted

    for module, names in ((os, ("replace", "fsync", "remove", "stat")), (builtins, ("open",))):
        for name in names:
            setattr(module, name, dying(getattr(module, name)))
    parameters.save_parameters(Constant(epoch), path, dict(DESCRIPTION, epoch=epoch))
    os._exit(DONE)


class Constant(NamedTuple):
    """A stand-in for a network: one array with one value."""

    value: int

    def save_parameters(self, path):
        mx.nd.save(path, {"a": mx.nd.full((8,), self.value)})


def saved_epoch(path):
    """Return the epoch of the parameters, after checking that description and parameters belong together."""
    epoch = parameters.read_description(path)["epoch"]
    assert (mx.nd.load(path)["a"].asnumpy() == epoch).all()
    return epoch


def test_a_save_killed_at_any_moment_leaves_a_pair_that_is_read(tmp_path):
    """The process is killed before each system call of a save, and again before calls of the save after that.

    `make fuzz` takes all of these; else every fourth, with another start for each call of the first save: a fork of
    a process with much memory is slow.
    """
    found = set()
    for first in itertools.count():
        left = tmp_path / str(first)
        left.mkdir()
        parameters.save_parameters(Constant(1), str(left / "best.params"), dict(DESCRIPTION, epoch=1))
        one = save_and_die(str(left / "best.params"), 2, first)
        before = None
        for second in itertools.count() if FULL else itertools.count(first % 4, 4):
            folder = tmp_path / f"{first}-{second}"
            shutil.copytree(str(left), str(folder))
            path = str(folder / "best.params")
            if before is None:
                before = saved_epoch(path)
            other = save_and_die(path, 3, second)
            found.add((before, saved_epoch(path)))
            if other == DONE:
                break
            assert other == KILLED
        if one == DONE:
            break
        assert one == KILLED
    assert first > 5 and found == {(1, 1), (1, 3), (2, 2), (2, 3)}


def test_a_first_save_killed_at_any_moment_is_whole_or_absent(tmp_path):
    for call in itertools.count():
        path = str(tmp_path / f"{call}.params")
        code = save_and_die(path, 2, call)
        assert not os.path.exists(path) or saved_epoch(path) == 2
        if code == DONE:
            break
        assert code == KILLED


def test_a_description_that_cannot_get_its_name_is_still_found(tmp_path, monkeypatch):
    path, replace = str(tmp_path / "best.params"), os.replace
    parameters.save_parameters(Constant(1), path, dict(DESCRIPTION, epoch=1))

    def fail(source, target):
        if target.endswith(".json"):
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError):
        parameters.save_parameters(Constant(2), path, dict(DESCRIPTION, epoch=2))
    monkeypatch.setattr(os, "replace", replace)
    assert saved_epoch(path) == 2
    parameters.save_parameters(Constant(3), path, dict(DESCRIPTION, epoch=3))
    assert saved_epoch(path) == 3 and sorted(os.listdir(str(tmp_path))) == ["best.json", "best.params"]
