"""Groups of processes that are threads of one process, to test what an engine carries without an engine."""

import threading

import numpy as np

from resattnet.distributed.group import Group
from resattnet.system.world import World


class _ThreadGroup(Group):
    def __init__(self, world, parts, barrier):
        super().__init__(world)
        self._parts, self._barrier = parts, barrier

    def _sum(self, array):
        self._parts[self.world.rank] = array
        self._barrier.wait(30)
        lengths = {len(part) for part in self._parts}
        assert len(lengths) == 1, f"the processes add arrays of different lengths: {lengths}"
        result = np.sum(self._parts[::-1], axis=0, dtype=np.float32)
        self._barrier.wait(30)
        return result


def together(size, work):
    """Call `work(group)` in each of `size` threads; return the results, or the exceptions, by rank."""
    parts, barrier, results = [None] * size, threading.Barrier(size), [None] * size

    def call(rank):
        try:
            results[rank] = work(_ThreadGroup(World(rank, size), parts, barrier))
        except Exception as error:  # it is what the test looks at
            results[rank] = error
            if not isinstance(error, ValueError):
                barrier.abort()

    threads = [threading.Thread(target=call, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results
