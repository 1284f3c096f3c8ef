"""Test what processes agree on, in threads: sums, facts, wishes, statistics; and who a process is."""

import signal

import numpy as np
import pytest

from helpers.groups import together
from resattnet.distributed import environment
from resattnet.distributed.engines import KVSTORES, open_group
from resattnet.distributed.exchange import Exchange
from resattnet.distributed.group import SOLO
from resattnet.distributed.same_start import check_same
from resattnet.distributed.statistics import average_statistics, gather_statistics
from resattnet.distributed.wishes import Wishes
from resattnet.launcher.members import members_of
from resattnet.launcher.options import LaunchOptions
from resattnet.machine.mxnet import mx
from resattnet.runs.progress import Progress
from resattnet.system.errors import InputError
from resattnet.training import figures
from resattnet.training.meters import Meter
from resattnet.training.processes import note_processes


def test_sums_of_any_shape_are_the_same_everywhere():
    for shape in ((), (1,), (3, 5), (70000,)):
        results = together(3, lambda group, shape=shape: group.sum(np.full(shape, 1.0 + group.world.rank)))
        assert all(result.shape == shape and (result == 6).all() for result in results)


def test_totals_are_exact_in_float64_and_added_by_rank():
    values = [0.1, 1e300, -3.3333333333333333, float("inf")]
    results = together(3, lambda group: group.total([value / (1 + group.world.rank) for value in values]))
    for place, value in enumerate(values):
        expected = (value / 1 + value / 2) + value / 3
        assert [result[place] for result in results] == [expected] * 3
    assert np.isnan(together(2, lambda group: group.total([float("nan") if group.is_first else 1.0]))[1])
    assert SOLO.total([0.1, 2.0]).tolist() == [0.1, 2.0]


def test_what_one_process_has_arrives_as_it_is():
    value = {"names": ["ä", None, 1.5], "empty": {}}
    assert (
        together(4, lambda group: group.broadcast_object(value if group.world.rank == 2 else 7, root=2)) == [value] * 4
    )
    arrays = together(2, lambda group: group.broadcast(np.arange(3) + group.world.rank / 3, root=1))
    assert all((array == (np.arange(3) + 1 / 3).astype(np.float32)).all() for array in arrays)
    gathered = together(3, lambda group: group.gather([group.world.rank, -1.0]))
    assert gathered[1].tolist() == [[0, -1], [1, -1], [2, -1]]


def test_an_error_on_rank_0_is_raised_everywhere():
    calls = []

    def lock():
        calls.append(1)
        raise InputError("`name=a`: models/a exists already")

    errors = together(3, lambda group: group.on_first(lock))
    assert [str(error) for error in errors] == ["name=a: models/a exists already"] * 3 and len(calls) == 1
    assert together(2, lambda group: group.on_first(lambda: "models/b")) == ["models/b"] * 2


def test_a_rank_that_differs_is_named_and_refused_everywhere():
    def start(group, **other):
        facts = {"--lr": 0.1, "the version": "1", "the data set": {"samples": [1, 2]}}
        check_same(group, {**facts, **(other if group.world.rank == 1 else {})})

    assert together(3, start) == [None] * 3
    for other, words in (
        ({"--lr": 0.2}, "--lr is 0.2 in place of 0.1"),
        ({"the version": "2"}, 'the version is "2" in place of "1"'),
        ({"the data set": {"samples": [1, 3]}}, 'the data set is {"samples": [1, 3]} in place of {"samples": [1, 2]}'),
    ):
        errors = together(3, lambda group, other=other: start(group, **other))
        expected = f"rank 1 of 3 would not train the run of rank 0: {words}; start all ranks with the same command"
        assert all(str(error).startswith(expected) for error in errors), errors
    errors = together(3, lambda group: check_same(group, {"--seed": group.world.rank}))
    assert str(errors[0]).startswith("ranks 1, 2 of 3 would not train the run of rank 0: --seed is 1 in place of 0")


def test_all_processes_do_after_a_step_what_one_wants():
    def agree(group):
        rank = group.world.rank
        return Wishes(signal.SIGTERM if rank == 1 else 0, rank == 2, is_due=rank == 0, report=rank == 2).agree(group)

    assert together(3, agree) == [Wishes(signal.SIGTERM, True, True, False)] * 3
    assert together(2, lambda group: Wishes().agree(group)) == [Wishes()] * 2
    both = together(2, lambda group: Wishes([signal.SIGTERM, signal.SIGINT][group.world.rank]).agree(group))
    assert both == [Wishes(signal.SIGINT)] * 2
    assert Wishes(signal.SIGHUP, report=True).agree(SOLO) == Wishes(signal.SIGHUP, report=True)


def normalised(values):
    """Return a network whose running mean has these values on its devices."""
    net = mx.gluon.nn.BatchNorm(in_channels=2)
    net.initialize(ctx=[mx.cpu(device) for device in range(len(values))])
    for data, value in zip(net.running_mean.list_data(), values):
        data[:] = value
    return net


