"""Test the import of MXNet: setup, state left unchanged, and one-line errors."""

import os
import re
import subprocess
import sys

import pytest

from helpers.scripts import ROOT
from resattnet.machine import cores, mxnet, packages
from resattnet.machine.mxnet import MXNetUnavailable
from resattnet.system.errors import InputError


def refusal(check, *facts, **named):
    """Return the one-line error message that `check` raises."""
    with pytest.raises(MXNetUnavailable) as raised:
        check(*facts, **named)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def python(*arguments, path=(), **variables):
    """Run this interpreter on `arguments` with `path` first on PYTHONPATH. Return the finished process."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(folder) for folder in path] + [ROOT]), **variables)
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def distribution(folder, name, version="1.9.1"):
    """Create pip's metadata for an installed distribution."""
    record = folder / (f"{name.replace('-', '_')}-{version}.dist-info")
    record.mkdir(parents=True)
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


# The import


def test_import_survives_warnings_as_errors():
    run = python(
        "-W",
        "error",
        "-c",
        "from resattnet.machine.mxnet import mx; import numpy; "
        "print(numpy.bool is bool, numpy.int is int, numpy.float is float, mx.nd.ones(3).sum().asscalar())",
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "True True True 3.0\n", "")


@pytest.mark.parametrize("before", ["", "import sklearn.base; "])
def test_import_does_not_load_what_it_does_not_need_and_leaves_it_usable(before):
    pytest.importorskip("sklearn")
    run = python(
        "-c",
        before + "import sys; from resattnet.machine.mxnet import mx; loaded = 'scipy.stats' in sys.modules; "
        "import sklearn, sklearn.metrics; "
        "print(loaded, sklearn.metrics.accuracy_score([1, 2], [1, 3]), "
        "mx.contrib.quantization.stats.entropy([1, 1], base=2), mx.test_utils.ss.norm.cdf(0))",
    )
    assert (run.stdout, run.stderr) == (f"{bool(before)} 0.5 1.0 0.5\n", "")


@pytest.mark.parametrize(
    "what",
    [
        "",
        ".run_options.options",
        ".prediction.options",
        ".evaluation.options",
        ".export.options",
        ".reports.options",
        ".benchmark.options",
        ".experiments.options",
        ".experiments.recipes",
        ".runs.states",
        ".runs.run_folders",
        ".runs.history",
        ".runs.logs",
        ".machine.packages",
        ".machine.cores",
    ],
)
def test_modules_used_before_the_threads_are_set_do_not_load_mxnet(what):
    run = python("-c", f"import resattnet{what}, sys; print('mxnet' in sys.modules)")
    assert run.stdout == "False\n", run.stderr


def test_thread_count_is_the_users_where_set():
    ask = "from resattnet.machine import mxnet; import os; print(os.environ['OMP_NUM_THREADS'])"
    assert python("-c", ask, OMP_NUM_THREADS="3").stdout == "3\n"


