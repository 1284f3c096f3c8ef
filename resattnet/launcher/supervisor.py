"""Run the processes of a job to their end, and end all of them by the first failure: `Supervisor`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType
from typing import Any, Dict, List, Optional, Sequence

from ..machine.processes import end_with_parent
from ..system.calls import program
from ..system.errors import InputError, one_line, reason
from ..system.signals import install, restore
from ..system.watchdog import HUNG_CODE
from .members import Member

POLL = 0.05
GRACE = 3.0  # seconds in which the others may say why they end too, once a process has ended with an error
LEAVING = 60.0  # seconds in which all have saved, once the first has ended after a signal to stop
CLOSING = 5.0  # seconds in which the servers end, once all that train have
STOPPED_LIMIT = 30.0  # seconds after which a process that is stopped (SIGSTOP) ends the job
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Process:
    """A member that has been started."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.stopped_for = 0.0
        try:
            self.child = subprocess.Popen(
                member.command,
                env=member.environment,
                stdin=subprocess.PIPE if member.host else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGKILL),
            )
        except OSError as error:
            raise InputError(f"{member.command[0]} cannot be started ({reason(error)})") from error
        self.pumps = [
            threading.Thread(target=_pump, args=(source, member.label, target), daemon=True)
            for source, target in ((self.child.stdout, sys.stdout), (self.child.stderr, sys.stderr))
        ]
        for pump in self.pumps:
            pump.start()

    def send(self, number: int) -> None:
        """Send a signal to the process, not to those that it has started."""
        if self.child.poll() is not None:
            return
        if self.member.host is None:
            self.child.send_signal(number)
        elif self.child.stdin:
            with contextlib.suppress(OSError):  # the connection has just ended
                self.child.stdin.write(f"{int(number)}\n".encode())
                self.child.stdin.flush()

    def kill(self) -> None:
        """End the process and all that it has started, at once."""
        if self.child.stdin:
            with contextlib.suppress(OSError):
                self.child.stdin.close()  # the other host then kills the command
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def is_stopped(self) -> bool:
        """Return whether the process is stopped, as by SIGSTOP; False for one on another host."""
        try:
            with open(f"/proc/{self.child.pid}/stat") as stream:
                return self.member.host is None and stream.read().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return False


_output = threading.Lock()


def _pump(source: Any, label: str, target: Any) -> None:
    """Copy the lines of a stream to another one, with a label, until it ends."""
    prefix = f"[{label}] " if label else ""
    with source:
        for line in source:
            text = line.decode("utf-8", "backslashreplace").rstrip("\n")
            with _output, contextlib.suppress(OSError, ValueError, AttributeError):  # nobody reads the output any more
                target.write(f"{prefix}{text}\n")
                target.flush()


def ending_of(code: int) -> str:
    """Return how a process ended, in words, from its `subprocess.Popen.returncode`."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


class Supervisor:
    """Run the members of a job.

    Parameters
    ----------
    members : sequence of Member
        In the order in which they are started.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._processes: List[_Process] = []
        self._signals: List[int] = []
        self._ended: Dict[str, int] = {}  # exit codes by name

    def run(self) -> int:
        """Run the job, pass on the signals that this process receives, and return the exit code.

        The code is that of the first member that failed, 128 + N if signal N killed it; 124 if it was stopped for
        `STOPPED_LIMIT` seconds. No process of the job is left.
        """
        previous = install(self._note)
        try:
            for member in self._members:
                self._processes.append(_Process(member))
            return self._watch()
        finally:
            for process in self._processes:
                process.kill()
            for process in self._processes:
                for pump in process.pumps:
                    pump.join(1)
            restore(previous)

    def _note(self, number: int, _frame: Optional[FrameType]) -> None:
        self._signals.append(number)
        for process in self._processes:
            if process.member.trains:
                process.send(number)

    def _watch(self) -> int:
        deadline, first, latest = float("inf"), 0, time.monotonic()
        while any(process.member.trains and process.child.poll() is None for process in self._processes):
            time.sleep(POLL)
            now = time.monotonic()
            failure = first or self._find_failure() or self._find_stopped(min(now - latest, 10 * POLL))
            latest = now
            if failure and not first:
                first = failure
                deadline = now + (LEAVING if self._was_asked(failure) else GRACE if failure < 128 else POLL)
            if now > deadline:
                return first
        first = first or self._find_failure(training=True)
        if not first:
            self._wait_for_servers()
        return first

    def _was_asked(self, code: int) -> bool:
        """Return whether a process has ended as a signal asked it to, which was not sent twice."""
        stops = [number for number in self._signals if number in _STOPS]
        return len(stops) == 1 and code == 128 + stops[0]

    def _find_failure(self, training: bool = False) -> int:
        """Return the exit code of a member that has failed since the last call, and say so; 0 if none has.

        With `training`, how servers end does not matter: all that train have ended.
        """
        for process in self._processes:
            code, member = process.child.poll(), process.member
            if code is None or member.name in self._ended or (training and not member.trains):
                continue
            self._ended[member.name] = code
            if code:
                failure = 128 - code if code < 0 else code
                if not self._was_asked(failure):
                    where = f" on {member.host}" if member.host else ""
                    say(f"{member.name}{where} {ending_of(code)}: the job is ended")
                return failure
        return 0

    def _find_stopped(self, seconds: float) -> int:
        """Return `HUNG_CODE` if a member has been stopped for too long, and say so; 0 if none has.

        Only the seconds in which this process itself runs are counted.
        """
        for process in self._processes:
            process.stopped_for = process.stopped_for + seconds if process.is_stopped() else 0.0
            if process.stopped_for > STOPPED_LIMIT:
                say(f"{process.member.name} has been stopped for {STOPPED_LIMIT:.0f} s (SIGSTOP): the job is ended")
                return HUNG_CODE
        return 0

    def _wait_for_servers(self) -> None:
        deadline = time.monotonic() + CLOSING
        while time.monotonic() < deadline and any(process.child.poll() is None for process in self._processes):
            time.sleep(POLL)


def say(text: str) -> None:
    """Print a line about the job on stderr."""
    with _output, contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"{program()}: {one_line(text)}", file=sys.stderr, flush=True)