def test_running_statistics_are_averaged_over_all_devices_of_all_processes():
    def average(group):
        net = normalised([1.0 + 2 * group.world.rank, 2.0 + 2 * group.world.rank])
        copies = gather_statistics(net, group)["running_mean"]
        assert [copy[0] for copy in copies] == [1, 2, 3, 4]
        average_statistics(net, group)
        return [data.asnumpy().tolist() for data in net.running_mean.list_data()]

    assert together(2, average) == [[[2.5, 2.5]] * 2] * 2

    def keep(group):
        net = normalised([0.1])
        average_statistics(net, group)
        return net.running_mean.data().asnumpy()

    assert all((kept == np.float32(0.1)).all() for kept in together(3, keep))


def test_counted_figures_are_those_of_all_processes():
    def count(group):
        meter = Meter(group=group)
        for part in range(2):
            meter.add(mx.nd.array([0.5 + group.world.rank]), mx.nd.array([1 + part]), 4)
        meter.collect()
        meter.add(mx.nd.array([1.0]), mx.nd.array([0]), 2)
        meter.collect()
        return meter.loss, meter.hits, meter.samples

    assert together(2, count) == [(1.0 + 3.0 + 2.0, 6, 20)] * 2


def test_validation_counts_each_image_once_also_where_a_process_has_no_batch(monkeypatch):
    class Loader:
        def __init__(self, batches):
            self.batches = batches
            self.sampler = type("Sampler", (), {"rounds": 2})

        def __len__(self):
            return len(self.batches)

        def epoch(self, _number):
            return iter(self.batches)

    def logits(labels):
        return np.eye(10)[labels] * 9

    shards = [[[0, 1, 2], [3, 4]], [[5, 6]], []]
    watched = [0, 0, 0]

    def fake(_net, batches, _devices, _dtype, watch):
        from resattnet.evaluation.metrics import Evaluation

        rows = []
        for batch in batches:
            watch()
            rows += batch
        predicted = [4 if row == 3 else row for row in rows]
        return Evaluation(logits(predicted), np.array(rows))

    monkeypatch.setattr(figures, "evaluate", fake)
    step = type("Step", (), {"devices": [], "dtype": "float32"})

    def measure(group):
        rank = group.world.rank

        def watch():
            watched[rank] += 1

        return figures.measure(None, Loader(shards[rank]), iter, step, watch, group)

    results = together(3, measure)
    assert results[0] == results[1] == results[2] and watched == [2, 2, 2]
    assert results[0].top1 == 6 / 7 and results[0].top5 == 1 and results[0].is_finite


def test_another_number_of_processes_is_noted():
    progress, remarks = Progress(step=4, processes=2), []
    together(3, lambda group: group.is_first and note_processes(progress, group, remarks))
    assert progress.processes == 3 and remarks[0].startswith("the run goes on in 3 processes in place of 2: ")
    note_processes(progress, SOLO, remarks)
    assert remarks[1].startswith("the run goes on in 1 process in place of 3: ")
    note_processes(Progress(), SOLO, remarks)
    assert len(remarks) == 2


@pytest.mark.parametrize(
    "variables, rank, size, local",
    [
        ({}, None, 1, (0, 1)),
        ({"DMLC_ROLE": "worker", "DMLC_WORKER_ID": "1", "DMLC_NUM_WORKER": "3"}, 1, 3, (0, 1)),
        ({"SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NTASKS": "8"}, 5, 1, (1, 1)),
        (
            {
                "OMPI_COMM_WORLD_RANK": "2",
                "OMPI_COMM_WORLD_SIZE": "4",
                "OMPI_COMM_WORLD_LOCAL_RANK": "0",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
            },
            2,
            4,
            (0, 2),
        ),
        (
            {"HOROVOD_RANK": "1", "HOROVOD_SIZE": "2", "HOROVOD_LOCAL_RANK": "1", "HOROVOD_LOCAL_SIZE": "2"},
            1,
            2,
            (1, 2),
        ),
        ({"DMLC_WORKER_ID": "x"}, None, 1, (0, 1)),
    ],
)
def test_ranks_are_read_from_the_environment(variables, rank, size, local):
    assert environment.launched_rank(variables) == rank and environment.launched_size(variables) == size
    assert (environment.local_rank(variables), environment.local_size(variables)) == local


def test_the_limit_of_a_hang_is_what_the_launcher_was_given():
    for seconds in (0.5, 600.0, 1e6):
        (member, *_) = members_of(LaunchOptions(hang_timeout=seconds), ["train"])
        assert environment.hang_timeout(member.environment) == seconds
    assert environment.hang_timeout({}) == 0


def test_an_engine_and_a_launcher_need_each_other(monkeypatch):
    monkeypatch.delenv("DMLC_ROLE", raising=False)
    assert open_group(Exchange()).world == SOLO.world
    for name in ("dist_sync", "dist_device_sync", "dist_async"):
        with pytest.raises(InputError, match=f"^kvstore={name}: no launcher has started this process: put the command"):
            open_group(Exchange(name))
    monkeypatch.setenv("DMLC_ROLE", "worker")
    monkeypatch.setenv("DMLC_NUM_WORKER", "2")
    with pytest.raises(InputError, match="^a launcher has started 2 processes, and each would train the same run"):
        open_group(Exchange())
    assert list(KVSTORES)[0] == "dist_sync"
