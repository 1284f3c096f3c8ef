"""What a user meets before the first batch: MXNet's import, its one-line refusals, the requirements, make."""

import os
import re
import runpy
import shutil
import subprocess
import sys

import pytest

from helpers.scripts import ROOT
from resattnet.system import cores, gpus, mxnet
from resattnet.system.errors import InputError
from resattnet.system.mxnet import MXNetUnavailable


def refusal(check, *facts, **named):
    """Return the one line that `check` refuses with."""
    with pytest.raises(MXNetUnavailable) as raised:
        check(*facts, **named)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def python(*arguments, path=(), **variables):
    """Run this interpreter on `arguments` with `path` before everything; return the finished process."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(folder) for folder in path] + [ROOT]), **variables)
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def distribution(folder, name, version="1.9.1"):
    """Make pip's record of an installed distribution."""
    record = folder / (f"{name.replace('-', '_')}-{version}.dist-info")
    record.mkdir(parents=True)
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


class Driver:
    """A stand-in for libcuda with the GPUs `devices`, a list of (name, (major, minor))."""

    def __init__(self, devices, init=0, version=12040):
        self.devices, self.init, self.version = devices, init, version

    def cuInit(self, flags):
        return self.init

    def cuDriverGetVersion(self, number):
        number._obj.value = self.version

    def cuDeviceGetCount(self, number):
        number._obj.value = len(self.devices)

    def cuDeviceGet(self, device, index):
        device._obj.value = index

    def cuDeviceGetName(self, name, length, device):
        name.value = self.devices[device.value][0].encode()

    def cuDeviceGetAttribute(self, number, attribute, device):
        number._obj.value = self.devices[device.value][1][attribute - 75]


# The import


def test_import_survives_warnings_as_errors():
    run = python(
        "-W",
        "error",
        "-c",
        "from resattnet.system.mxnet import mx; import numpy; "
        "print(numpy.bool is bool, numpy.int is int, numpy.float is float, mx.nd.ones(3).sum().asscalar())",
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "True True True 3.0\n", "")


@pytest.mark.parametrize("before", ["", "import sklearn.base; "])
def test_import_does_not_load_what_it_does_not_need_and_leaves_it_usable(before):
    pytest.importorskip("sklearn")
    run = python(
        "-c",
        before + "import sys; from resattnet.system.mxnet import mx; loaded = 'scipy.stats' in sys.modules; "
        "import sklearn, sklearn.metrics; "
        "print(loaded, sklearn.metrics.accuracy_score([1, 2], [1, 3]), "
        "mx.contrib.quantization.stats.entropy([1, 1], base=2), mx.test_utils.ss.norm.cdf(0))",
    )
    assert (run.stdout, run.stderr) == (f"{bool(before)} 0.5 1.0 0.5\n", "")


@pytest.mark.parametrize(
    "what",
    [
        "",
        ".training.options",
        ".evaluation.options",
        ".export.options",
        ".reports.options",
        ".benchmark.options",
        ".experiments.options",
        ".experiments.recipes",
        ".runs.states",
        ".runs.run_folders",
        ".system.cores",
    ],
)
def test_what_is_needed_before_the_threads_are_set_does_not_load_mxnet(what):
    run = python("-c", f"import resattnet{what}, sys; print('mxnet' in sys.modules)")
    assert run.stdout == "False\n", run.stderr


def test_thread_count_is_the_users_where_set():
    ask = "from resattnet.system import mxnet; import os; print(os.environ['OMP_NUM_THREADS'])"
    assert python("-c", ask, OMP_NUM_THREADS="3").stdout == "3\n"


