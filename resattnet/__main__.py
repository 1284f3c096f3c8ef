"""What is here: `python -m resattnet` for versions, devices and networks, `... summary` for the layers of one.

python -m resattnet
python -m resattnet summary --num-layers 92 --widths thin
python -m resattnet summary --num-layers 56 --stem imagenet
"""

import argparse
import os
import platform
import sys

from . import __version__
from .commands.summary import SummaryOptions
from .system import command_line

EXTRAS = {"onnx": ("onnx", "onnxruntime"), "bench": ("torch",), "dali": ("nvidia-dali-cuda120",)}


def versions():
    """Lines: this package, Python and MXNet; optional packages that are here or not."""
    from .system.mxnet import BUILDS, mx
    from .system.packages import installed_version

    build = next((name for name in BUILDS if installed_version(name)), "not installed by pip")
    enabled = [
        name
        for name in ("CUDA", "CUDNN", "NCCL", "MKLDNN", "OPENCV", "DIST_KVSTORE")
        if mx.runtime.Features().is_enabled(name)
    ]
    yield (
        f"resattnet {__version__}, Python {platform.python_version()}, MXNet {mx.__version__} ({build}; "
        f"{', '.join(enabled)})"
    )
    for extra, names in EXTRAS.items():
        missing = [name for name in names if not installed_version(name)]
        found = ", ".join(f"{name} {installed_version(name)}" for name in names if installed_version(name))
        yield "  extra %-5s  %s" % (
            extra,
            f"missing {', '.join(missing)}: python -m pip install -e '.[{extra}]'" if missing else found,
        )


def devices():
    """Lines: what can be computed on, and why on nothing else."""
    from .system.devices import check_type
    from .system.errors import InputError
    from .system.gpus import find_gpus
    from .system.machine import cpu_facts
    from .system.mxnet import mx

    model, instructions = cpu_facts()
    yield (
        f"CPU  {model} ({' '.join(instructions) or 'instructions unknown'}), {os.environ['OMP_NUM_THREADS']} threads"
    )
    try:
        for remark in check_type("bfloat16", [mx.cpu()]) or ["--dtype bfloat16 can be used"]:
            yield "     " + remark
    except InputError as reason:
        yield f"     {reason!s}"
    usable, reasons = find_gpus()
    for index in usable:
        yield f"GPU {index} can be used"
    for reason in reasons:
        yield f"no GPU: {reason}" if not usable else reason


def networks():
    """Lines: each depth with its parameters and multiply-accumulates, for CIFAR-10 and for ImageNet."""
    from .models.spec import attention_net_spec
    from .models.summary import layers, total
    from .models.zoo import get_attention_cifar, get_attention_net

    kinds = (
        ("CIFAR-10, thin", get_attention_cifar, 10, "thin", 32),
        ("CIFAR-10", get_attention_cifar, 10, "full", 32),
        ("ImageNet", get_attention_net, 1000, "full", 224),
    )
    yield ("depth  " + "  ".join(f"{name:<28}" for name, _, _, _, _ in kinds)).rstrip()
    for depth in attention_net_spec:
        cells = []
        for _, build, classes, widths, side in kinds:
            parameters, macs = total(layers(build(classes, depth, widths), side, side))
            cells.append(f"{parameters:>11,}  {macs / 1e9:7.3f} GMACs".ljust(28))
        yield (f"{depth:5d}  " + "  ".join(cells)).rstrip()


def trained():
    """Lines: the trained parameters that come with the package."""
    from .models.packaged import packaged_names
    from .models.pretrained import describe_pretrained

    for name in packaged_names():
        told = describe_pretrained(name)
        yield f"--params {name}: trained on {told['dataset']}, top-1 {told['validation_top1']:.4f}"


def main():
    """Tell."""
    parser = command_line.ArgumentParser(
        prog="python -m resattnet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="summary")
    command_line.add_options(
        commands.add_parser("summary", help="the layers of a network, their parameters and MACs"), SummaryOptions
    )
    given = vars(parser.parse_args())
    if given.pop("command") is None:
        for lines in (versions(), devices(), networks(), trained()):
            for line in lines:
                print(line, flush=True)
        return
    from .models.network import build
    from .models.summary import layers, table

    options = SummaryOptions(**given)
    print("\n".join(table(layers(build(options.network), options.side, options.side))))


if __name__ == "__main__":
    sys.argv[0] = "python -m resattnet"
    command_line.run(main)
