"""Test how the processes of a job are planned, started, watched and ended, with programs that do not train."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from helpers import jobs
from helpers.jobs import finish, is_running, run, wait_until
from helpers.words import outcome
from resattnet.launcher import server, supervisor
from resattnet.launcher.hosts import Host, check_port, place, read_hosts
from resattnet.launcher.members import engine_of, members_of
from resattnet.launcher.options import LaunchOptions
from resattnet.system.errors import InputError

WAIT = "import time; print('here', flush=True); time.sleep(100)"
RANK = "import os; rank = int(os.environ['DMLC_WORKER_ID']); "


def plan(*words, **options):
    return {member.name: member for member in members_of(LaunchOptions(**options), list(words))}


def test_workers_servers_and_a_scheduler_know_each_other(monkeypatch):
    members = plan("train", processes=3, servers=2)
    assert list(members) == ["scheduler", "server 0", "server 1", "worker 0", "worker 1", "worker 2"]
    environments = [member.environment for member in members.values()]
    assert {own["DMLC_ROLE"] for own in environments} == {"scheduler", "server", "worker"}
    for name in ("DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_NUM_SERVER", "DMLC_NODE_HOST"):
        assert len({own[name] for own in environments}) == 1, name
    assert environments[0]["DMLC_PS_ROOT_URI"] == "127.0.0.1"
    ranks = [members[f"worker {rank}"].environment for rank in range(3)]
    assert [own["DMLC_WORKER_ID"] for own in ranks] == ["0", "1", "2"]
    assert [(own["RESATTNET_LOCAL_RANK"], own["RESATTNET_LOCAL_SIZE"]) for own in ranks] == [
        ("0", "3"),
        ("1", "3"),
        ("2", "3"),
    ]
    assert [member.trains for member in members.values()] == [False] * 3 + [True] * 3


def test_servers_load_the_library_of_mxnet_without_its_import(monkeypatch):
    code = (
        "import sys; from resattnet.launcher import server; loaded = server.load().MXKVStoreRunServer; "
        "sys.exit('mxnet' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for kvstore, more in (("dist_sync", []), ("dist_async", ["dist_async"])):
        members = plan("train", "--kvstore", kvstore)
        assert members["server 0"].words[1:] == ["-m", "resattnet.launcher.server", *more]
        assert members["scheduler"].words[1:] == ["-m", "resattnet.launcher.server"]
    monkeypatch.setattr(server, "package_folders", lambda name: ([], False))
    assert server.load() is None  # the import then says what is missing


def test_gpus_are_divided_among_the_processes_of_a_machine():
    members = plan("train", processes=2, local_devices=(4, 5, 6, 7))
    assert [members[f"worker {rank}"].environment["CUDA_VISIBLE_DEVICES"] for rank in range(2)] == ["4,5", "6,7"]
    with pytest.raises(InputError, match="^local_devices=0: a machine has 2 processes; give as many GPUs"):
        plan("train", processes=2, local_devices=(0,))
    with pytest.raises(InputError, match="^local_devices=0,0: give each GPU once"):
        LaunchOptions(local_devices=(0, 0))


def test_hosts_are_read_and_filled_in_order(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("# two machines\nnode1 slots=2\nuser@node2:3  # the other\n\nnode3\n")
    hosts = read_hosts(str(path))
    assert hosts == [Host("node1", 2), Host("user@node2", 3), Host("node3", 1)]
    assert place(4, hosts) == ["node1", "node1", "user@node2", "user@node2"] and place(2, []) == [None, None]
    with pytest.raises(InputError, match="^processes=7: the hosts take 6; give more slots"):
        place(7, hosts)
    for text, message in (
        ("node1 slots=x", "line 1 is not a host"),
        ("a b c", "line 1 is not"),
        ("node1:0", "line 1"),
        ("", "names no host"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_hosts(str(path))
    with pytest.raises(InputError, match="the file cannot be read \\(No such file"):
        read_hosts(str(tmp_path / "missing"))


def test_a_port_in_use_is_refused_before_anything_starts(tmp_path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen(1)
        port = busy.getsockname()[1]
        with pytest.raises(InputError, match=f"^port={port}: it cannot be used on this machine \\(Address already in"):
            check_port("127.0.0.1", port)
        code, output = run(tmp_path, "--port", port, "-n", 2, sys.executable, "-c", WAIT)
        assert code == 2 and output.count("\n") == 1 and f"--port {port}: it cannot be used" in output
    assert check_port("127.0.0.1", port) == port


@pytest.mark.parametrize(
    "words, engine",
    [
        ("train --lr 1", "dist_sync"),
        ("train --kvstore dist_device_sync --lr 1", "dist_device_sync"),
        ("x --kvstore=horovod", "horovod"),
    ],
)
def test_the_engine_is_that_of_the_command(words, engine):
    assert engine_of(words.split()) == engine


def test_wrong_words_are_one_line(tmp_path):
    with pytest.raises(InputError, match="^kvstore=nccl: choose from dist_sync, "):
        engine_of(["train", "--kvstore", "nccl"])
    code, output = run(tmp_path, "-n", 2, "no-such-program")
    assert code == 2 and output == "launch.py: no-such-program: there is no such command, Python file or program\n"
    assert outcome("launch", ["-n", "0", "train"])[0] == 2
    if not os.path.exists(os.path.join(os.path.dirname(sys.executable), "horovodrun")):
        code, output = run(tmp_path, "train", "--kvstore", "horovod", env=jobs.environment(PATH="/nowhere"))
        assert code == 2 and output.startswith("launch.py: horovodrun is not installed: it comes with Horovod")


def stand_in(folder, name, text):
    """Write a program that stands in for an engine's launcher or for ssh."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return jobs.environment(PATH=f"{folder}:{os.environ['PATH']}")


