"""Test the package requirements, the distributions, and `make`, which installs the requirements."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from helpers.scripts import ROOT, package, refused
from resattnet.machine import mxnet

# The requirements


@pytest.fixture(scope="module")
def packaging():
    """Return the arguments that setup.py passes to setup()."""
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


def test_what_checks_the_code_is_in_the_dev_extra_for_each_python(packaging):
    dev = packaging["extras_require"]["dev"]
    assert "ruff>=0.6,<1" in dev
    assert [line for line in dev if line.startswith("mypy")] == [
        'mypy>=1.8,<1.15; python_version < "3.9"',  # mypy 1.14 is the last for Python 3.8
        'mypy>=1.8,<2; python_version >= "3.9"',
    ]


# The distributions


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Return a folder with the wheel and the sdist, built from a copy of the clone."""
    folder = tmp_path_factory.mktemp("build")
    left_out = shutil.ignore_patterns("__pycache__", "cifar-*", "*.rec", "*.idx", "*.tar.gz*")
    for name in os.listdir(ROOT):
        path = os.path.join(ROOT, name)
        if os.path.isfile(path):
            shutil.copy(path, str(folder))
    for name in ("resattnet", "scripts", "tests", "docs", "data"):
        shutil.copytree(os.path.join(ROOT, name), str(folder / name), ignore=left_out)
    run = subprocess.run(
        [sys.executable, "setup.py", "-q", "sdist", "bdist_wheel"],
        cwd=str(folder),
        capture_output=True,
        text=True,
        timeout=120,
    )
    if "invalid command 'bdist_wheel'" in run.stderr:
        pytest.skip("this setuptools builds no wheels: python -m pip install 'setuptools>=70.1,<81'")
    assert run.returncode == 0, run.stderr
    return folder / "dist"


@pytest.fixture(scope="module")
def installed(distributions, tmp_path_factory):
    """Return a folder with the contents of the wheel, laid out as pip does in site-packages."""
    (wheel,) = distributions.glob("*.whl")
    folder = tmp_path_factory.mktemp("installed") / "site-packages"
    with zipfile.ZipFile(str(wheel)) as archive:
        archive.extractall(str(folder))
    return folder


def test_the_wheel_has_all_of_the_package(installed):
    """The wheel also holds the non-Python files: recipes, weights, digits, templates and the py.typed marker."""
    package_folder = os.path.join(ROOT, "resattnet")
    files = [
        os.path.relpath(os.path.join(folder, name), package_folder)
        for folder, _, names in os.walk(package_folder)
        for name in names
        if "__pycache__" not in folder
    ]
    for name in ("py.typed", "experiments/recipes.csv", "datasets/digits.npz"):
        assert name in files
    assert any(name.startswith("reports/templates/") and name.endswith(".html") for name in files)
    assert any(name.startswith("zoo/weights/") and name.endswith(".params") for name in files)
    assert [name for name in files if not (installed / "resattnet" / name).exists()] == []


def test_the_wheel_says_what_it_is(installed):
    (information,) = installed.glob("*.dist-info")
    metadata = (information / "METADATA").read_text(encoding="utf-8")
    for line in ("License: MIT", "Description-Content-Type: text/markdown", "Classifier: Typing :: Typed"):
        assert line in metadata.splitlines()
    versions = re.search(r"^Requires-Python: (.+)$", metadata, re.MULTILINE).group(1)
    assert sorted(versions.split(",")) == ["<3.13", ">=3.8"]
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as stream:
        assert stream.readline().strip() in metadata
    assert "resattnet = resattnet.commands:run" in (information / "entry_points.txt").read_text()


def test_the_commands_work_from_the_wheel(installed, tmp_path):
    listed = package("reproduce", cwd=str(tmp_path), path=installed)
    assert listed.returncode == 0 and listed.stdout.startswith("recipe "), listed.stderr
    done = package("reproduce", "--print", "digits", cwd=str(tmp_path), path=installed)
    assert done.stdout.startswith("python -m resattnet train --name digits --dataset digits "), done.stderr
    own = installed / "resattnet" / "experiments" / "recipes.csv"
    line = refused(package("reproduce", "digits", cwd=str(tmp_path), path=installed))
    assert line == (
        "python -m resattnet reproduce: give --recipes, the path of a file in which the results are entered, such as "
        f"a copy of the installed package's {own}, which is not changed\n"
    )
    line = refused(package("reproduce", "--readme", 1, cwd=str(tmp_path), path=installed))
    assert "--readme 1: docs/recipes.md exists only in a clone of the repository" in line
    assert os.listdir(str(tmp_path)) == []


def test_the_sdist_has_all_that_its_tests_need(distributions):
    if not os.path.exists(os.path.join(ROOT, ".git")) or shutil.which("git") is None:
        pytest.skip("which files are the repository's is asked of git, and this is no clone")
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(str(sdist)) as archive:
        held = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    lacking = [name for name in tracked.stdout.splitlines() if name not in held and not name.startswith(".")]
    assert [name for name in lacking if os.path.exists(os.path.join(ROOT, name))] == []


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
    """Run make on a copy of the Makefile. `make.log` has one line per install."""
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
    # This interpreter is named for one version but runs another.
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


def test_make_test_asks_for_the_cores_in_words_that_python_runs():
    with open(os.path.join(ROOT, "Makefile")) as stream:
        words = re.search(r'bin/python -c "(from resattnet.*?)"', stream.read()).group(1)
    done = subprocess.run([sys.executable, "-c", words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    assert int(done.stdout) >= 1


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
