"""Hosts as network namespaces of this machine, joined by a bridge whose links can be cut: `hosts`."""

import contextlib
import os
import stat
import subprocess
import sys

import pytest

NAME, NET = "ran", "10.77.31"

# As ssh with ServerAliveInterval: it ends where the host does not answer a few times. The command itself comes to its
# namespace without the network.
SSH = """#!{python}
import os, signal, subprocess, sys, threading, time
host, line = sys.argv[-2:]
number = host.rpartition(".")[2]
child = subprocess.Popen(["ip", "netns", "exec", "{name}" + number, "sh", "-c", line], start_new_session=True)

def watch():
    missed = 0
    while missed < {missed}:
        alive = subprocess.run(["{python}", "-c", {probe!r}, host]).returncode == 0
        missed = 0 if alive else missed + 1
        time.sleep(1)
    print("Timeout, server " + host + " not responding.", file=sys.stderr, flush=True)
    os.killpg(child.pid, signal.SIGKILL)
    os._exit(255)

threading.Thread(target=watch, daemon=True).start()
code = child.wait()
sys.exit(128 - code if code < 0 else code)
"""
# A closed port answers at once where the host is there.
PROBE = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), 2)
except ConnectionRefusedError:
    pass
except OSError:
    sys.exit(1)
"""


def ip(*words, check=True):
    """Call the program `ip`."""
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


def skip_unless_possible():
    """Skip the test where namespaces cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("hosts are made as network namespaces, which needs root")
    try:
        made = ip("netns", "add", f"{NAME}0", check=False)
    except FileNotFoundError:
        pytest.skip("hosts are made as network namespaces, which needs the program ip (apt-get install iproute2)")
    if made.returncode:
        pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
    ip("netns", "del", f"{NAME}0")


@contextlib.contextmanager
def silent_host():
    """Yield an address from which nothing comes back: what is sent there ends in a namespace without addresses."""
    skip_unless_possible()
    space, outside, inside = f"{NAME}9", f"{NAME}-o9", f"{NAME}-i9"
    try:
        ip("netns", "add", space)
        ip("link", "add", outside, "type", "veth", "peer", "name", inside)
        ip("link", "set", inside, "netns", space)
        ip("netns", "exec", space, "ip", "link", "set", inside, "up")
        ip("addr", "add", "10.77.32.1/24", "dev", outside)
        ip("link", "set", outside, "up")
        ip("neigh", "add", "10.77.32.9", "lladdr", "02:00:00:00:00:09", "dev", outside)
        yield "10.77.32.9"
    finally:
        ip("link", "del", outside, check=False)
        ip("netns", "del", space, check=False)


@contextlib.contextmanager
def hosts(folder, count, missed=60):
    """Make hosts, and yield their addresses and an environment whose `ssh` starts commands on them.

    Parameters
    ----------
    folder : path
        Where the stand-in for ssh is written.
    count : int
    missed : int
        Number of seconds without an answer after which ssh gives up.
    """
    skip_unless_possible()
    try:
        ip("link", "add", f"{NAME}-br", "type", "bridge")
        ip("addr", "add", f"{NET}.1/24", "dev", f"{NAME}-br")
        ip("link", "set", f"{NAME}-br", "up")
        for number in range(2, count + 2):
            space, outside, inside = f"{NAME}{number}", f"{NAME}-o{number}", f"{NAME}-i{number}"
            ip("netns", "add", space)
            ip("link", "add", outside, "type", "veth", "peer", "name", inside)
            ip("link", "set", inside, "netns", space)
            ip("link", "set", outside, "master", f"{NAME}-br")
            ip("link", "set", outside, "up")
            for words in (("addr", "add", f"{NET}.{number}/24", "dev", inside), ("link", "set", inside, "up")):
                ip("netns", "exec", space, "ip", *words)
            ip("netns", "exec", space, "ip", "link", "set", "lo", "up")
        path = folder / "ssh"
        path.write_text(SSH.format(python=sys.executable, name=NAME, probe=PROBE, missed=missed))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        yield [f"{NET}.{number}" for number in range(2, count + 2)]
    finally:
        for number in range(2, count + 2):
            ip("link", "del", f"{NAME}-o{number}", check=False)
            ip("netns", "del", f"{NAME}{number}", check=False)
        ip("link", "del", f"{NAME}-br", check=False)


def set_link(address, up):
    """Cut the link of a host, or put it up again."""
    ip("link", "set", f"{NAME}-o{address.rpartition('.')[2]}", "up" if up else "down")
