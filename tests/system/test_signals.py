"""Tests for signals as flags: which are stored, how often, and what a thread and a forked process do."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from helpers.scripts import ROOT
from resattnet.system import signals
from resattnet.system.signals import StopSignals, stop_requested


@pytest.fixture(autouse=True)
def handlers():
    """Check that each test leaves the handlers as they were."""
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    yield
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before


def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)


def test_a_closed_terminal_may_send_its_signal_often():
    with StopSignals() as caught:
        assert not stop_requested()
        send(signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP)
        assert caught.received == signal.SIGHUP and not caught.save_requested and stop_requested()
    assert not stop_requested()


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_interrupt_acts_as_usual(first):
    with StopSignals() as caught:
        send(signal.SIGHUP, first)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert caught.received == signal.SIGHUP


def test_a_request_to_save_does_not_stop():
    with StopSignals() as caught:
        send(signal.SIGUSR1, signal.SIGUSR1)
        assert caught.received is None and caught.save_requested and not stop_requested()


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as caught:
            send(signal.SIGHUP)
            assert caught.received is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_thread_handles_no_signals():
    seen = []

    def enter():
        with StopSignals() as caught:
            seen.append(caught.received)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [None]


def test_signals_are_passed_on_to_a_command():
    """The command of a reproduction gets them all; a request to save is none to stop."""
    child = (
        "import signal, time\n"
        "seen = []\n"
        "def note(number, _):\n"
        "    seen.append(number); print(signal.Signals(number).name, flush=True)\n"
        "for number in (signal.SIGHUP, signal.SIGUSR1): signal.signal(number, note)\n"
        "time.sleep(0.5)\n"  # the parent installs its handlers after it has started this process
        "print('ready', flush=True)\n"
        "while len(seen) < 2: time.sleep(0.01)\n"
    )
    parent = (
        "import sys; from resattnet.experiments.subprocesses import run_passing_signals\n"
        "print(run_passing_signals([sys.executable, '-c', sys.argv[1]]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, child], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        for number in (signal.SIGUSR1, signal.SIGHUP):
            process.stdout.readline()
            process.send_signal(number)
        assert process.communicate(timeout=60)[0] == f"SIGHUP\n(0, {int(signal.SIGHUP)})\n"
