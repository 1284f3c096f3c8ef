"""The hosts of a run: read their file, and place processes on them."""

from __future__ import annotations

import re
import socket
from typing import List, NamedTuple, Optional, Sequence

from ..options.fields import assignment
from ..system.errors import InputError, reason

_LINE = re.compile(r"(?P<name>[\w.@:-]*?[\w.-]+)(?:(?:\s+slots\s*=\s*|\s*:\s*)(?P<slots>\d+))?")
LOOPBACK = "127.0.0.1"


class Host(NamedTuple):
    """A host, as ssh knows it, and the number of processes that it takes."""

    name: str
    slots: int = 1


def read_hosts(path: str) -> List[Host]:
    """Return the hosts of a file: `NAME`, `NAME slots=N` or `NAME:N` on each line; `#` begins a comment.

    Raises
    ------
    InputError
        If the file cannot be read, or a line is neither.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            lines = stream.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{assignment('hosts', path)}: the file cannot be read ({reason(error)})") from error
    hosts = []
    for number, line in enumerate(lines, 1):
        text = line.split("#")[0].strip()
        found = _LINE.fullmatch(text)
        if text and not (found and int(found["slots"] or 1)):
            raise InputError(f"{assignment('hosts', path)}: line {number} is not a host, as node1 slots=4: {text}")
        if found:
            hosts.append(Host(found["name"], int(found["slots"] or 1)))
    if not hosts:
        raise InputError(f"{assignment('hosts', path)}: the file names no host")
    return hosts


def place(count: int, hosts: Sequence[Host]) -> List[Optional[str]]:
    """Return the host of each of `count` processes, by rank: each host is filled before the next.

    Without hosts, all are on this machine: None.

    Raises
    ------
    InputError
        If the hosts take fewer processes.
    """
    if not hosts:
        return [None] * count
    slots = [host.name for host in hosts for _ in range(host.slots)]
    if count > len(slots):
        raise InputError(f"`processes={count}`: the hosts take {len(slots)}; give more slots, or fewer processes")
    return list(slots[:count])


def address_of(host: Optional[str]) -> str:
    """Return the address of a host, None being this machine, by which the others reach it."""
    if host is None:
        return LOOPBACK
    try:
        return socket.gethostbyname(host.rpartition("@")[2])
    except OSError as error:
        raise InputError(f"{host}: this host has no address ({reason(error)}): correct the file of `hosts`") from error


def own_address(hosts: Sequence[Host]) -> str:
    """Return the address of this machine by which the hosts reach it."""
    if not hosts:
        return LOOPBACK
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((address_of(hosts[0].name), 9))  # nothing is sent: the system only chooses the way
        return str(probe.getsockname()[0])


def check_port(address: str, port: Optional[int]) -> int:
    """Return a port that is free at an address: `port`, or any if it is None.

    Raises
    ------
    InputError
        If `port` cannot be used.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port or 0))
        except OSError as error:
            raise InputError(
                f"{assignment('port', port)}: it cannot be used on this machine ({reason(error)}); give another one, "
                "or leave it out"
            ) from error
        return int(probe.getsockname()[1])
