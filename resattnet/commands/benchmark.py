"""Measure the speed of the package on this machine's CPU, part by part, and against PyTorch where it is installed.

    {command}                                  # all parts, Attention-56, batch 64
    {command} train inference --repeats 9      # only these
    {command} epoch --dataset cifar10 --steps 100
    {command} --json speed.json --profile 1
    {command} --widths thin --cost data/cost   # a row for each batch, depth, number of processes
    {command} --widths tiny --scaling scaling  # several processes, and what many GPUs would do

The parts: `train` is one training step (forward, loss, backward, update), `inference` the logits of a batch, by
MXNet, OpenVINO, onnxruntime and PyTorch, `latency` the time of one image by each (median and 95th percentile),
`input` the loaders of batches, against the reference's chain for single images, and `epoch` training steps on
batches from the loader, against the same steps on one constant batch.

`--cost FILE` measures instead the cost of a training step: images per second, memory and busy cores. `--start 1`
measures what `predict` takes for one photograph, from the start of the process, by MXNet and by each engine.

The contenders of a part take turns, A B C A B C ..., each in its own process with the same number of threads
(OMP_NUM_THREADS, else one per core); several CPU devices divide these threads and the batch among them. The table
gives the median, lowest and highest images per second, and the medians of the ratios within each round: to the
part's first row and to the PyTorch row of the same type. PyTorch is optional (`pip install -e '.[bench]'`), and
runs `resattnet.torch`, a net of the same layers and weights, in channels_last; bfloat16 there is autocast. The rows
of `torch.compile` need a C++ compiler, and a minute or more to compile each. Other work on the machine disturbs the
figures: the load at the start is in the table's head.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Sequence, Tuple

from ..benchmark.options import BENCHMARK_PARTS, BenchmarkOptions
from ..options import command_line
from ..system.errors import InputError


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the parts and the options."""
    parser.add_argument(
        "parts",
        type=command_line.text,
        nargs="*",
        metavar="PART",
        help=f"parts to measure: {', '.join(BENCHMARK_PARTS)} (default: all)",
    )
    command_line.add_options(parser, BenchmarkOptions)


def main(given: Dict[str, Any]) -> None:
    """Measure, print a table for each part, and write the files that were asked for."""
    options, parts = read_options(given)
    if options.scaling:
        measure_scaling(options)
        return
    from ..benchmark import cases, engine_builders, measure, profile, start
    from ..system.files import write_json, writing

    report: Dict[str, Any] = {"conditions": measure.conditions(options), "notes": [], "results": []}
    print("\n".join(machine_lines(report["conditions"])), flush=True)
    if options.start:
        print("\n".join(start.start_lines(start.measure_starts(options.repeats))))
        return
    if options.cost:
        measure_costs(options)
        return
    print(describe_conditions(report["conditions"]), flush=True)
    for part in parts:
        chosen = [contender for contender in cases.CONTENDERS if contender.part == part]
        results, notes = measure.measure_speed(chosen, options)
        report["results"] += [result.summary() for result in results]
        print("\n".join([*part_table(part, results), *engine_builders.compare_with_bare(results)]), flush=True)
        for note in notes + emulation_notes(report["conditions"], results):
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


def read_options(given: Dict[str, Any]) -> Tuple[BenchmarkOptions, List[str]]:
    """Return the options, and the parts to measure in the order of `BENCHMARK_PARTS`."""
    given = dict(given)
    parts: Sequence[str] = given.pop("parts", ())
    for part in parts:
        if part not in BENCHMARK_PARTS:
            raise InputError(f"{part}: choose the parts from {', '.join(BENCHMARK_PARTS)}")
    for name in ("cost", "scaling", "start"):
        if parts and given.get(name):
            raise InputError(f"`{name}={given[name]}`: this replaces the parts; leave {' '.join(parts)} out")
    return BenchmarkOptions(**given), [part for part in BENCHMARK_PARTS if part in parts or not parts]