def test_thread_count_is_the_cores_where_not_set(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    run = python(
        "-c",
        "from resattnet.machine import mxnet, cores; import os; "
        "print(os.environ['OMP_NUM_THREADS'] == str(cores.core_count()))",
    )
    assert run.stdout == "True\n", run.stderr


# Prints how many threads took part in 60 products of two arrays of 8 million numbers, by their clock ticks.
MULTIPLY = """
import os
from resattnet.machine.mxnet import mx

def ticks():
    found = {}
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/stat") as stream:
            found[thread] = int(stream.read().rsplit(")", 1)[1].split()[11])
    return found

arrays = [mx.nd.ones((64, 128, 32, 32)) for _ in range(3)]
mx.nd.waitall()
before = ticks()
for _ in range(60):
    mx.nd.elemwise_mul(arrays[0], arrays[1], out=arrays[2])
mx.nd.waitall()
spent = {thread: count - before.get(thread, 0) for thread, count in ticks().items()}
print(sum(count > 0.2 * sum(spent.values()) for count in spent.values()))
"""


@pytest.mark.skipif(cores.core_count() < 2 or not os.path.exists("/proc/self/task"), reason="needs two cores of Linux")
def test_mxnets_own_operators_use_all_cores_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("MXNET_USE_OPERATOR_TUNING", raising=False)
    assert python("-c", MULTIPLY, OMP_NUM_THREADS="2").stdout == "2\n"
    ask = "from resattnet.machine import mxnet; import os; print(os.environ.get('MXNET_USE_OPERATOR_TUNING'))"
    assert python("-c", ask, MXNET_USE_OPERATOR_TUNING="1").stdout == "1\n"


def test_waiting_threads_spin_a_little_unless_the_user_says_otherwise(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    ask = "from resattnet.machine import mxnet; import os; print(os.environ.get('GOMP_SPINCOUNT'))"
    assert python("-c", ask).stdout == "10000\n"
    assert python("-c", ask, GOMP_SPINCOUNT="7").stdout == "7\n"
    assert python("-c", ask, OMP_WAIT_POLICY="active").stdout == "None\n"


def test_aliases_keep_existing_names():
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


# Error messages, as a user sees them


def last_line(run):
    assert run.returncode == 1, run.stdout
    return run.stderr.strip().splitlines()[-1]


def test_no_mxnet():
    # -S excludes the environment's packages.
    assert "MXNet is not installed: python -m pip install -r requirements.txt" in last_line(
        python("-S", "-c", "import resattnet.machine.mxnet")
    )


def test_both_mxnets(tmp_path):
    distribution(tmp_path, "mxnet")
    distribution(tmp_path, "mxnet-cu112")
    line = last_line(python("-c", "import resattnet.machine.mxnet", path=[tmp_path]))
    assert "mxnet and mxnet-cu112 are both installed" in line
    assert "python -m pip uninstall -y mxnet mxnet-cu112 && python -m pip install -r requirements.txt" in line


def test_mxnet_whose_files_were_removed_with_another(tmp_path):
    distribution(tmp_path, "mxnet")
    (tmp_path / "mxnet").mkdir()  # pip leaves a folder without __init__.py
    assert "--force-reinstall --no-deps mxnet==1.9.1" in last_line(
        python("-S", "-c", "import resattnet.machine.mxnet", path=[tmp_path])
    )


def test_numpy_2(tmp_path):
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("__version__ = '2.1.0'\n")
    line = last_line(python("-c", "import resattnet.machine.mxnet", path=[tmp_path]))
    assert "NumPy 2.1.0 does not work with MXNet" in line and 'python -m pip install "numpy<2"' in line


def test_an_unavailable_mxnet_is_an_import_error():
    assert issubclass(MXNetUnavailable, ImportError) and issubclass(MXNetUnavailable, InputError)


@pytest.mark.parametrize("version", [(3, 7, 16), (3, 13, 0), (3, 14, 0)])
def test_python_refused(version):
    assert f"Python {version[0]}.{version[1]} cannot run MXNet" in refusal(mxnet.check_python, version)


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
    assert not packages.load_library("libresattnet-is-not-there.so.9")


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


def test_cuda_libraries_of_the_system_are_used():
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


def test_modules_are_postponed_until_they_are_used(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with packages.postpone_module("colorsys"):
        import colorsys as later
    assert "colorsys" not in sys.modules
    assert later.rgb_to_hsv(1, 0, 0) == (0, 1, 1) and "colorsys" in sys.modules
    with packages.postpone_module("colorsys"):
        import colorsys
    assert colorsys is sys.modules["colorsys"] is not later
    for missing in ("no_such_package", "no_such_package.part"):
        with packages.postpone_module(missing), pytest.raises(ImportError, match="no_such_package"):
            __import__(missing)


def test_what_mxnet_does_not_need_is_not_imported_until_it_is_used():
    code = (
        "import sys; from resattnet.machine.mxnet import mx, POSTPONED; "
        "print([name for name in POSTPONED if name in sys.modules]); "
        "print(mx.gluon.utils.requests.get.__name__, mx.contrib.quantization.stats.entropy([1, 1]) > 0.69)"
    )
    assert python("-c", code).stdout == "[]\nget True\n"
