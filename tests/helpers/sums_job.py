"""Add up arrays of several lengths again and again in all processes of a job, and print how many sums were wrong.

Arguments: the engine, how many sums, and what gradients are sent as (none).
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import numpy as np  # noqa: E402

from resattnet.distributed.engines import open_group  # noqa: E402
from resattnet.distributed.exchange import Exchange  # noqa: E402

with open_group(Exchange(sys.argv[1], *sys.argv[3:])) as group:
    random, wrong, count = np.random.RandomState(0), 0, int(sys.argv[2])
    for number in range(count):
        length = (10, 100_000, 300, 10, 3_000)[number % 5]
        parts = random.randint(0, 1 << 16, (group.world.size, length)).astype(np.float32)
        wrong += not np.array_equal(group.sum(parts[group.world.rank]), parts.sum(axis=0))
    print(f"{wrong} of {count} sums are wrong", flush=True)
