"""Test how the processes of a run divide an epoch: each sample once, equal numbers of steps, a new order each epoch."""

import numpy as np
import pytest

from resattnet.loaders.samplers import BatchSampler
from resattnet.system.world import World


def samplers(total, batch_size, size, seed, smallest=1):
    return [BatchSampler(total, batch_size, seed, World(rank, size), smallest) for rank in range(size)]


@pytest.mark.parametrize(
    "total, batch_size, size", [(100, 10, 2), (101, 8, 3), (64, 16, 4), (67, 16, 2), (1437, 32, 4)]
)
@pytest.mark.parametrize("smallest", [1, 8])
def test_shards_are_disjoint_cover_the_set_and_have_equal_steps(total, batch_size, size, smallest):
    shards = samplers(total, batch_size, size, 3, smallest)
    assert len({len(shard) for shard in shards}) == 1  # a worker with one batch more would wait for ever
    orders = []
    for epoch in (0, 1):
        steps = [[shard.rows(epoch, step) for shard in shards] for step in range(len(shards[0]))]
        rows = np.concatenate([np.concatenate(parts) for parts in steps])
        assert sorted(rows.tolist()) == list(range(total))
        for step, parts in enumerate(steps):
            counts = {shard.step_samples(step) for shard in shards}
            assert counts == {sum(map(len, parts))}  # what the gradients are divided by, known to all
        orders.append(rows.tolist())
    assert orders[0] != orders[1]
    assert {shard.total for shard in shards} == {total}


def test_a_step_of_several_processes_has_the_images_of_the_step_of_one():
    one, two = samplers(640, 64, 1, 5)[0], samplers(640, 32, 2, 5)
    for step in range(len(one)):
        rows = np.concatenate([shard.rows(0, step) for shard in two])
        assert (rows == one.rows(0, step)).all() and one.step_samples(step) == two[0].step_samples(step) == 64


@pytest.mark.parametrize(
    "total, batch_size, size, rounds", [(100, 10, 3, 4), (20, 16, 2, 1), (20, 16, 4, 1), (7, 8, 3, 1)]
)
def test_validation_has_each_sample_once_and_every_process_knows_the_longest_shard(total, batch_size, size, rounds):
    shards = samplers(total, batch_size, size, None)
    rows = [shard.rows(0, step) for shard in shards for step in range(len(shard))]
    assert sorted(np.concatenate(rows).tolist()) == list(range(total))
    assert {shard.rounds for shard in shards} == {rounds} and max(map(len, shards)) == rounds
