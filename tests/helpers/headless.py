"""Run a headless Chromium, for its output or over the DevTools protocol, using only the standard library."""

from __future__ import annotations

import base64
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
from typing import Any, Callable, List, Optional, Sequence

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


def find() -> Optional[str]:
    """Return the path of a browser: RESATTNET_BROWSER, or else the first of `NAMES` that is installed and starts."""
    return os.environ.get("RESATTNET_BROWSER") or next(filter(_starts, filter(None, map(shutil.which, NAMES))), None)


@functools.lru_cache(maxsize=None)
def _starts(path: str) -> bool:
    """Return whether a program is a browser that can read the tests' files.

    A snap cannot read the tests' files. The program that Ubuntu has in place of the snap only prints how to install
    the snap.
    """
    is_snap = os.path.basename(os.path.realpath(path)) == "snap"
    stands_for_snap = os.path.basename(path) == "chromium-browser" and os.path.exists("/snap/bin/chromium")
    if is_snap or stands_for_snap:
        return False
    try:
        done = subprocess.run([path, "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30)
    except OSError:
        return False
    except subprocess.TimeoutExpired:  # the machine is slow
        return True
    return done.returncode == 0


class Browser:
    """Browser that starts a new process for each call.

    Parameters
    ----------
    path : str
        Path of the browser program.
    profile : path
        Folder for the browser's own files.
    """

    def __init__(self, path: str, profile: Any) -> None:
        self._command = [path] + list(FLAGS) + [f"--user-data-dir={profile}"]

    def prints(self, *flags: str) -> str:
        """Run the browser with `flags` and return its output."""
        return subprocess.run(
            self._command + list(flags),
            capture_output=True,
            timeout=250,
            text=True,
        ).stdout

    def page(self, address: str, width: int = 1200, height: int = 900) -> Page:
        """Return a `Page` at an address. The page is a context manager."""
        return Page(self._command + [f"--window-size={width},{height}"], address)


class Page:
    """Page in its own browser. Leaving the context ends the browser.

    The browser reads commands from its file descriptor 3 and writes answers to its file descriptor 4. Each message is a
    JSON text that ends with a zero byte.
    """

    def __init__(self, command: Sequence[str], address: str) -> None:
        ends = os.pipe() + os.pipe()
        # The numbers must be above 3 and 4, because the launcher duplicates the descriptors to 3 and 4.
        theirs_in, self._out, self._in, theirs_out = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
        for end in ends:
            os.close(end)
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(theirs_in), str(theirs_out)]
            + list(command)
            + ["--remote-debugging-pipe", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs_in, theirs_out),
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._number, self._read = 0, b""
        self._session: Optional[str] = None

    def __enter__(self) -> Page:
        try:
            page = self.wait(self._pages, 60)[0]
            self._session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def _pages(self) -> List[Any]:
        return [target for target in self.call("Target.getTargets")["targetInfos"] if target["type"] == "page"]

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(60)
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, seconds: float = 60, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message: Any = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self, deadline: float) -> Any:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._in], [], [], max(0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._in, 1 << 16)
            assert part, "the browser has ended"
            self._read += part
        message, self._read = self._read.split(b"\0", 1)
        return json.loads(message.decode())

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, as JSON types."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def choose_files(self, selector: str, *paths: Any) -> None:
        """Set the files of the input that a CSS selector names, as if they had been chosen in its dialogue."""
        document = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def drop_files(self, x: float, y: float, *paths: Any) -> None:
        """Drag files over a point of the window, and drop them there."""
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def screenshot(self, path: Any) -> None:
        """Write a PNG of the whole page, also of what is below the window."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        with open(str(path), "wb") as file:
            file.write(base64.b64decode(data))

    def wait(self, look: Callable[[], Any], seconds: float) -> Any:
        """Call `look` until its result is true or the time is up, and return the last result.

        `look` fails while the page changes to another address. An `AssertionError` therefore counts as false until the
        time is up.
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
