"""Tests for downloads from a local server that fails in many ways, and for damaged or hostile archives."""

import hashlib
import http.server
import io
import os
import resource
import subprocess
import sys
import tarfile
import threading
import time

import numpy as np
import pytest

from resattnet.datasets import archives, downloads
from resattnet.system.errors import InputError

DATA = np.random.RandomState(0).randint(0, 256, 3 << 20, dtype=np.uint8).tobytes()
SHA256 = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve `server.data` according to the attributes of `Server`, and record the Range header of each request."""

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if server.status != 200:
            return self.send_error(server.status)
        start = int(asked[len("bytes=") : -1]) if asked and server.ranges else 0
        if start and start >= len(server.data):
            return self.send_error(416)
        body = server.data[start:]
        self.send_response(206 if start else 200)
        if start:
            claimed = start + server.range_error
            self.send_header("Content-Range", f"bytes {claimed}-{len(server.data) - 1}/{len(server.data)}")
        if server.tells_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut])
        if server.pause:
            time.sleep(server.pause)

    def log_message(self, *args):
        pass


class Server(http.server.HTTPServer):
    data, status, ranges, range_error, tells_length, cut, pause = DATA, 200, True, 0, True, None, 0

    def handle_error(self, request, client_address):
        pass  # some tests close the connection early


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.url = f"http://127.0.0.1:{server.server_port}/file.bin"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "data" / "file.bin")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def leave_part(path, data):
    os.makedirs(os.path.dirname(path))
    with open(path + ".part", "wb") as file:
        file.write(data)


def refusal(*args, **kwargs):
    """Return the one-line message of the InputError from `fetch`."""
    with pytest.raises(InputError) as caught:
        downloads.fetch(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_only(path, *names):
    assert sorted(os.listdir(os.path.dirname(path))) == sorted(names)


# Successful downloads


@pytest.mark.parametrize("digests", [{"sha256": SHA256}, {"md5": MD5}, {"sha256": SHA256.upper(), "md5": MD5}, {}])
def test_a_complete_download(server, path, digests):
    assert downloads.fetch(server.url, path, len(DATA), **digests) == path
    assert read(path) == DATA
    assert_only(path, "file.bin")
    downloads.fetch(server.url, path, len(DATA), **digests)
    assert server.asked == [None]


def test_fetch_without_announced_length(server, path):
    server.tells_length = False
    downloads.fetch(server.url, path, len(DATA), SHA256)
    assert read(path) == DATA


@pytest.mark.parametrize("have", [1, 1000, len(DATA) - 1])
def test_a_download_resumes_where_it_stopped(server, path, have):
    leave_part(path, DATA[:have])
    downloads.fetch(server.url, path, len(DATA), SHA256)
    assert read(path) == DATA and server.asked == [f"bytes={have}-"]
    assert_only(path, "file.bin")


def test_a_complete_part_is_not_requested_again(server, path):
    leave_part(path, DATA)
    downloads.fetch(server.url, path, len(DATA), SHA256)
    assert read(path) == DATA and server.asked == []


def test_part_that_is_too_long_starts_again(server, path):
    leave_part(path, DATA + b"more")
    downloads.fetch(server.url, path, len(DATA), SHA256)
    assert read(path) == DATA and server.asked == [None]


def test_server_that_ignores_ranges(server, path):
    server.ranges = False
    leave_part(path, b"x" * 1000)
    downloads.fetch(server.url, path, len(DATA), SHA256)
    assert read(path) == DATA and len(server.asked) == 1


def test_server_that_gives_another_range(server, path):
    server.range_error = -7
    leave_part(path, DATA[:1000])
    downloads.fetch(server.url, path, len(DATA), SHA256)
    assert read(path) == DATA and server.asked == ["bytes=1000-", None]


def test_server_that_refuses_the_range(server, path):
    server.data = DATA[:1000]
    leave_part(path, b"x" * 2000)
    # The server answers the range with 416, then sends the whole file, which has the wrong length.
    assert "the server has 1,000 bytes, expected 3,145,728" in refusal(server.url, path, len(DATA), SHA256)
    leave = path + ".other"
    os.makedirs(os.path.dirname(leave), exist_ok=True)
    with open(leave + ".part", "wb") as file:
        file.write(b"x" * 999)
    server.status = 416
    assert "HTTP 416" in refusal(server.url, leave, 1000)
    assert server.asked == ["bytes=2000-", None, "bytes=999-", None]


def test_interrupted_downloads_resume(server, path):
    server.cut = 1 << 20
    downloads.fetch(server.url, path, len(DATA), SHA256)
    assert read(path) == DATA and server.asked == [None, "bytes=1048576-", "bytes=2097152-"]


# Failed downloads


def test_a_failed_download_keeps_its_part(server, path):
    server.cut, server.ranges = 100000, False
    line = refusal(server.url, path, len(DATA), SHA256)
    assert "the connection was cut after 100,000 of 3,145,728 bytes" in line and path in line
    assert read(path + ".part") == DATA[:100000]
    server.cut, server.ranges = None, True
    downloads.fetch(server.url, path, len(DATA), SHA256)
    assert read(path) == DATA and server.asked[-1] == "bytes=100000-"


@pytest.mark.parametrize(
    "digests, named", [({"sha256": "0" * 64}, "SHA256 " + SHA256), ({"md5": "0" * 32}, "MD5 " + MD5)]
)
def test_corrupted_download_is_removed(server, path, digests, named):
    line = refusal(server.url, path, len(DATA), **digests)
    assert "corrupted" in line and named in line and "removed" in line
    assert_only(path)


def test_a_damaged_part_is_downloaded_again(server, path):
    leave_part(path, b"x" * 1000)
    assert "corrupted" in refusal(server.url, path, len(DATA), SHA256)
    downloads.fetch(server.url, path, len(DATA), SHA256)
    assert read(path) == DATA


@pytest.mark.parametrize("status", [403, 404, 500])
def test_http_errors(server, path, status):
    server.status = status
    with pytest.raises(downloads.DownloadError) as caught:
        downloads.fetch(server.url, path, len(DATA), SHA256)
    assert caught.value.reason.startswith(f"HTTP {status} ")
    assert server.url in str(caught.value) and path in str(caught.value)
    assert not os.path.exists(os.path.dirname(path))


def test_a_failed_download_removes_only_the_folders_that_it_made(server, tmp_path):
    server.status = 404
    (tmp_path / "there").mkdir()
    refusal(server.url, str(tmp_path / "there" / "new" / "newer" / "file.bin"), len(DATA), SHA256)
    assert os.listdir(str(tmp_path)) == ["there"] and os.listdir(str(tmp_path / "there")) == []


def test_page_in_place_of_the_file(server, path):
    server.data = b"<html>Please log in</html>"
    leave_part(path, DATA[:10])
    assert "the server has 26 bytes, expected 3,145,728" in refusal(server.url, path, len(DATA), SHA256)
    assert read(path + ".part") == DATA[:10]


def test_no_server(path, capsys, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        url = f"http://127.0.0.1:{closed.server_port}/file.bin"
    with pytest.raises(downloads.DownloadError) as caught:
        downloads.fetch(url, path, len(DATA), SHA256)
    assert caught.value.reason == "Connection refused"
    assert capsys.readouterr().err == ""
    assert not os.path.exists(os.path.dirname(path))


def test_silent_server(server, path):
    server.cut, server.pause = 1000, 9
    assert "timed out" in refusal(server.url, path, len(DATA), SHA256, timeout=3)
    assert len(read(path + ".part")) >= 1000


def test_destination_that_is_not_a_folder(server, tmp_path):
    (tmp_path / "data").write_text("")
    line = refusal(server.url, str(tmp_path / "data" / "file.bin"), len(DATA), SHA256)
    assert "cannot be written" in line


@pytest.fixture
def full_disk():
    """Limit the size of each file to 1.5 MiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 19, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk(server, path, full_disk):
    line = refusal(server.url, path, len(DATA), SHA256)
    assert "file.bin.part cannot be written (File too large): free the disk" in line
    assert read(path + ".part") == DATA[: 3 << 19]