def test_thread_count_is_the_cores_where_not_set(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    run = python(
        "-c",
        "from resattnet.system import mxnet, cores; import os; "
        "print(os.environ['OMP_NUM_THREADS'] == str(cores.core_count()))",
    )
    assert run.stdout == "True\n", run.stderr


def test_waiting_threads_spin_a_little_unless_the_user_says_otherwise(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    ask = "from resattnet.system import mxnet; import os; print(os.environ.get('GOMP_SPINCOUNT'))"
    assert python("-c", ask).stdout == "10000\n"
    assert python("-c", ask, GOMP_SPINCOUNT="7").stdout == "7\n"
    assert python("-c", ask, OMP_WAIT_POLICY="active").stdout == "None\n"


def test_aliases_leave_what_is_there():
    namespace = {"bool": "NumPy's own"}
    mxnet.add_numpy_aliases(namespace)
    assert namespace["bool"] == "NumPy's own" and namespace["float"] is float


def test_nothing_else_imports_mxnet_first():
    files = [
        os.path.join(folder, name)
        for part in ("resattnet", "scripts", "tests")
        for folder, _, names in os.walk(os.path.join(ROOT, part))
        for name in names
        if name.endswith(".py")
    ]
    assert files
    for path in files:
        with open(path, encoding="utf-8") as stream:
            assert not re.search(r"^\s*(import|from) mxnet\b", stream.read(), re.MULTILINE), path


# Cores


@pytest.mark.parametrize(
    "cpus, siblings, quota, expected",
    [
        (range(4), lambda cpu: str(cpu), float("inf"), 4),
        (range(8), lambda cpu: str(cpu % 4), float("inf"), 4),  # two threads a core
        (range(64), lambda cpu: str(cpu), 1.5, 2),  # a container's share
        ([5], lambda cpu: str(cpu), 0.2, 1),
    ],
)
def test_core_count(monkeypatch, cpus, siblings, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(cpus), raising=False)
    assert cores.core_count(siblings, lambda: quota) == expected


@pytest.mark.parametrize("devices, threads", [(1, "6"), (2, "3"), (4, "1"), (12, "1")])
def test_devices_divide_the_cores(monkeypatch, devices, threads):
    monkeypatch.setattr(cores, "core_count", lambda: 6)
    monkeypatch.setattr(os, "environ", {})
    cores.split_cores(devices)
    set_by_us = dict(os.environ)
    assert set_by_us.pop("MXNET_CPU_TEMP_COPY", None) == (None if devices == 1 else str(32 * devices))
    assert set_by_us == {"OMP_NUM_THREADS": threads}
    before = dict(os.environ)
    cores.split_cores(1)
    assert os.environ == before, "what is set stays"


def test_container_cpus(tmp_path):
    assert cores.container_cpus(str(tmp_path)) == float("inf")
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert cores.container_cpus(str(tmp_path)) == float("inf")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("250000\n")
    assert cores.container_cpus(str(tmp_path)) == 2.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cores.container_cpus(str(tmp_path)) == float("inf")
    (tmp_path / "cpu.max").write_text("400000 100000\n")
    assert cores.container_cpus(str(tmp_path)) == 4


# The refusals, as a user sees them


def last_line(run):
    assert run.returncode == 1, run.stdout
    return run.stderr.strip().splitlines()[-1]


def test_no_mxnet():
    # -S: without the environment's packages
    assert "MXNet is not installed: python -m pip install -r requirements.txt" in last_line(
        python("-S", "-c", "import resattnet.system.mxnet")
    )


def test_both_mxnets(tmp_path):
    distribution(tmp_path, "mxnet")
    distribution(tmp_path, "mxnet-cu112")
    line = last_line(python("-c", "import resattnet.system.mxnet", path=[tmp_path]))
    assert "mxnet and mxnet-cu112 are both installed" in line
    assert "python -m pip uninstall -y mxnet mxnet-cu112 && python -m pip install -r requirements.txt" in line


def test_mxnet_whose_files_went_with_the_other(tmp_path):
    distribution(tmp_path, "mxnet")
    (tmp_path / "mxnet").mkdir()  # what pip leaves: a folder without __init__.py
    assert "--force-reinstall --no-deps mxnet==1.9.1" in last_line(
        python("-S", "-c", "import resattnet.system.mxnet", path=[tmp_path])
    )


def test_numpy_2(tmp_path):
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("__version__ = '2.1.0'\n")
    line = last_line(python("-c", "import resattnet.system.mxnet", path=[tmp_path]))
    assert "NumPy 2.1.0 cannot serve" in line and 'python -m pip install "numpy<2"' in line


def test_unavailable_is_an_import_error_and_the_users_to_mend():
    assert issubclass(MXNetUnavailable, ImportError) and issubclass(MXNetUnavailable, InputError)


@pytest.mark.parametrize("version", [(3, 7, 16), (3, 13, 0), (3, 14, 0)])
def test_python_refused(version):
    assert "Python %d.%d cannot run MXNet" % version[:2] in refusal(mxnet.check_python, version)


@pytest.mark.parametrize("minor", range(8, 13))
def test_python_accepted(minor):
    mxnet.check_python((3, minor, 0))


def test_numpy_versions():
    assert "NumPy is not installed" in refusal(mxnet.check_numpy, None)
    for version in ("1.17.3", "1.23.5", "1.26.4"):
        mxnet.check_numpy(version)


def test_one_mxnet_or_one_from_source_is_right():
    mxnet.check_builds(["mxnet"], importable=True)
    mxnet.check_builds([], importable=True)


def test_distutils_missing():
    assert 'python -m pip install "setuptools<81"' in refusal(mxnet.check_distutils, None)


@pytest.mark.parametrize("missing", ["libgomp.so.1", "libquadmath.so.0"])
def test_system_library_missing(missing):
    line = refusal(mxnet.check_libraries, lambda name: name != missing)
    assert missing in line and "apt-get install libgomp1 libquadmath0" in line and "dnf install" in line


def test_load_library():
    assert not mxnet.load_library("libresattnet-is-not-there.so.9")


def test_no_driver():
    line = refusal(mxnet.check_cuda, "mxnet-cu112", lambda path: path != "libcuda.so.1", ["/nvidia"])
    assert "needs the NVIDIA driver" in line and "pip uninstall -y mxnet-cu112 && " in line


def test_cuda_library_missing():
    line = refusal(mxnet.check_cuda, "mxnet-cu112", lambda path: "libcufft" not in path, ["/nvidia"])
    assert "libcufft.so.10" in line and "-r requirements-cu112.txt" in line


def test_cuda_libraries_are_loaded_after_those_they_need():
    loaded = []
    mxnet.check_cuda("mxnet-cu112", lambda path: loaded.append(path) or True, ["/nvidia"])
    assert loaded[:2] == ["libcuda.so.1", "/nvidia/cuda_runtime/lib/libcudart.so.11.0"]
    assert loaded.index("/nvidia/cublas/lib/libcublasLt.so.11") < loaded.index("/nvidia/cublas/lib/libcublas.so.11")
    assert loaded[-1] == "/nvidia/cudnn/lib/libcudnn.so.8" and len(loaded) == 11


def test_cuda_libraries_of_the_system_serve():
    mxnet.check_cuda("mxnet-cu112", lambda path: "/" not in path, ["/nvidia"])
    mxnet.check_cuda("mxnet-cu112", lambda path: "/" not in path, [])


@pytest.mark.parametrize(
    "mxboard, protobuf, implementation, line",
    [
        (None, "3.20.3", None, "mxboard is not installed"),
        ("0.1.0", None, None, "protobuf is not installed"),
        ("0.1.0", "4.25.3", None, "protobuf 4.25.3"),
        ("0.1.0", "5.29.1", "upb", "protobuf 5.29.1"),
        ("0.1.0", "6.30.0", "python", 'python -m pip install "protobuf>=3.20,<4"'),
    ],
)
def test_board_refused(mxboard, protobuf, implementation, line):
    assert line in refusal(mxnet.check_board, mxboard, protobuf, implementation)


@pytest.mark.parametrize("protobuf, implementation", [("3.20.3", None), ("3.19.6", "cpp"), ("5.29.1", "python")])
def test_board_accepted(protobuf, implementation):
    mxnet.check_board("0.1.0", protobuf, implementation)


def test_protobuf_of_this_environment():
    mxnet.check_protobuf()


# GPUs


def test_gpus_of_each_generation():
    cards = [
        ("Tesla K80", (3, 7)),
        ("GTX 1080", (6, 1)),
        ("RTX 4090", (8, 9)),
        ("NVIDIA H100", (9, 0)),
        ("NVIDIA B200", (10, 0)),
    ]
    devices, reason = gpus.driver_devices(Driver(cards))
    assert devices == cards and reason is None
    usable, reasons = gpus.usable_gpus(devices)
    assert usable == [1, 2]
    assert reasons[1] == "GPU 3 (NVIDIA H100) has compute capability 9.0: the wheel has code for 5.0 to 8.x only"
    assert [line.split()[1] for line in reasons] == ["0", "3", "4"]


@pytest.mark.parametrize(
    "driver, line",
    [
        (Driver([], init=100), "sees no GPU (cuInit: CUDA error 100)"),
        (Driver([], init=803), "reboot"),
        (Driver([], init=999), "does not start (cuInit: CUDA error 999)"),
        (Driver([]), "the NVIDIA driver sees no GPU"),
        (Driver([("GTX 1080", (6, 1))], version=10020), "serves CUDA 10.2"),
    ],
)
def test_no_gpu_says_why(driver, line):
    devices, reason = gpus.driver_devices(driver)
    assert devices == [] and line in reason and "\n" not in reason


def test_gpus_here():
    usable, reasons = gpus.gpus()
    assert usable or reasons
    if not mxnet.mx.runtime.Features().is_enabled("CUDA"):
        assert usable == [] and "-r requirements-cu112.txt" in reasons[0]


# The requirements


@pytest.fixture(scope="module")
def packaging():
    """The arguments of setup.py."""
    kept = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("setuptools.setup", lambda **arguments: kept.update(arguments))
        runpy.run_path(os.path.join(ROOT, "setup.py"))
    return kept


def names(requirements):
    return {re.split(r"[<>=!~; ]", requirement)[0] for requirement in requirements}


def test_extras_are_the_requirements_files(packaging):
    base = names(packaging["install_requires"])
    assert {"numpy", "mxboard", "protobuf", "gluoncv", "tqdm", "Pillow", "setuptools", "scipy", "scikit-learn"} <= base
    assert not any(name.startswith("mxnet") for name in base)
    extras = packaging["extras_require"]
    assert extras["cpu"] == ["mxnet==1.9.1"]
    assert "mxnet-cu112==1.9.1" in extras["cu112"] and "mxnet" not in names(extras["cu112"])
    assert {"onnx", "dev"} <= set(extras)


def test_every_cuda_library_has_its_wheel(packaging):
    wheels = {name for name in names(packaging["extras_require"]["cu112"]) if name.startswith("nvidia-")}
    assert wheels == {f"nvidia-{part.replace('_', '-')}-cu11" for part, _ in mxnet.CUDA_LIBRARIES}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-cu112.txt"])
def test_requirements_files_stand_on_the_base(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as stream:
        assert "-r requirements-base.txt\n" in stream.readlines()


def test_python_versions_agree(packaging):
    assert packaging["python_requires"] == ">=3.8,<3.13"


# make

FAKE_PYTHON = """#!/bin/sh
case "$*" in
    --version) echo "Python 3.11.0" ;;
    "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    *"pip install"*) echo installed >> "$INSTALL_LOG"; exit "${INSTALL_FAILS:-0}" ;;
esac
"""


def executable(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Run make on a copy of the Makefile; `make.log` has a line for each install."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for variable in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "VENV"):
        monkeypatch.delenv(variable, raising=False)
    try:
        subprocess.run([str(executable(tmp_path / "program", "#!/bin/sh\n"))], check=True)
    except PermissionError:
        pytest.skip(f"no program can be run in {tmp_path}")
    for name in ("Makefile", "setup.py", "requirements-base.txt", "requirements.txt"):
        shutil.copy(os.path.join(ROOT, name), str(tmp_path))

    def run(*arguments, **variables):
        environment = dict(os.environ, INSTALL_LOG=str(run.log), **variables)
        return subprocess.run(
            [shutil.which("make"), *arguments],
            cwd=str(tmp_path),
            env=environment,
            timeout=60,
            capture_output=True,
            text=True,
        )

    run.log = tmp_path / "log"
    run.log.write_text("")
    return run


def test_make_takes_the_python_that_answers(make, tmp_path):
    here = tmp_path / "bin"
    here.mkdir()
    executable(here / "python3.12", "#!/bin/sh\necho 'command not found' >&2; exit 127\n")
    # Named one version and being another: not what it says.
    liar = "python3.9" if sys.version_info[:2] != (3, 9) else "python3.8"
    executable(here / liar, f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
    good = executable(here / "python3", f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
    run = make("python", PATH=str(here))
    assert run.stdout.strip() == str(good), run.stderr


def test_make_takes_the_python_named(make, tmp_path):
    (tmp_path / "with space").mkdir()
    named = executable(tmp_path / "with space" / "mine", f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
    assert make("python", PYTHON=str(named)).stdout.strip() == str(named)
    assert make("python", "PYTHON=" + str(named)).stdout.strip() == str(named)


def test_make_without_python_says_what_to_install(make, tmp_path):
    run = make("setup", PATH=str(tmp_path))
    assert run.returncode != 0 and run.stderr.startswith("No usable Python 3.8 to 3.12")
    assert "apt-get install python3 python3-venv" in run.stderr.splitlines()[0]


def test_make_installs_once(make, tmp_path):
    fake = executable(tmp_path / "fake", FAKE_PYTHON)
    assert make("setup", PYTHON=str(fake)).returncode == 0
    assert make("setup", PYTHON=str(fake)).returncode == 0
    assert make.log.read_text() == "installed\n"
    later = os.stat(str(tmp_path / ".venv" / ".installed")).st_mtime + 2
    os.utime(str(tmp_path / "requirements-base.txt"), (later, later))
    assert make("setup", PYTHON=str(fake)).returncode == 0
    assert make.log.read_text() == "installed\n" * 2


def test_make_starts_an_interrupted_install_again(make, tmp_path):
    fake = executable(tmp_path / "fake", FAKE_PYTHON)
    assert make("setup", PYTHON=str(fake), INSTALL_FAILS="1").returncode != 0
    (tmp_path / ".venv" / "half").write_text("")
    assert make("setup", PYTHON=str(fake)).returncode == 0
    assert not (tmp_path / ".venv" / "half").exists()


def test_make_leaves_a_folder_that_is_not_its_own(make, tmp_path):
    fake = executable(tmp_path / "fake", FAKE_PYTHON)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "mine").write_text("")
    run = make("setup", PYTHON=str(fake))
    assert run.returncode != 0 and run.stderr.startswith(".venv is not make's")
    assert make("clean").returncode == 0 and (tmp_path / ".venv" / "mine").exists()
