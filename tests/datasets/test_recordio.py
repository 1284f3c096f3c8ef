"""Tests for RecordIO files of image sets: all-or-nothing writes, exact reads and errors for damaged files."""

import dataclasses
import io
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from helpers.in_process import script_here
from helpers.scripts import ROOT, refused, script
from helpers.tries import FULL
from resattnet.commands.make_records import RecordsOptions
from resattnet.data.geometry import Geometry
from resattnet.data.image_files import read_image
from resattnet.data.image_paths import is_image_name
from resattnet.data.image_set import ImageSet, channel_statistics, fingerprint
from resattnet.data.transforms import Transform
from resattnet.datasets import catalog, folders, record_files, record_writer, recordio
from resattnet.loaders.array_loader import ArrayLoader
from resattnet.machine.mxnet import mx
from resattnet.options.command_line import command
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError

CLASSES = ("cat", "dog", "owl")
FILES = ["small_records.json", "small_test.idx", "small_test.rec", "small_train.idx", "small_train.rec"]


def image_set(count, seed, shape=(6, 5, 3)):
    rng = np.random.default_rng(seed)
    return ImageSet(rng.integers(0, 256, (count,) + shape, np.uint8), np.arange(count, dtype=np.int32) % 3, CLASSES)


def splits(seed=0):
    return {"train": image_set(9, seed), "test": image_set(4, seed + 1)}


def write(folder, sets=None, **kwargs):
    sets = sets or splits()
    mean, std = channel_statistics(sets["train"].images)
    record_writer.write_records(str(folder), "small", sets, source="noise", mean=mean, std=std, flip=False, **kwargs)
    return sets


def load(folder, split="train", name="small"):
    return catalog.load_images(name, str(folder), split, data_format="rec")


def assert_same(found, written):
    assert found.images.dtype == np.uint8 and found.labels.dtype == np.int32 and found.classes == written.classes
    np.testing.assert_array_equal(found.images, written.images)
    np.testing.assert_array_equal(found.labels, written.labels)


def message(call, *args, **kwargs):
    """Return the one-line message of the InputError from a call."""
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Round trips


def test_records_are_read_as_they_were_written(tmp_path):
    sets = write(tmp_path / "new")
    assert sorted(os.listdir(str(tmp_path / "new"))) == FILES
    for split, written in sets.items():
        assert_same(load(tmp_path / "new", split), written)
    facts = catalog.describe_data("small", str(tmp_path / "new"), "rec")
    assert (facts.title, facts.classes, facts.samples) == ("noise", CLASSES, {"train": 9, "test": 4})
    pixels = sets["train"].images / 255.0
    np.testing.assert_allclose(facts.mean, pixels.mean((0, 1, 2)), atol=6e-5)
    np.testing.assert_allclose(facts.std, pixels.std((0, 1, 2)), atol=6e-5)
    assert facts.flip is False
    assert facts.image_size == (6, 5) and facts.fingerprint == fingerprint(sets["train"])


def test_records_are_png_that_others_read(tmp_path):
    sets = write(tmp_path)
    reader = mx.recordio.MXRecordIO(str(tmp_path / "small_train.rec"), "r")
    for number in range(9):
        header, png = mx.recordio.unpack(reader.read())
        assert (header.flag, header.label, header.id) == (0, number % 3, number) and png[:8] == b"\x89PNG\r\n\x1a\n"
    assert reader.read() is None
    images = mx.io.ImageRecordIter(path_imgrec=str(tmp_path / "small_test.rec"), data_shape=(3, 6, 5), batch_size=4)
    batch = images.next()
    np.testing.assert_array_equal(batch.data[0].asnumpy().transpose(0, 2, 3, 1), sets["test"].images)
    np.testing.assert_array_equal(batch.label[0].asnumpy(), sets["test"].labels)


def test_one_even_colour_has_a_deviation_to_divide_by():
    assert channel_statistics(np.full((2, 4, 4, 3), 51, np.uint8)) == ((0.2,) * 3, (0.0039,) * 3)


