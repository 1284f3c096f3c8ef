"""A headless Chromium: called for what it prints, or steered over the DevTools protocol, with the standard library."""

import contextlib
import fcntl
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)

LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def find():
    """The browser's path: RESATTNET_BROWSER, or the first of `NAMES` that is here and starts, else None."""
    return os.environ.get("RESATTNET_BROWSER") or next(filter(_starts, filter(None, map(shutil.which, NAMES))), None)


@functools.lru_cache(maxsize=None)
def _starts(path):
    """Whether it is a browser that reads our files: a snap does not, and its stand-in only says to install one."""
    if (
        os.path.basename(os.path.realpath(path)) == "snap"
        or os.path.basename(path) == "chromium-browser"
        and os.path.exists("/snap/bin/chromium")
    ):
        return False
    try:
        return (
            subprocess.run(
                [path, "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30
            ).returncode
            == 0
        )
    except OSError:
        return False
    except subprocess.TimeoutExpired:  # a slow one
        return True


class Browser:
    """A browser that is started anew for each call.

    Parameters
    ----------
    path : str
    profile : path
        A folder for what it keeps.
    """

    def __init__(self, path, profile):
        self._command = [path] + list(FLAGS) + [f"--user-data-dir={profile}"]

    def prints(self, *flags):
        """What it prints when it is called with flags."""
        return subprocess.run(
            self._command + list(flags),
            capture_output=True,
            timeout=250,
            text=True,
        ).stdout

    def page(self, address, width=1200, height=900):
        """A `Page` at an address, for a `with`."""
        return Page(self._command + [f"--window-size={width},{height}"], address)


class Page:
    """A page in a browser of its own, which ends with the `with`.

    The browser reads commands from its file descriptor 3 and answers on 4: JSON, each ended by a zero byte.
    """

    def __init__(self, command, address):
        ends = os.pipe() + os.pipe()
        # Above 3 and 4, which the launcher makes of them.
        theirs_in, self._out, self._in, theirs_out = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
        for end in ends:
            os.close(end)
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(theirs_in), str(theirs_out)]
            + command
            + ["--remote-debugging-pipe", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs_in, theirs_out),
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._number, self._read, self._session = 0, b"", None

    def __enter__(self):
        try:
            page = self.wait(
                lambda: [
                    target for target in self.call("Target.getTargets")["targetInfos"] if target["type"] == "page"
                ],
                60,
            )[0]
            self._session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(60)
        os.close(self._in)
        os.close(self._out)

    def call(self, method, seconds=60, **parameters):
        """The result of a command of the protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self, deadline):
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._in], [], [], max(0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._in, 1 << 16)
            assert part, "the browser has ended"
            self._read += part
        message, self._read = self._read.split(b"\0", 1)
        return json.loads(message.decode())

    def value(self, expression):
        """The value of a JavaScript expression, of JSON types."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, look, seconds):
        """What `look()` gives once that is true; where it never is in so many seconds, what it gave last.

        While a page is on its way to another address, looking at it fails.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = look()
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                found = None
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.3)
