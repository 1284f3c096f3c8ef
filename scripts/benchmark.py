#!/usr/bin/env python3
"""Measure the speed of the package on this machine's CPU, part by part, and against PyTorch where it is installed.

    python scripts/benchmark.py                                  # all parts, Attention-56, batch 64
    python scripts/benchmark.py train inference --repeats 9      # only these
    python scripts/benchmark.py epoch --dataset cifar10 --steps 100
    python scripts/benchmark.py --json speed.json --profile 1
    python scripts/benchmark.py --widths thin --cost data/cost   # a row for each batch, depth, number of processes

The parts: `train` is one training step (forward, loss, backward, update), `inference` the logits of a batch,
`input` what makes batches, against the reference's chain for single images, and `epoch` training steps on
batches from the loader, against the same steps on one constant batch.

`--cost FILE` measures instead what a training step costs, in images per second, memory and busy cores.

The contenders of a part take turns, A B C A B C ..., each in its own process with as many threads
(OMP_NUM_THREADS, else one per core); several CPU devices divide these threads and the batch among them. The table
gives the median, lowest and highest images per second, and the medians of the ratios within each round: to the
part's first row and to the PyTorch row of the same type. PyTorch is optional (`pip install -e '.[bench]'`), and
runs a net of the same layers and weights in channels_last; bfloat16 there is autocast. Other work on the machine
disturbs: the load at the start is in the table's head.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from resattnet.benchmark.options import BENCHMARK_PARTS, BenchmarkOptions  # noqa: E402
from resattnet.system import command_line  # noqa: E402
from resattnet.system.errors import InputError  # noqa: E402


def parse():
    """Return the options and the parts to measure, in their order."""
    parser = command_line.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"parts to measure: {', '.join(BENCHMARK_PARTS)} (default: all)"
    )
    command_line.add_options(parser, BenchmarkOptions)
    given = vars(parser.parse_args())
    parts = given.pop("parts")
    for part in parts:
        if part not in BENCHMARK_PARTS:
            raise InputError(f"{part}: choose the parts from {', '.join(BENCHMARK_PARTS)}")
    if parts and given.get("cost") is not None:
        raise InputError(f"--cost {given['cost']}: it measures instead of the parts; leave {' '.join(parts)} out")
    return BenchmarkOptions(**given), [part for part in BENCHMARK_PARTS if part in parts or not parts]


def head(facts):
    """The conditions, as lines."""
    versions = "  ".join("{} {}".format(*item) for item in sorted(facts["versions"].items()) if item[1])
    yield (
        f"{facts['cpu']} ({' '.join(facts['instructions']) or 'instructions unknown'}), {facts['cores']} cores, "
        f"{facts['threads']} threads, load {facts['load']:.1f}"
    )
    yield f"Python {facts['python']}  {versions}"


def describe_conditions(facts):
    """What the parts are measured on, as a line."""
    return (
        f"Attention-{facts['num_layers']} ({facts['widths']}), batch {facts['batch_size']}, {facts['repeats']} "
        f"repeats of {facts['steps']} steps, {facts['date']}"
    )


def table(part, results):
    """The rows of one part."""
    width = max(len(result.name) for result in results)
    yield f"\n{part:<{width}}  images/s       min - max        vs first  vs PyTorch"
    for result in results:
        row = result.summary()
        speed, rival = row["images_per_second"], row["ratio_to_pytorch"]
        yield "%-*s  %8.1f  %8.1f - %-8.1f  %8.3f  %10s" % (
            width,
            result.name,
            speed["median"],
            speed["min"],
            speed["max"],
            row["ratio_to_first"]["median"],
            f"{rival['median']:.3f}" if rival else "-",
        )


def emulation(facts, results):
    """A note, if the results have bfloat16 on a CPU that is known to have no instructions for it."""
    if not facts["instructions"] or any("bf16" in name for name in facts["instructions"]):
        return []
    return ["this CPU has no bfloat16 instructions: it is emulated, and slower than float32"] * any(
        "bfloat16" in result.name for result in results
    )


def profile_table(rows):
    """The rows of a profile."""
    width = max(len(row.name) for row in rows)
    yield f"\n{'training step':<{width}}  % of time  ms per step  calls per step"
    for row in rows:
        yield f"{row.name:<{width}}  {100 * row.share:9.1f}  {row.milliseconds:11.2f}  {row.calls:14.1f}"


def measure_costs(options):
    """Measure and print row by row; what is too large for this machine is said and left out."""
    from resattnet.benchmark import scaling

    rows = []
    for load in scaling.LOADS:
        try:
            rows.append(scaling.measure_cost(load, options.widths, options.repeats, options.dtype))
        except InputError as error:
            print(f"note: {error}", flush=True)
            continue
        print(
            "  ".join(
                f"{name} {(f'{value:.1f}' if isinstance(value, float) else value)}"
                for name, value in rows[-1]._asdict().items()
            ),
            flush=True,
        )
        scaling.write_table(options.cost + ".csv", rows)
    if not rows:
        raise InputError(f"--cost {options.cost}: none of the loads could be measured on this machine")
    scaling.draw(options.cost + ".png", rows)


def main():
    """Measure."""
    options, parts = parse()
    from resattnet.benchmark import cases, measure, profile
    from resattnet.system.files import write_json, writing

    report = {"conditions": measure.conditions(options), "notes": [], "results": []}
    print("\n".join(head(report["conditions"])), flush=True)
    if options.cost:
        return measure_costs(options)
    print(describe_conditions(report["conditions"]), flush=True)
    for part in parts:
        chosen = [contender for contender in cases.CONTENDERS if contender.part == part]
        results, notes = measure.measure_speed(chosen, options)
        report["results"] += [result.summary() for result in results]
        print("\n".join(table(part, results)), flush=True)
        for note in notes + emulation(report["conditions"], results):
            if note not in report["notes"]:
                print("note: " + note)
                report["notes"].append(note)
    if options.profile:
        rows = profile.profile(options)
        report["profile"] = [row._asdict() for row in rows]
        print("\n".join(profile_table(rows)))
    if options.json:
        with writing(f"--json {options.json}"):
            write_json(options.json, report)


if __name__ == "__main__":
    command_line.run(main)
