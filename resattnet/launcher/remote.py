"""Run a command on another machine for `launch`: `python -m resattnet.launcher.remote WORD ...`, over ssh.

Each line of stdin is the number of a signal, which is sent to the command. When stdin ends, because the launcher or the
connection has ended, the command and all its processes are killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Sequence

from ..machine.processes import end_with_parent


def run(words: Sequence[str]) -> int:
    """Run a command until it ends or stdin does, and return its exit code: 128 + N after signal N."""
    child = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=end_with_parent(signal.SIGKILL)
    )

    def obey() -> None:
        for line in sys.stdin:
            if child.poll() is None:
                child.send_signal(int(line))
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)

    threading.Thread(target=obey, daemon=True).start()
    code = child.wait()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(run(sys.argv[1:]))  # the thread may still wait for stdin