def assert_same_batches(name, data_dir, folder, count=None):
    """Assert that records and the original files give the same images and the same first `count` batches."""
    facts, sets, loaders = catalog.describe_data(name), [], []
    described = catalog.describe_data(name, folder, "rec")
    assert dataclasses.replace(described, fingerprint=None) == facts
    plain = Transform(facts.mean, facts.std, len(facts.classes))
    transform = plain._replace(pad=4, flip=True, alpha=1.0, epsilon=0.1, seed=3)
    for place, data_format in ((data_dir, "bin"), (folder, "rec")):
        train, test = (catalog.load_images(name, place, split, data_format=data_format) for split in ("train", "test"))
        sets.append((train, test))
        loaders.append((ArrayLoader(train, transform, 64, 3), ArrayLoader(test, plain, 64)))
    for ours, theirs in zip(*sets):
        assert (ours.images == theirs.images).all() and (ours.labels == theirs.labels).all()
    for ours, theirs in zip(*loaders):
        assert len(ours) == len(theirs) and ours.samples == theirs.samples
        for a, b in itertools.islice(zip(ours.epoch(1), theirs.epoch(1)), count):
            assert all((x == y).all() and x.dtype == y.dtype for x, y in zip(a, b))


def test_digits_give_the_same_batches(tmp_path):
    done = script_here("make_records.py", "--dataset", "digits", cwd=str(tmp_path))
    assert done.returncode == 0 and done.stderr == "", done
    assert "data/digits_train.rec: 1437 images of 32x32 pixels, 10 classes" in done.stdout
    assert_same_batches("digits", None, str(tmp_path / "data"))


@pytest.mark.slow
@pytest.mark.skipif(not FULL, reason="60,000 images take the way of the digits: `make fuzz` writes and reads them")
def test_real_cifar10_gives_the_same_batches(cifar10_dir, tmp_path):
    done = script("make_records.py", "--dataset", "cifar10", "--data-dir", cifar10_dir, "--output-dir", tmp_path)
    assert done.returncode == 0, done
    assert "cifar10_train.rec: 50000 images of 32x32 pixels, 10 classes" in done.stdout
    assert_same_batches("cifar10", cifar10_dir, str(tmp_path), 50)


# Writing


def test_existing_records_are_not_overwritten(tmp_path):
    old = write(tmp_path)
    assert "small_train.rec already exists" in message(write, tmp_path, splits(seed=7))
    assert_same(load(tmp_path), old["train"])
    new = write(tmp_path, splits(seed=7), overwrite=True)
    assert_same(load(tmp_path), new["train"])
    assert sorted(os.listdir(str(tmp_path))) == FILES


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_interrupted_write_keeps_the_earlier_records(tmp_path, monkeypatch, overwrite):
    old = write(tmp_path) if overwrite else None

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(mx.recordio.MXIndexedRecordIO, "tell", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, splits(seed=7), overwrite=overwrite)
    monkeypatch.undo()
    assert sorted(os.listdir(str(tmp_path))) == (FILES if overwrite else [])
    if overwrite:
        assert_same(load(tmp_path), old["train"])


@pytest.mark.parametrize("renamed", range(5))
def test_old_and_new_files_are_never_mixed(tmp_path, monkeypatch, renamed):
    """If writing stops between two renames, no set can be loaded, and the error message says how to make one."""
    write(tmp_path)
    replace, done = os.replace, []

    def stop(source, target):
        if len(done) == renamed:
            raise KeyboardInterrupt
        done.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, splits(seed=7), overwrite=True)
    monkeypatch.undo()
    assert "small_records.json is not there: make the records" in message(load, tmp_path)


def test_a_wrongly_written_record_is_noticed(tmp_path, monkeypatch):
    pack = mx.recordio.pack
    monkeypatch.setattr(mx.recordio, "pack", lambda header, png: pack(header._replace(label=2.0), png))
    assert "the train split reads back differently from what was written" in message(write, tmp_path)
    assert os.listdir(str(tmp_path)) == []


