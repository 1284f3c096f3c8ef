"""The processes of a job, as a launcher starts them: `Member`, and the members of a job by engine."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from typing import Dict, List, NamedTuple, Optional, Sequence

from ..distributed.engines import KVSTORES
from ..distributed.environment import HANG_TIMEOUT
from ..machine.processes import package_environment
from ..system.errors import InputError
from .hosts import Host, address_of, check_port, own_address, place, read_hosts
from .options import LaunchOptions
from .server import UPDATING

_SSH = [
    "ssh",
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=10",
    "-o",
    "ServerAliveInterval=15",
    "-o",
    "ServerAliveCountMax=3",
]
_SENT = ("DMLC_", "RESATTNET_", "CUDA_", "MXNET_", "OMP_", "PS_", "PYTHON")  # variables that other hosts get


class Member(NamedTuple):
    """A process of a job.

    Attributes
    ----------
    name : str
        "worker 0", "server 0", "scheduler", or the launcher of an engine.
    label : str
        What its lines of output begin with.
    words : list of str
        The command.
    environment : dict of str to str
    host : str or None
        Where it runs, as ssh knows the host; None: here.
    trains : bool
        Whether it trains: the job is done when all members that train are.
    """

    name: str
    label: str
    words: List[str]
    environment: Dict[str, str]
    host: Optional[str] = None
    trains: bool = True

    @property
    def command(self) -> List[str]:
        """The words that start the member from this machine."""
        if self.host is None:
            return self.words
        sent = {name: value for name, value in self.environment.items() if name.startswith(_SENT)}
        remote = [sys.executable, "-m", "resattnet.launcher.remote", *self.words]
        line = shlex.join(["env", *(f"{name}={value}" for name, value in sent.items()), *remote])
        return [*_SSH, self.host, f"cd {shlex.quote(os.getcwd())} && exec {line}"]


def engine_of(words: Sequence[str]) -> str:
    """Return the engine that the words of a command choose by `--kvstore`, a key of `KVSTORES`; default: dist_sync."""
    chosen = "dist_sync"
    for word, following in zip(words, [*words[1:], ""]):
        flag, equals, value = word.partition("=")
        if flag == "--kvstore":
            chosen = value if equals else following
    if chosen not in KVSTORES:
        raise InputError(f"`kvstore={chosen}`: choose from {', '.join(KVSTORES)}")
    return chosen


def members_of(options: LaunchOptions, words: List[str]) -> List[Member]:
    """Return the members of a job that runs a command in several processes.

    Parameters
    ----------
    options : LaunchOptions
    words : list of str
        The command.

    Raises
    ------
    InputError
        If a host, a port or the launcher of the engine cannot be used.
    """
    hosts = read_hosts(options.hosts) if options.hosts is not None else []
    make = {"servers": _parameter_servers, "horovodrun": _horovodrun, "bpslaunch": _bpslaunch}
    members = make[KVSTORES[engine_of(words)].launcher](options, words, hosts)
    for member in members:
        member.environment[HANG_TIMEOUT] = str(options.hang_timeout)
    return members


def _parameter_servers(options: LaunchOptions, words: List[str], hosts: List[Host]) -> List[Member]:
    address = own_address(hosts)
    common = dict(
        package_environment(),
        DMLC_PS_ROOT_URI=address,
        DMLC_PS_ROOT_PORT=str(check_port(address, options.port)),
        DMLC_NUM_WORKER=str(options.processes),
        DMLC_NUM_SERVER=str(options.servers),
        PYTHONUNBUFFERED="1",
    )
    serve = [sys.executable, "-m", "resattnet.launcher.server"]
    one_thread = dict(common, OMP_NUM_THREADS="1")
    scheduler = dict(one_thread, DMLC_ROLE="scheduler", DMLC_NODE_HOST=address)
    members = [Member("scheduler", "scheduler", serve, scheduler, trains=False)]
    if engine_of(words) == UPDATING:
        serve = [*serve, UPDATING]
    for number in range(options.servers):
        host = hosts[number % len(hosts)].name if hosts else None
        own = dict(one_thread, DMLC_ROLE="server", DMLC_NODE_HOST=address_of(host))
        members.append(Member(f"server {number}", f"server {number}", serve, own, host, trains=False))
    placed = place(options.processes, hosts)
    for rank, host in enumerate(placed):
        local = placed[:rank].count(host)
        own = dict(common, DMLC_ROLE="worker", DMLC_WORKER_ID=str(rank), DMLC_NODE_HOST=address_of(host))
        own.update(RESATTNET_LOCAL_RANK=str(local), RESATTNET_LOCAL_SIZE=str(placed.count(host)))
        own.update(_visible_devices(options, local, placed.count(host)))
        members.append(Member(f"worker {rank}", str(rank), words, own, host))
    return members


def _visible_devices(options: LaunchOptions, local: int, size: int) -> Dict[str, str]:
    """Return the environment that shows one of `size` processes of a machine its share of the GPUs."""
    if options.local_devices is None:
        return {}
    share = len(options.local_devices) // size
    if not share:
        raise InputError(
            f"`local_devices={','.join(map(str, options.local_devices))}`: a machine has {size} processes; give as "
            "many GPUs, or fewer processes"
        )
    own = options.local_devices[local * share : (local + 1) * share]
    return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, own)), "RESATTNET_LOCAL_RANK": "0", "RESATTNET_LOCAL_SIZE": "1"}


def _find_launcher(name: str, package: str) -> str:
    """Return the path of an engine's launcher, beside this Python or on the PATH."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    if not found:
        raise InputError(f"{name} is not installed: it comes with {package}; see docs/distributed.md")
    return found


def _horovodrun(options: LaunchOptions, words: List[str], hosts: List[Host]) -> List[Member]:
    start = [_find_launcher("horovodrun", "Horovod"), "--gloo", "-np", str(options.processes)]
    if hosts:
        place(options.processes, hosts)
        start += ["-H", ",".join(f"{host.name}:{host.slots}" for host in hosts)]
    environment = dict(package_environment(), PYTHONUNBUFFERED="1")
    if options.local_devices is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, options.local_devices))
    return [Member("horovodrun", "", [*start, *words], environment)]


def _bpslaunch(options: LaunchOptions, words: List[str], hosts: List[Host]) -> List[Member]:
    if hosts:
        raise InputError(
            "`hosts`: BytePS on several machines needs bpslaunch on each of them, for its scheduler, servers and "
            "workers; see BytePS's documentation"
        )
    devices = options.local_devices or tuple(range(options.processes))
    if len(devices) != options.processes:
        raise InputError(f"`processes={options.processes}`: BytePS has a process for each GPU: give {len(devices)}")
    environment = dict(
        package_environment(),
        NVIDIA_VISIBLE_DEVICES=",".join(map(str, devices)),
        DMLC_ROLE="worker",
        DMLC_WORKER_ID="0",
        DMLC_NUM_WORKER="1",
        DMLC_NUM_SERVER="1",
        DMLC_PS_ROOT_URI="127.0.0.1",
        DMLC_PS_ROOT_PORT=str(check_port("127.0.0.1", options.port)),
        PYTHONUNBUFFERED="1",
    )
    return [Member("bpslaunch", "", [_find_launcher("bpslaunch", "BytePS"), *words], environment)]