# Concurrent downloads


def test_processes_fetch_the_same_file_once(server, path):
    server.pause = 0.5
    code = (
        "import sys; from resattnet.datasets.downloads import fetch; fetch(*sys.argv[1:3], size=int(sys.argv[3]), "
        "sha256=sys.argv[4])"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(downloads.__file__))))
    command = [sys.executable, "-c", code, server.url, path, str(len(DATA)), SHA256]
    runs = [subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE) for _ in range(4)]
    errors = [run.communicate(timeout=60)[1] for run in runs]
    assert [run.returncode for run in runs] == [0] * 4, errors
    assert read(path) == DATA and server.asked == [None]
    assert_only(path, "file.bin")


def test_threads_that_all_fail_leave_nothing(server, path):
    lines = []

    def fetch():
        lines.append(refusal(server.url, path, len(DATA), "0" * 64))

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines) == 3 and all("corrupted" in line for line in lines)
    assert_only(path)


# Archives


def make_archive(path, *members):
    """Write a tar.gz file. Each member is a tuple (name, type, content or link target)."""
    with tarfile.open(str(path), "w:gz") as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content
                tar.addfile(info)
    return str(path)


def test_extract(tmp_path):
    archive = make_archive(
        tmp_path / "a.tar.gz",
        ("set", tarfile.DIRTYPE, ""),
        ("set/one", tarfile.REGTYPE, DATA),
        ("./set/deep/two", tarfile.REGTYPE, b"two"),
    )
    folder = tmp_path / "out"
    assert len(archives.extract(archive, folder)) == 2
    assert (folder / "set" / "one").read_bytes() == DATA and (folder / "set" / "deep" / "two").read_bytes() == b"two"
    assert sorted(os.listdir(str(folder / "set"))) == ["deep", "one"]