def test_horovod_is_started_by_horovodrun(tmp_path, monkeypatch):
    show = "import os, sys; print(sys.argv[1:], os.environ.get('CUDA_VISIBLE_DEVICES')); sys.exit(7)"
    env = stand_in(tmp_path, "horovodrun", show)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", env["PATH"])
    (tmp_path / "hosts").write_text("a:2\nb:2\n")
    (member,) = members_of(
        LaunchOptions(processes=4, hosts=str(tmp_path / "hosts"), local_devices=(0, 1)), ["p", "--kvstore", "horovod"]
    )
    assert member.words[1:] == ["--gloo", "-np", "4", "-H", "a:2,b:2", "p", "--kvstore", "horovod"]
    assert member.environment["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_byteps_is_started_by_bpslaunch(tmp_path, monkeypatch):
    env = stand_in(tmp_path, "bpslaunch", "import sys; sys.exit(0)")
    monkeypatch.setenv("PATH", env["PATH"])
    (member,) = members_of(LaunchOptions(processes=8), ["p", "--kvstore", "byteps"])
    assert member.words == [str(tmp_path / "bpslaunch"), "p", "--kvstore", "byteps"]
    assert member.environment["NVIDIA_VISIBLE_DEVICES"] == "0,1,2,3,4,5,6,7"
    assert (member.environment["DMLC_ROLE"], member.environment["DMLC_NUM_WORKER"]) == ("worker", "1")
    with pytest.raises(InputError, match="^processes=2: BytePS has a process for each GPU: give 3"):
        members_of(LaunchOptions(processes=2, local_devices=(0, 1, 2)), ["p", "--kvstore", "byteps"])


class Job:
    """Run members that need no MXNet in a supervisor of this process."""

    def __init__(self, monkeypatch, capfd):
        self.capfd = capfd
        monkeypatch.setattr(supervisor, "GRACE", 0.5)
        monkeypatch.setattr(supervisor, "CLOSING", 0.5)

    def run(self, *codes, server=None):
        from resattnet.launcher.members import Member

        members = [
            Member(f"worker {rank}", str(rank), [sys.executable, "-c", code], dict(os.environ))
            for rank, code in enumerate(codes)
        ]
        if server:
            members.insert(
                0, Member("server 0", "server 0", [sys.executable, "-c", server], dict(os.environ), None, False)
            )
        runner = supervisor.Supervisor(members)
        begun = time.monotonic()
        self.code = runner.run()
        self.seconds = time.monotonic() - begun
        self.out, self.err = self.capfd.readouterr()
        assert all(process.child.poll() is not None for process in runner._processes)
        return self.code


@pytest.fixture
def job(monkeypatch, capfd):
    return Job(monkeypatch, capfd)


def test_each_line_begins_with_its_rank(job):
    say = "import sys; print('out'); print('err', file=sys.stderr); print('no end', end='')"
    assert job.run(say, say) == 0
    assert sorted(job.out.splitlines()) == ["[0] no end", "[0] out", "[1] no end", "[1] out"]
    assert sorted(job.err.splitlines()) == ["[0] err", "[1] err"]


@pytest.mark.parametrize(
    "end, code, words",
    [
        ("import sys; sys.exit(3)", 3, "worker 1 ended with exit code 3: the job is ended"),
        ("import os; os.kill(os.getpid(), 9)", 137, "worker 1 was killed by SIGKILL: the job is ended"),
        ("import os; os.abort()", 134, "worker 1 was killed by SIGABRT: the job is ended"),
    ],
)
def test_the_first_failure_ends_the_job_with_its_code(job, end, code, words):
    assert job.run(WAIT, end, WAIT, server=WAIT) == code and job.seconds < 8
    assert job.err.count("the job is ended") == 1 and words in job.err


def test_a_server_that_ends_ends_the_job(job):
    assert job.run(WAIT, server="import os; os.kill(os.getpid(), 9)") == 137
    assert "server 0 was killed by SIGKILL: the job is ended" in job.err


def test_servers_do_not_outlive_the_workers(job):
    assert job.run("print(1)", server=WAIT) == 0 and job.seconds < 8 and job.err == ""


def test_a_process_that_is_stopped_ends_the_job(job, monkeypatch):
    monkeypatch.setattr(supervisor, "STOPPED_LIMIT", 0.5)
    assert job.run(WAIT, "import os; os.kill(os.getpid(), 19)") == 124
    assert "worker 1 has been stopped for 0 s (SIGSTOP): the job is ended" in job.err


def test_nothing_is_left_of_what_the_processes_have_started(job, tmp_path):
    path = tmp_path / "pid"
    start = (
        f"import subprocess, sys; c = subprocess.Popen(['sleep', '100']); open({str(path)!r}, 'w').write(str(c.pid))"
    )
    until = f"import os, sys, time; name = {str(path)!r}\n"
    until += "while not (os.path.exists(name) and os.path.getsize(name)):\n    time.sleep(0.05)"
    assert job.run(f"{start}; {WAIT}", f"{until}\nsys.exit(1)") == 1
    wait = time.monotonic() + 5
    while is_running(int(path.read_text())) and time.monotonic() < wait:
        time.sleep(0.05)
    assert not is_running(int(path.read_text()))


OBEY = (
    "import signal, sys, time; signal.signal(signal.SIGUSR1, lambda *_: print('saved', flush=True)); "
    "signal.signal(signal.SIGINT, lambda *_: (time.sleep(0.3), sys.exit(130))); print('ready', flush=True); "
    "[time.sleep(0.1) for _ in range(1000)]"
)


@pytest.mark.slow
def test_signals_are_passed_on(tmp_path):
    env = stand_in(tmp_path, "horovodrun", OBEY)
    code = "import sys; sys.executable = '/nowhere/x'; from resattnet.commands import run; run('launch')"
    with open(tmp_path / "job.txt", "w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "-n", "2", "ls", "--kvstore", "horovod"],
            cwd=tmp_path,
            env=env,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    wait_until(lambda: "ready" in jobs.said(tmp_path), process, tmp_path)
    process.send_signal(signal.SIGUSR1)
    wait_until(lambda: "saved" in jobs.said(tmp_path), process, tmp_path)
    process.send_signal(signal.SIGINT)
    assert finish(process, tmp_path, 30)[0] == 130
    assert "the job is ended" not in jobs.said(tmp_path)


SSH = """
import os, sys
host, line = sys.argv[-2:]
assert '-o' in sys.argv
if host == 'silent':
    print('ssh: connect to host silent port 22: Connection timed out', file=sys.stderr)
    sys.exit(255)
os.environ['AT'] = host
os.execvp('sh', ['sh', '-c', line])
"""


@pytest.mark.slow
def test_processes_on_other_hosts_are_started_and_ended_over_ssh(tmp_path, monkeypatch, capfd):
    env = stand_in(tmp_path, "ssh", SSH)
    monkeypatch.setenv("PATH", env["PATH"])
    monkeypatch.setattr("resattnet.launcher.members.address_of", lambda host: "127.0.0.1")
    monkeypatch.setattr("resattnet.launcher.members.own_address", lambda hosts: "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hosts").write_text("one\ntwo\n")
    show = RANK + "print(os.environ['AT'], os.getcwd(), flush=True); import time; time.sleep(0 if rank else 100)"
    fail = show.replace(
        "time.sleep(0 if rank else 100)", "import sys; time.sleep(1 if rank else 100); sys.exit(rank * 5)"
    )
    members = members_of(LaunchOptions(hosts=str(tmp_path / "hosts")), [sys.executable, "-c", fail])
    workers = [member for member in members if member.trains]
    assert [member.host for member in workers] == ["one", "two"]
    assert supervisor.Supervisor(workers).run() == 5
    out, err = capfd.readouterr()
    assert sorted(out.splitlines()) == [f"[0] one {tmp_path}", f"[1] two {tmp_path}"]
    assert "worker 1 on two ended with exit code 5: the job is ended" in err
    silent = [workers[0], workers[1]._replace(host="silent")]
    assert supervisor.Supervisor(silent).run() == 255
    err = capfd.readouterr().err
    assert "Connection timed out" in err and "worker 1 on silent ended with exit code 255: the job is ended" in err