def test_a_full_disk_is_one_line(tmp_path):
    limit = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000)); "
        "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    path = os.path.join(ROOT, "scripts", "make_records.py")
    done = subprocess.run(
        [sys.executable, "-c", limit, path, "--dataset", "digits", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "the records cannot be written" in refused(done)
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_script_leaves_no_files(tmp_path, number):
    for _ in range(5):  # on a busy machine the script may finish before the signal
        process = subprocess.Popen(
            [sys.executable, os.path.join(ROOT, "scripts", "make_records.py"), "--dataset", "digits"],
            cwd=str(tmp_path),
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # background jobs of a shell ignore SIGINT
        while process.poll() is None and not list(tmp_path.glob("data/.digits_records-*/*.rec")):
            time.sleep(0.001)
        process.send_signal(number)
        process.communicate(timeout=60)
        if process.returncode:
            break
        shutil.rmtree(str(tmp_path / "data"))
    assert process.returncode == 128 + number
    assert os.listdir(str(tmp_path / "data")) == []


def test_of_two_scripts_at_once_one_is_refused(tmp_path):
    """Both find no records when they begin. The one that is done later does not replace those of the other."""
    code = (
        "import sys, time; from resattnet.datasets import record_writer; from resattnet.commands import run\n"
        "verify = record_writer._verify\n"
        "def wait(*args):\n    verify(*args); print(flush=True); sys.stdin.readline()\n"
        "record_writer._verify = wait; sys.argv[1:] = ['make-records', '--dataset', 'digits']; run()"
    )
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    environment = dict(os.environ, PYTHONPATH=ROOT)
    both = [
        subprocess.Popen([sys.executable, "-c", code], cwd=str(tmp_path), env=environment, **pipes) for _ in range(2)
    ]
    for process in both:
        process.stdout.readline()  # its records are written and checked, and not in place yet
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2], said
    assert re.search(r"data/digits_train.rec already exists: give another .*--overwrite 1\n$", said[codes.index(2)])
    assert sorted(os.listdir(str(tmp_path / "data"))) == sorted(
        os.path.basename(path) for path in record_files.all_paths("data", "digits")
    )
    assert len(recordio.read_records("digits", str(tmp_path / "data"), "test").labels) == 360


# Damaged records


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    write(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """Return a copy of an undamaged set, which a test can damage."""
    shutil.copytree(str(whole), str(tmp_path / "set"))
    return tmp_path / "set"


def describe_again(folder):
    """Set the length in the description to the length of the damaged training records.

    The length check then passes, so that later checks find the damage.
    """
    path = folder / "small_records.json"
    known = json.loads(path.read_text())
    known["splits"]["train"]["bytes"] = os.path.getsize(str(folder / "small_train.rec"))
    del known["sha256"]
    path.write_text(json.dumps(known))


def rewrite(folder, change):
    """Replace each training record with the result of `change(number, header, png)`."""
    path, index = str(folder / "small_train.rec"), str(folder / "small_train.idx")
    reader = mx.recordio.MXIndexedRecordIO(index, path, "r")
    items = [change(number, *mx.recordio.unpack(reader.read_idx(number))) for number in reader.keys]
    reader.close()
    writer = mx.recordio.MXIndexedRecordIO(index, path, "w")
    for number, item in enumerate(items):
        writer.write_idx(number, item if isinstance(item, bytes) else mx.recordio.pack(*item))
    writer.close()
    describe_again(folder)


@pytest.mark.parametrize("name", FILES[3:])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert message(load, folder) == f"{folder / name} is not there: make the records again, with --overwrite 1"
    assert len(load(folder, "test").labels) == 4


def test_a_missing_description_says_what_to_do(tmp_path):
    assert message(load, tmp_path).endswith(
        f"make the records with {command('make-records')} --images FOLDER --name small --output-dir {tmp_path}"
    )
    assert "make-records --dataset cifar10 " in message(load, tmp_path, name="cifar10")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', "\xff\xfe", '{"version": 1, "mean": [0, 0, 0]'])
def test_a_damaged_description_is_named(folder, text):
    (folder / "small_records.json").write_bytes(text.encode("latin-1"))
    assert "small_records.json is damaged (" in message(load, folder)


@pytest.mark.parametrize(
    "key, value, text",
    [
        ("version", 2, "version 2, expected 1"),
        ("std", [1, 1, 0], "is damaged"),
        ("mean", [1], "is damaged"),
        ("splits", {"train": {"samples": 9}}, "is damaged"),
        ("splits", {split: dict(samples=0, bytes=0, sha256="") for split in ("train", "test")}, "is damaged"),
    ],
)
def test_an_invalid_description_is_named(folder, key, value, text):
    path = folder / "small_records.json"
    path.write_text(json.dumps(dict(json.loads(path.read_text()), **{key: value})))
    assert text in message(load, folder)


def replaced(description, key, value):
    """Return a description with another value of a key; `a.b.c` is a key of a key of a key."""
    *outer, last = key.split(".")
    place = description
    for name in outer:
        place = place[name]
    place[last] = value
    return description


@pytest.mark.parametrize(
    "key, value",
    [
        ("std", [0.1, 0.2, 0.3]),
        ("mean", [0.1, 0.2, 0.3]),
        ("classes", ["owl", "dog", "cat"]),
        ("flip", True),
        ("source", "elsewhere"),
        ("image_size", [5, 6]),
        ("fingerprint", "0" * 64),
        ("splits.test.samples", 3),
    ],
)
def test_a_changed_description_is_noticed(folder, key, value):
    path = folder / "small_records.json"
    path.write_text(json.dumps(replaced(json.loads(path.read_text()), key, value)))
    for call in (load, lambda folder: catalog.describe_data("small", str(folder), "rec")):
        assert message(call, folder) == (
            f"{path} is damaged (a value was changed: its SHA-256 is another one): make the records again, with "
            "--overwrite 1"
        )


@pytest.mark.parametrize(
    "key, value, fault",
    [
        ("classes", "abcde", "classes is not a list of names"),
        ("classes", ["a", None], "classes is not a list of names"),
        ("flip", "no", "flip is neither true nor false"),
        ("splits.train.samples", 10**12, "1000000000000 samples in"),
        ("splits.train.samples", 9.5, "the size of a split is not a whole number"),
        ("splits.train.sha256", None, "the size of a split is not a whole number"),
        ("splits.train.more", 1, "TypeError: "),
        ("mean", [float("nan")] * 3, "it has a number that is not finite"),
        ("std", [float("inf")] * 3, "it has a number that is not finite"),
    ],
)
def test_a_description_without_a_digest_is_checked_too(folder, key, value, fault):
    path = folder / "small_records.json"
    older = json.loads(path.read_text())
    del older["sha256"]
    path.write_text(json.dumps(replaced(older, key, value)))
    assert f"{path} is damaged ({fault}" in message(load, folder)


def test_a_description_that_is_nested_too_deeply_or_a_pipe_is_refused(folder):
    path = folder / "small_records.json"
    for levels in (60, 10**5):
        path.write_text("[" * levels + "]" * levels)
        assert f"{path} is damaged (it is nested too deeply)" in message(load, folder)
    path.unlink()
    os.mkfifo(str(path))
    assert f"{path}: cannot be read (it is a named pipe, not a file)" in message(load, folder)


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_records_cut_short_are_named(folder, cut):
    path = str(folder / "small_train.rec")
    length = os.path.getsize(path)
    os.truncate(path, cut % length)
    assert message(load, folder).startswith(f"{path}: {f'{cut % length:,}'} bytes, expected {f'{length:,}'}: truncated")


def test_records_too_long_are_named(folder):
    with open(str(folder / "small_train.rec"), "ab") as file:
        file.write(bytes(8))
    assert ": too long" in message(load, folder)


def test_an_index_past_the_end_is_named(folder):
    os.truncate(str(folder / "small_train.rec"), 700)
    describe_again(folder)
    line = message(load, folder)
    assert "small_train.idx: points to byte" in line and "of 700 in small_train.rec" in line


def test_a_last_record_cut_short_is_named(folder):
    path = str(folder / "small_train.rec")
    os.truncate(path, os.path.getsize(path) - 40)
    describe_again(folder)
    assert "small_train.rec: record 8: there is no record where the index points" in message(load, folder)


@pytest.mark.parametrize(
    "text, fault",
    [
        ("", "lists 0 records, expected 9"),
        ("0\t0\n1\t100\n", "lists 2 records, expected 9"),
        ("0\n", "not a complete index"),
        ("zero\t0\n", "not a complete index"),
        ("\n", "not a complete index"),
        ("".join(f"{number}\t{4 * number}\n" for number in range(9)), "record 1: there is no record where"),
        ("".join(f"{number}\t0\n" for number in range(9)), "record 1 has the number 0"),
        ("".join(f"{number}\t-4\n" for number in range(9)), "points to byte -4 of"),
    ],
)
def test_a_wrong_index_is_named(folder, text, fault):
    (folder / "small_train.idx").write_text(text)
    assert fault in message(load, folder)


def png_of(shape):
    data = io.BytesIO()
    Image.fromarray(np.zeros(shape, np.uint8)).save(data, "PNG")
    return data.getvalue()


def jpeg(_):
    data = io.BytesIO()
    Image.new("RGB", (5, 6)).save(data, "JPEG")
    return data.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        lambda png: b"",
        lambda png: b"not an image",
        lambda png: png[:-30],
        lambda png: png[:60] + bytes(40) + png[100:],
        jpeg,
    ],
)
def test_a_record_that_is_no_png_is_named(folder, change):
    rewrite(folder, lambda number, header, png: (header, change(png) if number == 5 else png))
    assert "small_train.rec: record 5 is not a complete PNG" in message(load, folder)


@pytest.mark.parametrize(
    "label, text", [(3.0, "3"), (-1.0, "-1"), (1.5, "1.5"), (float("nan"), "nan"), ([0.0, 1.0], "2 numbers")]
)
def test_a_label_out_of_range_is_named(folder, label, text):
    rewrite(folder, lambda number, header, png: (header._replace(label=label) if number == 7 else header, png))
    assert f"small_train.rec: record 7 has label {text}, expected 0 to 2" in message(load, folder)


def test_a_record_that_is_no_image_record_is_named(folder):
    rewrite(folder, lambda number, header, png: b"short" if number == 1 else (header, png))
    assert "small_train.rec: record 1 is not an image record" in message(load, folder)


def test_images_of_several_sizes_are_named(folder):
    rewrite(folder, lambda number, header, png: (header, png_of((4, 7, 3)) if number == 2 else png))
    assert "small_train.rec: record 2 has 7x4 pixels, the earlier records have 5x6" in message(load, folder)


def test_other_pixels_are_noticed(folder):
    rewrite(folder, lambda number, header, png: (header, png_of((6, 5, 3)) if number == 2 else png))
    assert "small_train.rec is damaged: its SHA-256" in message(load, folder)


def test_a_description_of_an_earlier_version_is_read(folder):
    path = folder / "small_records.json"
    older = json.loads(path.read_text())
    del older["image_size"], older["fingerprint"], older["sha256"]
    assert catalog.data_remarks("small", str(folder), "rec") == []
    path.write_text(json.dumps(older))
    assert catalog.data_remarks("small", str(folder), "rec") == [
        f"{path}: an earlier version wrote it, without a digest: nothing confirms its class names, mean and standard "
        "deviation"
    ]
    facts = catalog.describe_data("small", str(folder), "rec")
    assert facts.image_size is None and facts.fingerprint is None and facts.classes == CLASSES
    assert recordio.image_size("small", str(folder)) == (6, 5)
    complete = facts.complete(load(folder))
    assert (complete.image_size, complete.fingerprint) == ((6, 5), fingerprint(splits()["train"]))


# Folders of images


def save(path, image, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(str(path), **kwargs)


def write_images(folder, split="train", per_class=3, classes=CLASSES, shape=(6, 5, 3)):
    """Write PNG files. The first pixel of each file stores the label and the number."""
    for label, name in enumerate(classes):
        for number in range(per_class):
            image = image_set(1, 10 * label + number, shape).images[0].copy()
            image[0, 0] = (label, number, 0)
            save(folder / split / name / (f"{number}.png"), image)
    return folder


@pytest.fixture
def images(tmp_path):
    """Return an image folder with `train` and `test` folders, and with files that are not images."""
    folder = write_images(write_images(tmp_path / "pets"), "test", per_class=2)
    (folder / "train" / "cat" / "notes.txt").write_text("not an image")
    (folder / "train" / "cat" / ".hidden.png").write_text("not an image")
    (folder / "train" / ".cache").mkdir()
    (folder / "train" / "list.csv").write_text("")
    return folder


def seen(image_set):
    """Check the labels, and return the (label, number) pairs from the first pixel of each image."""
    assert (image_set.images[:, 0, 0, 0] == image_set.labels).all()
    return {(label, number) for label, number, _ in image_set.images[:, 0, 0].tolist()}


def test_a_folder_is_read_to_the_pixel(images):
    sets = folders.read_folder(str(images))
    assert sets["train"].classes == sets["test"].classes == CLASSES
    assert [len(sets[split].labels) for split in ("train", "test")] == [9, 6]
    assert seen(sets["train"]) == {(label, number) for label in range(3) for number in range(3)}
    assert sets["train"].labels.tolist() != sorted(sets["train"].labels)
    for image, label in zip(sets["test"].images, sets["test"].labels):
        path = images / "test" / CLASSES[label] / (f"{image[0, 0, 1]}.png")
        np.testing.assert_array_equal(image, np.asarray(Image.open(str(path))))


def test_a_fraction_of_each_class_is_drawn(tmp_path):
    write_images(tmp_path, "all", per_class=10)
    draws = [folders.read_folder(str(tmp_path / "all"), test_share=0.2, seed=seed) for seed in (0, 0, 1)]
    for sets in draws:
        assert np.bincount(sets["test"].labels).tolist() == [2, 2, 2]
        assert np.bincount(sets["train"].labels).tolist() == [8, 8, 8]
        assert len(seen(sets["train"]) | seen(sets["test"])) == 30
    assert_same(draws[0]["train"], draws[1]["train"])
    assert seen(draws[0]["test"]) == seen(draws[1]["test"]) != seen(draws[2]["test"])


def test_validation_folder_may_lack_a_class(images):
    (images / "test").rename(images / "val")
    shutil.rmtree(str(images / "val" / "dog"))
    assert np.bincount(folders.read_folder(str(images))["test"].labels).tolist() == [2, 0, 2]


def test_images_of_all_kinds_become_upright_squares(tmp_path):
    for split in ("train", "test"):
        write_images(tmp_path, split, classes=CLASSES[:2], shape=(40, 30, 3))
    ramp = np.repeat(np.arange(0, 240, 4, dtype=np.uint8)[:, None], 30, axis=1)  # 60 rows, dark at the top
    exif = Image.Exif()
    exif[0x0112] = 6  # camera held upright: the image needs a rotation by 90 degrees
    save(tmp_path / "train" / "dog" / "turned.jpg", np.rot90(ramp), exif=exif, quality=95)
    save(tmp_path / "train" / "dog" / "grey.gif", ramp)
    save(tmp_path / "train" / "dog" / "clear.PNG", np.dstack([ramp] * 4))
    sets = folders.read_folder(str(tmp_path), size=10)
    assert sets["train"].images.shape == (9, 10, 10, 3) and sets["test"].images.shape == (6, 10, 10, 3)
    for name in ("turned.jpg", "grey.gif", "clear.PNG"):
        picture = read_image(str(tmp_path / "train" / "dog" / name))
        image = np.asarray(Geometry().apply(picture, (10, 10))).astype(int)
        # The centre square has rows 15 to 45 of the ramp. The values rise from 60 to 180 in ten steps.
        # `clear` is composited on white.
        steps = np.repeat(64 + 12 * np.arange(10)[:, None], 10, axis=1)
        np.testing.assert_allclose(image[..., 0], 255 - steps + steps**2 / 255 if "clear" in name else steps, atol=4)


def test_all_endings_that_pillow_reads_are_images(tmp_path):
    for name in ("a.bmp", "a.GIF", "a.jpeg", "a.jpg", "a.pgm", "a.png", "a.ppm", "a.tif", "a.tiff", "a.webp", "a.jp2"):
        assert is_image_name(name)
    for name in (".png", ".hidden.png", "notes.txt", "list.csv", "png", "a.hdf", "a.mpg", "a.pdf"):
        assert not is_image_name(name)
    folder = write_images(write_images(tmp_path / "pets"), "test", per_class=2)
    Image.open(str(folder / "train" / "cat" / "0.png")).save(str(folder / "train" / "cat" / "9.tga"))
    assert len(folders.read_folder(str(folder))["train"].labels) == 10


def drop(name):
    return lambda folder: shutil.rmtree(str(folder / name))


def empty(name):
    def change(folder):
        shutil.rmtree(str(folder / name))
        (folder / name).mkdir()

    return change


def put(name, data=b""):
    def change(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    return change


@pytest.mark.parametrize(
    "change, text",
    [
        (drop(""), ": no such folder"),
        (drop("train"), "has no train folder"),
        (drop("test"), "pets/train test_share=0.2"),
        (empty("train"), "train: no images"),
        (empty("train/dog"), "train/dog: no images of the class"),
        (empty("test"), "test/ has no folder for each class; to take test images from train, give images="),
        (lambda folder: [empty("test/" + name)(folder) for name in CLASSES], "test: no images"),
        (put("test/emu/1.png"), "test/emu: this class has no folder in train"),
        (
            lambda folder: [drop("train/" + name)(folder) for name in CLASSES[1:]],
            "test/dog: this class has no folder in train",
        ),
        (
            lambda folder: [drop(split + "/" + name)(folder) for name in CLASSES[1:] for split in ("train", "test")],
            "only one class (cat)",
        ),
        (put("train/owl/9.png"), "train/owl/9.png: not an image that can be read (its format is not known)"),
        (put("test/owl/9.jpg", jpeg(0)[:300]), "test/owl/9.jpg: not an image that can be read ("),
        (put("train/owl/9.png", png_of((8, 5, 3))), " pixels, "),
        (
            lambda folder: write_images(folder, "test", shape=(8, 8, 3)),
            "have 5x6 pixels, test images 8x8: give size",
        ),
    ],
)
def test_an_unusable_folder_is_refused(images, change, text):
    change(images)
    assert text in message(folders.read_folder, str(images))


def test_pixels_of_no_known_range_are_refused(images):
    save(images / "train" / "owl" / "9.tif", np.full((6, 5), 0.5, np.float32))
    assert "train/owl/9.tif: not an image that can be read (its pixels are 32-bit numbers" in message(
        folders.read_folder, str(images)
    )


@pytest.mark.parametrize(
    "change, text",
    [
        (lambda folder: None, "has a train folder already"),
        (drop("train"), None),
        (
            lambda folder: (drop("train")(folder), put("test/emu/1.png")(folder)),
            "test/emu: only one image of the class",
        ),
    ],
)
def test_an_impossible_fraction_is_refused(images, change, text):
    change(images)
    if text:
        folder = images if (images / "train").exists() else images / "test"
        assert text in message(folders.read_folder, str(folder), test_share=0.2)
    else:
        sets = folders.read_folder(str(images / "test"), test_share=0.01)
        assert [len(sets[split].labels) for split in ("train", "test")] == [3, 3]


# Options and scripts


@pytest.mark.parametrize(
    "given, text",
    [
        ({}, "give either dataset or images"),
        (dict(dataset="digits", images="x"), "give either dataset or images"),
        (dict(dataset="mnist"), "dataset=mnist: choose from digits, cifar10, cifar100"),
        (dict(dataset="digits", size=32), "size=32 has no effect without images"),
        (dict(dataset="digits", flip=False), "flip=False has no effect without images"),
        (dict(images="x", name="a/b"), "name='a/b': give a plain file name"),
        (dict(images="x/cifar10/"), "name=cifar10: the name of a known data set"),
        (dict(images="x", size=0), "size=0: give a number at least 1"),
        (dict(images="x", test_share=1.0), "test_share=1.0: give a number below 1"),
    ],
)
def test_wrong_arguments_name_the_flag(given, text):
    assert text in message(RecordsOptions, **given)


def test_names_of_own_records_need_their_format():
    assert TrainingOptions(dataset="pets", data_format="rec").dataset == "pets"
    assert "dataset=pets: choose from digits, cifar10, cifar100; your own records need data_format=rec" == message(
        TrainingOptions, dataset="pets"
    )
    assert "dataset='a/b': give a plain file name" == message(TrainingOptions, dataset="a/b", data_format="rec")
    assert "data_format=csv: choose from bin, rec" == message(TrainingOptions, data_format="csv")


def test_the_script_refuses_in_one_line(images):
    (images / "train" / "owl" / "9.png").write_bytes(b"")
    done = script_here("make_records.py", "--images", "pets", cwd=str(images.parent))
    *notes, line = done.stderr.splitlines()
    assert done.returncode == 2 and "pets/train/owl/9.png: not an image" in line
    assert [note.split(": note: ")[1] for note in notes] == [
        "pets/train: 1 file that cannot be read as images left out: 1 .txt"
    ]
    assert not os.path.exists(str(images.parent / "data"))
    assert "give either --dataset or --images" in refused(script_here("make_records.py"))


@pytest.mark.slow
def test_from_a_folder_to_a_tested_network(tmp_path):
    for split, count in (("train", 8), ("test", 3)):
        write_images(tmp_path / "pets", split, count, shape=(16, 16, 3))
    done = script_here("make_records.py", "--images", "pets", "--flip", 0, "--output-dir", "own", cwd=str(tmp_path))
    assert done.returncode == 0, done
    known = json.loads((tmp_path / "own" / "pets_records.json").read_text())
    assert (known["source"], known["flip"], known["classes"]) == ("images of pets", False, list(CLASSES))
    done = script(
        "cifar10_train.py",
        "--dataset",
        "pets",
        "--data-format",
        "rec",
        "--data-dir",
        "own",
        "-b",
        12,
        "--widths",
        "tiny",
        "--epochs",
        1,
        "--num-gpus",
        0,
        "--name",
        "run",
        cwd=str(tmp_path),
    )
    assert done.returncode == 0, done
    assert "3 classes, 24 training and 9 validation images" in done.stdout
    figures = json.loads((tmp_path / "models" / "run" / "last.json").read_text())
    assert (figures["dataset"], figures["data_format"], figures["data_dir"]) == ("pets", "rec", "own")
    done = script_here("cifar10_test.py", "--params", "models/run/last.params", cwd=str(tmp_path))
    assert "9 test images" in done.stdout, done
    assert f"top-1 {figures['validation_top1']:.4f}" in done.stdout
    assert [row.split()[0] for row in done.stdout.splitlines()[4:7]] == list(CLASSES)
    (tmp_path / "own" / "pets_test.idx").unlink()
    line = refused(script_here("cifar10_test.py", "--params", "models/run/last.params", cwd=str(tmp_path)))
    assert "own/pets_test.idx is not there" in line