def test_extract_keeps_what_is_there(tmp_path):
    archive = make_archive(tmp_path / "a.tar.gz", ("one", tarfile.REGTYPE, b"1"), ("two", tarfile.REGTYPE, b"2"))
    (tmp_path / "one").write_bytes(b"mine")
    assert archives.extract(archive, str(tmp_path)) == [str(tmp_path / "two")]
    assert (tmp_path / "one").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "name, kind, content",
    [
        ("/tmp/resattnet-evil", tarfile.REGTYPE, b"x"),
        ("../evil", tarfile.REGTYPE, b"x"),
        ("set/../../evil", tarfile.REGTYPE, b"x"),
        ("..", tarfile.DIRTYPE, ""),
        ("set/link", tarfile.SYMTYPE, "/etc/passwd"),
        ("set/link", tarfile.LNKTYPE, "../../evil"),
        ("set/pipe", tarfile.FIFOTYPE, ""),
        ("set/device", tarfile.CHRTYPE, ""),
        ("set/disk", tarfile.BLKTYPE, ""),
    ],
)
def test_extract_refuses(tmp_path, name, kind, content):
    archive = make_archive(
        tmp_path / "a.tar.gz",
        ("set/good", tarfile.REGTYPE, b"x"),
        (name, kind, content),
        ("set/link/passwd", tarfile.REGTYPE, b"x"),
    )
    with pytest.raises(InputError) as caught:
        archives.extract(archive, str(tmp_path / "out"))
    assert archive in str(caught.value) and repr(name) in str(caught.value) and "refused" in str(caught.value)
    assert os.listdir(str(tmp_path)) == ["a.tar.gz"]
    assert not os.path.exists("/tmp/resattnet-evil")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: b"not an archive",
        lambda data: data[: len(data) // 2] + bytes(100) + data[len(data) // 2 + 100 :],
        lambda data: data[:-6] + bytes([data[-6] ^ 1]) + data[-5:],
    ],
)
def test_damaged_archive(tmp_path, damage):
    archive = make_archive(tmp_path / "a.tar.gz", ("one", tarfile.REGTYPE, DATA), ("two", tarfile.REGTYPE, DATA))
    damaged = damage(read(archive))
    with open(archive, "wb") as file:
        file.write(damaged)
    with pytest.raises(InputError) as caught:
        archives.extract(archive, str(tmp_path / "out"))
    assert str(caught.value).startswith(archive + ": not a complete tar archive (") and "\n" not in str(caught.value)
    assert os.listdir(str(tmp_path)) == ["a.tar.gz"]


@pytest.mark.parametrize(
    "headers, fault",
    [
        ({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" * 14}, ""),
        ({"GNU.sparse.map": "0,1,99999999999999,1", "GNU.sparse.size": "9" * 15}, "is a sparse file: refused"),
        ({"GNU.sparse.map": "a,b", "GNU.sparse.size": "1"}, ""),
        ({"size": "many"}, ""),
        ({"size": "9" * 5000}, ""),
        ({"path": "../evil"}, "leads out of the folder: refused"),
        ({"mtime": "inf"}, ""),
    ],
)
def test_an_archive_with_odd_extended_headers_is_refused(tmp_path, headers, fault):
    """None of them writes more than the archive holds, or raises another error."""
    archive = str(tmp_path / "a.tar.gz")
    with tarfile.open(archive, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("one")
        info.size, info.pax_headers = 1024, headers
        tar.addfile(info, io.BytesIO(b"5\n" + b"0\n1\n" * 511))
    try:
        written = archives.extract(archive, str(tmp_path / "out"), 1 << 20)
        assert sum(map(os.path.getsize, written)) <= 1024
    except InputError as error:
        assert str(error).startswith(archive + ": ") and fault in str(error) and "\n" not in str(error)
    else:
        assert not fault


def test_an_archive_of_too_many_bytes_is_refused(tmp_path):
    archive = make_archive(tmp_path / "a.tar.gz", ("one", tarfile.REGTYPE, DATA), ("two", tarfile.REGTYPE, DATA))
    with pytest.raises(InputError, match="its files have more than 100 bytes: refused"):
        archives.extract(archive, str(tmp_path / "out"), 100)
    assert os.listdir(str(tmp_path)) == ["a.tar.gz"]


def test_a_pipe_in_place_of_an_archive_is_refused(tmp_path):
    os.mkfifo(str(tmp_path / "a.tar.gz"))
    with pytest.raises(InputError, match="it is a named pipe, not a file"):
        archives.extract(str(tmp_path / "a.tar.gz"), str(tmp_path / "out"))


def test_extract_on_a_full_disk(tmp_path, full_disk):
    with pytest.raises(InputError, match="one cannot be written"):
        info = tarfile.TarInfo("one")
        info.size = 16 << 20
        archive = str(tmp_path / "a.tar.gz")
        with tarfile.open(archive, "w:gz") as tar:
            tar.addfile(info, io.BytesIO(bytes(info.size)))
        archives.extract(archive, str(tmp_path / "out"))
    assert os.listdir(str(tmp_path / "out")) == []