def machine_lines(facts: Dict[str, Any]) -> Iterator[str]:
    """Yield lines that describe the machine and the versions."""
    versions = "  ".join(f"{name} {version}" for name, version in sorted(facts["versions"].items()) if version)
    yield (
        f"{facts['cpu']} ({' '.join(facts['instructions']) or 'instructions unknown'}), {facts['cores']} cores, "
        f"{facts['threads']} threads, load {facts['load']:.1f}"
    )
    yield f"Python {facts['python']}  {versions}"


def describe_conditions(facts: Dict[str, Any]) -> str:
    """Return a line with the network, the batch and the number of repeats."""
    return (
        f"Attention-{facts['num_layers']} ({facts['widths']}, {facts['unit']} units), batch {facts['batch_size']}, "
        f"{facts['repeats']} repeats of {facts['steps']} steps, {facts['date']}"
    )


def part_table(part: str, results: Sequence[Any]) -> Iterator[str]:
    """Yield the lines of the table of one part; `results` are those of `benchmark.measure.measure_speed`."""
    width = max(len(result.name) for result in results)
    if any(result.latencies for result in results):
        yield f"\n{part + ', one image':<{width}}    p50 ms    p95 ms"
        for result in results:
            calls = result.summary()["milliseconds"]
            yield f"{result.name:<{width}}  {calls['p50']:8.2f}  {calls['p95']:8.2f}"
        return
    yield f"\n{part:<{width}}  images/s       min - max        vs first  vs PyTorch"
    for result in results:
        row = result.summary()
        speed, rival = row["images_per_second"], row["ratio_to_pytorch"]
        to_pytorch = f"{rival['median']:.3f}" if rival else "-"
        yield (
            f"{result.name:<{width}}  {speed['median']:8.1f}  {speed['min']:8.1f} - {speed['max']:<8.1f}  "
            f"{row['ratio_to_first']['median']:8.3f}  {to_pytorch:>10}"
        )


def emulation_notes(facts: Dict[str, Any], results: Sequence[Any]) -> List[str]:
    """Return a note if bfloat16 was measured on a CPU that is known to have no instructions for it."""
    emulated = facts["instructions"] and not any("bf16" in name for name in facts["instructions"])
    if emulated and any("bfloat16" in result.name for result in results):
        return ["this CPU has no bfloat16 instructions: it is emulated, and slower than float32"]
    return []


def profile_table(rows: Sequence[Any]) -> Iterator[str]:
    """Yield the lines of the table of a profile; `rows` are those of `benchmark.profile.profile`."""
    width = max(len(row.name) for row in rows)
    yield f"\n{'training step':<{width}}  % of time  ms per step  calls per step"
    for row in rows:
        yield f"{row.name:<{width}}  {100 * row.fraction:9.1f}  {row.milliseconds:11.2f}  {row.calls:14.1f}"


def measure_costs(options: BenchmarkOptions) -> None:
    """Measure, print and write the cost of training, row by row. A load too large for this machine is left out."""
    from ..benchmark import scaling

    rows = []
    for load in scaling.LOADS:
        try:
            rows.append(scaling.measure_cost(load, options.widths, options.repeats, options.dtype))
        except InputError as error:
            print(f"note: {error}", flush=True)
            continue
        cells = (
            f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}"
            for name, value in rows[-1]._asdict().items()
        )
        print("  ".join(cells), flush=True)
        scaling.write_table(f"{options.cost}.csv", rows)
    if not rows:
        raise InputError(f"`cost={options.cost}`: none of the loads could be measured on this machine")
    scaling.draw(f"{options.cost}.png", rows)


def measure_scaling(options: BenchmarkOptions) -> None:
    """Measure, predict, print and write how training scales with the number of processes."""
    from ..benchmark import exchange, exchange_model

    rows = [exchange.measure_processes(options, count) for count in range(1, exchange.MOST + 1)]
    print("\n".join(exchange.measured_lines(rows)), flush=True)
    exchange.write_rows(f"{options.scaling}-measured.csv", rows)
    predicted = exchange.predict(options)
    print("\n".join(exchange_model.describe(predicted)))
    exchange.write_rows(f"{options.scaling}-predicted.csv", predicted)
