"""Test that images are found by class and split in every layout of folders, and that what does not fit is named."""

import os
import re

import numpy as np
import pytest

from resattnet.folders.image_folders import open_image_folder
from resattnet.folders.label_files import read_class_names
from resattnet.system.errors import InputError, handle_remarks

SYNSETS = ("n01440764", "n02012849", "n03126707")
KAGGLE = {"a": "n03126707", "b": "n01440764", "c": "n02012849", "d": "n01440764"}  # labels of validation images


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape"))
    return str(path)


def write_classes(folder, counts):
    """Write empty files as images, their number by class."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            touch(folder / name / f"{number}.jpg")


def listed(files):
    """Return the names and classes of a list of files."""
    return [
        (os.path.relpath(files.path(row), files.root), files.classes[files.labels[row]]) for row in range(len(files))
    ]


def open_folder(folder, **options):
    """Return what `open_image_folder` finds, and the remarks without the path of the folder."""
    said = []
    with handle_remarks(lambda remark: said.append(str(remark).replace(str(folder), "pets"))):
        found = open_image_folder(str(folder), **options)
    return found, said


def error(folder, **options):
    """Return the line that refuses a folder, as the command prints it, without the path of the folder."""
    with pytest.raises(InputError) as caught:
        open_folder(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(folder), "pets")


@pytest.fixture
def pets(tmp_path):
    """Write two classes of three training images and a validation image each."""
    write_classes(tmp_path / "train", {"cat": 3, "dog": 3})
    write_classes(tmp_path / "val", {"cat": 1, "dog": 1})
    return tmp_path


@pytest.fixture
def imagenet(tmp_path):
    """Write three classes of two training images, and four validation images in one folder."""
    write_classes(tmp_path / "train", dict.fromkeys(SYNSETS, 2))
    for name in KAGGLE:
        touch(tmp_path / "val" / f"{name}.JPEG")
    return tmp_path


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test"])
def test_folders_of_the_classes(pets, name):
    (pets / "val").rename(pets / name)
    found, said = open_folder(pets)
    assert listed(found.train) == [(f"{kind}/{number}.jpg", kind) for kind in ("cat", "dog") for number in range(3)]
    assert listed(found.validation) == [("cat/0.jpg", "cat"), ("dog/0.jpg", "dog")]
    assert found.train.root == str(pets / "train") and found.validation.root == str(pets / name)
    assert found.train.labels.dtype == np.int32 and found.title == pets.name and not said


def test_validation_images_come_from_val_before_test(pets):
    write_classes(pets / "test", {"cat": 2, "dog": 2})
    found, said = open_folder(pets)
    assert len(found.validation) == 2 and said == ["pets: val/ is the validation split; test/ is not read"]


def test_an_unlabelled_folder_leaves_the_split_to_the_next(pets):
    (pets / "val").rename(pets / "validation")
    touch(pets / "val" / "0.jpg")
    found, said = open_folder(pets)
    assert found.validation.root == str(pets / "validation")
    assert said == ["pets/val has no folders of the classes: validation/ is the validation split"]


def test_other_names_of_the_splits(pets):
    (pets / "train").rename(pets / "big")
    (pets / "val").rename(pets / "small")
    found, said = open_folder(pets, train_split="big", val_split="small")
    assert (len(found.train), len(found.validation), said) == (6, 2, [])
    assert error(pets, train_split="bog") == "train_split=bog: pets has no such folder: did you mean big?"
    line = error(pets, train_split="big", val_split="x")
    assert line == "val_split=x: pets has no such folder: it has big, small"


def test_other_files_sub_folders_and_links(pets, tmp_path):
    for name in ("cat/notes.txt", "cat/.hidden.jpg", "cat/a/b/x.PNG", "beside.png", ".git/x.jpg"):
        touch(pets / "train" / name)
    (pets / "elsewhere").mkdir()
    (pets / "train" / "dog").rename(pets / "elsewhere" / "dog")
    (pets / "train" / "dog").symlink_to(pets / "elsewhere" / "dog")
    (pets / "train" / "dog" / "again").symlink_to(pets / "train" / "dog")
    found, said = open_folder(pets)
    assert found.train.class_counts().tolist() == [4, 3] and listed(found.train)[3] == ("cat/a/b/x.PNG", "cat")
    assert said == [
        "pets/train: 1 image beside the folders of the classes left out",
        "pets/train: 1 file that cannot be read as images left out: 1 .txt",
    ]


def test_names_are_sorted_by_their_bytes_and_need_not_be_utf8(pets):
    folder = os.fsencode(str(pets / "train" / "cat"))
    names = [b"\xff.jpg", b"\xc3\xa9.jpg", b"\x80.jpg", b"Z.jpg", "\U0001f600.jpg".encode(), b"\xef\xbf\xbd.jpg"]
    for name in names:
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"x")
    train = open_folder(pets)[0].train
    found = [os.fsencode(train.path(row)) for row in np.flatnonzero(train.labels == 0)]
    assert found == [os.path.join(folder, name) for name in sorted(names + [b"0.jpg", b"1.jpg", b"2.jpg"])]
    assert sum(os.path.getsize(path) for path in found) == len(names)


def test_names_of_classes_can_be_printed_and_stored(pets):
    for split in ("train", "val"):
        os.rename(str(pets / split / "cat"), os.path.join(os.fsencode(str(pets / split)), b"caf\xe9\n"))
    assert open_folder(pets)[0].train.classes == ("caf\\xe9\\n", "dog")


@pytest.mark.parametrize("tree", ["Data/CLS-LOC", "ILSVRC/Data/CLS-LOC"])
def test_the_tree_of_imagenet(imagenet, tree):
    (imagenet / tree).mkdir(parents=True)
    for split in ("train", "val"):
        (imagenet / split).rename(imagenet / tree / split)
    touch(imagenet / tree / "test" / "e.JPEG")
    rows = [f"{name},{synset} 1 2 30 40 {synset} 5 6 70 80 " for name, synset in sorted(KAGGLE.items(), reverse=True)]
    write_lines(imagenet / "LOC_val_solution.csv", ["ImageId,PredictionString", *rows])
    names = ["n01440764 tench, Tinca tinca", "n02012849 crane", "n03126707 crane", "n15075141 toilet tissue"]
    write_lines(imagenet / "LOC_synset_mapping.txt", names)
    found, said = open_folder(imagenet)
    assert found.train.classes == found.validation.classes
    assert found.train.classes == ("tench", "crane (n02012849)", "crane (n03126707)")
    assert found.train.class_counts().tolist() == [2, 2, 2]
    assert [name for name, _ in listed(found.validation)] == ["a.JPEG", "b.JPEG", "c.JPEG", "d.JPEG"]
    assert found.validation.labels.tolist() == [2, 0, 1, 0]
    assert said == [f"pets/{tree}/val: the labels are those of pets/LOC_val_solution.csv"]


LISTS = {
    "LOC_val_solution.csv": ["ImageId,PredictionString"] + [f"{name},{kind} 1 2 3 4 " for name, kind in KAGGLE.items()],
    "imagenet_2012_validation_synset_labels.txt": list(KAGGLE.values()),
    "val.txt": ["d.JPEG 0", "c.JPEG 1", "b.JPEG 0", "a.JPEG 2"],
    "val/val_annotations.txt": [f"{name}.JPEG\t{kind}\t0\t0\t62\t62" for name, kind in KAGGLE.items()],
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_labels_is_found(imagenet, name):
    path = write_lines(imagenet / name, LISTS[name])
    found, said = open_folder(imagenet)
    assert found.validation.labels.tolist() == [2, 0, 1, 0]
    assert said == [f"pets/val: the labels are those of {path.replace(str(imagenet), 'pets')}"]


@pytest.mark.parametrize(
    "lines",
    [
        [f"val/{name}.JPEG {SYNSETS.index(kind)}" for name, kind in KAGGLE.items()],
        [f"{name}.JPEG {kind}" for name, kind in KAGGLE.items()],
        [f"{name} {kind}" for name, kind in KAGGLE.items()],
        ["a.JPEG\tred crane", "b.JPEG\tred fish", "c.JPEG\tn02012849", "d.JPEG\tred fish"],
        ["red crane", "red fish", "n02012849", "red fish"],
        ["\ufeffred crane\r", "red fish\r", "", "n02012849\r", "red fish\r"],
    ],
)
def test_a_list_of_labels_is_given(imagenet, lines):
    names = write_lines(imagenet / "names", ["red fish", "bird", "red crane"])
    labels = write_lines(imagenet / "labels", lines)
    found, said = open_folder(imagenet, val_labels=labels, class_names=names)
    assert found.validation.labels.tolist() == [2, 0, 1, 0] and not said


def test_images_in_sub_folders_are_labelled_by_name(imagenet):
    """Tiny ImageNet's validation images are in one more folder, which is no class."""
    (imagenet / "val").rename(imagenet / "images")
    (imagenet / "val").mkdir()
    (imagenet / "images").rename(imagenet / "val" / "images")
    write_lines(imagenet / "val" / "val_annotations.txt", LISTS["val/val_annotations.txt"])
    found, _ = open_folder(imagenet)
    assert listed(found.validation)[0] == ("images/a.JPEG", SYNSETS[2])
    assert found.validation.labels.tolist() == [2, 0, 1, 0]


def test_labels_that_are_names_of_folders_are_no_indices(tmp_path):
    write_classes(tmp_path / "train", {"1": 1, "2": 1, "10": 1})
    for name in "abc":
        touch(tmp_path / "val" / f"{name}.jpg")
    for lines, labels in ((["a 1", "b 2", "c 10"], [0, 2, 1]), (["a 0", "b 2", "c 1"], [0, 2, 1])):
        path = write_lines(tmp_path / "labels", lines)
        assert open_folder(tmp_path, val_labels=path)[0].validation.labels.tolist() == labels


def write_meta(path):
    """Write the table of synsets as ImageNet's development kit has it: not in the order of the synsets."""
    io = pytest.importorskip("scipy.io")
    rows = [(1, SYNSETS[1], "crane"), (2, SYNSETS[2], "crane"), (3, SYNSETS[0], "tench"), (4, "n00000001", "animal")]
    table = np.array(rows, [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")])
    path.parent.mkdir(parents=True, exist_ok=True)
    io.savemat(str(path), {"synsets": table.reshape(-1, 1)})


def test_numbers_of_the_development_kit(imagenet):
    kit = imagenet / "ILSVRC2012_devkit_t12" / "data"
    labels = write_lines(kit / "ILSVRC2012_validation_ground_truth.txt", ["2", "3", "1", "3"])
    line = error(imagenet)
    assert "its numbers are ILSVRC2012 IDs, whose classes are in meta.mat" in line and "put it beside the list" in line
    write_meta(kit / "meta.mat")
    assert open_folder(imagenet)[0].validation.labels.tolist() == [2, 0, 1, 0]
    write_lines(kit / "ILSVRC2012_validation_ground_truth.txt", ["2", "3", "9", "4"])
    assert error(imagenet).endswith("ground_truth.txt: meta.mat has no class with the ILSVRC2012 IDs 9")
    write_lines(kit / "ILSVRC2012_validation_ground_truth.txt", ["2", "3", "1", "4"])
    assert error(imagenet).endswith("labels are no classes of the training images: n00000001")
    (kit / "meta.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    assert re.match(r"pets/.*meta.mat: not the table of ImageNet's synsets \(", error(imagenet, val_labels=labels))


def test_scipy_is_needed_for_the_development_kit_only(imagenet, monkeypatch):
    labels = write_lines(imagenet / "kit" / "labels.txt", ["2", "3", "1", "3"])
    write_meta(imagenet / "kit" / "meta.mat")
    monkeypatch.setitem(__import__("sys").modules, "scipy.io", None)
    assert "SciPy is needed to read it" in error(imagenet, val_labels=labels)
    other = write_lines(imagenet / "other", KAGGLE.values())
    assert len(open_folder(imagenet, val_labels=other)[0].validation) == 4


@pytest.mark.parametrize(
    "lines, line",
    [
        (["n01440764"] * 3, "has 3 labels for the 4 images in pets/val"),
        (["n01440764", "n1", "n2", "n3"], "labels are no classes of the training images: n1, n2, n3"),
        (["a.JPEG 0", "b.JPEG 1", "c.JPEG 3", "d.JPEG 0"], "labels are not in 0 to 2: 3"),
        (["a.JPEG 0", "b.JPEG -1", "c.JPEG 1", "d.JPEG 0"], "labels are no classes of the training images: 0, -1, 1"),
        (["a.JPEG 0", "b.JPEG 1", "c.JPEG 2"], "has no label for 1 of 4 images in pets/val: d.JPEG"),
        (["a.JPEG 0", "x.JPEG 1"], "1 of 2 files are not in pets/val: x.JPEG"),
        ([f"{n}.JPEG 1" for n in range(9)], "9 of 9 files are not in pets/val: 0.JPEG, 1.JPEG, 2.JPEG, and 6 more"),
        (["a.JPEG 0", "a.JPEG 1"], "a.JPEG is listed twice"),
        (["ImageId,PredictionString", "a,"], "not a row of ImageId,PredictionString: a,"),
        (["ImageId,PredictionString"], "has no labels"),
        (["ImageId,PredictionString", 'a,"n01440764 1'], "not a table (unexpected end of data)"),
        (
            ["ImageId,PredictionString", "a,n01440764 1"],
            "has no label for 3 of 4 images in pets/val: b.JPEG, c.JPEG, d.JPEG",
        ),
        (["a.JPEG 0", "b.JPEG"], "no label after b.JPEG"),
        ([], "has no labels"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(imagenet, lines, line):
    path = write_lines(imagenet / "labels", lines)
    assert error(imagenet, val_labels=path) == f"pets/labels: {line}"


def test_a_list_that_cannot_be_read(imagenet):
    assert error(imagenet, val_labels=str(imagenet / "x")).endswith("x: cannot be read (No such file or directory)")
    (imagenet / "noise").write_bytes(np.random.default_rng(0).bytes(5000))
    assert error(imagenet, val_labels=str(imagenet / "noise")).startswith("pets/noise: ")


@pytest.mark.parametrize("name", LISTS)
def test_a_damaged_list_is_refused_in_one_line_or_labels_all_images(imagenet, name):
    rng = np.random.default_rng(0)
    whole = "\n".join(LISTS[name]).encode()
    refusals = set()
    for _ in range(200):
        damaged = bytearray(whole[: rng.integers(len(whole) // 2, len(whole) + 1)])
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        (imagenet / "labels").write_bytes(damaged)
        try:
            labels = open_folder(imagenet, val_labels=str(imagenet / "labels"))[0].validation.labels
            assert len(labels) == 4 and set(labels.tolist()) <= {0, 1, 2}
        except InputError as caught:
            refusals.add(str(caught))
    assert len(refusals) > 20 and all(line.startswith(str(imagenet / "labels: ")) for line in refusals)


def test_a_file_name_that_fits_two_images(imagenet):
    touch(imagenet / "val" / "a.png")
    lines = [f"{name} {kind}" for name, kind in KAGGLE.items()]
    line = error(imagenet, val_labels=write_lines(imagenet / "labels", lines))
    assert line == "pets/labels: its file names fit several images in pets/val: a"


def test_classes_without_validation_images_in_a_list_are_said(imagenet):
    said = open_folder(imagenet, val_labels=write_lines(imagenet / "labels", ["n01440764"] * 4))[1]
    assert said == ["pets/labels: has no image of 2 of 3 classes: n02012849, n03126707"]


def test_names_of_classes_in_the_order_of_the_folders(tmp_path):
    path = write_lines(tmp_path / "names", ["Felis catus", "dog", "dog"])
    assert read_class_names(path, ("a", "b", "c")) == ("Felis catus", "dog (b)", "dog (c)")
    path = write_lines(tmp_path / "names", ["b hound, large", "x other", "a cat", "c hound, large"])
    assert read_class_names(path, ("a", "b", "c")) == ("cat", "hound, large (b)", "hound, large (c)")


@pytest.mark.parametrize(
    "lines, line",
    [
        (["a", "b"], "has 2 lines for 3 classes: give a line for each folder of a class, in the order of their names"),
        (["a cat", "b dog"], "has no line for the classes c"),
        (["dog (b)", "dog", "dog"], "two classes have the name dog (b)"),
    ],
)
def test_names_of_classes_that_do_not_fit(tmp_path, lines, line):
    path = write_lines(tmp_path / "names", lines)
    with pytest.raises(InputError, match=re.escape(f"{path}: {line}")):
        read_class_names(path, ("a", "b", "c"))


@pytest.mark.parametrize("train", [False, True])
def test_a_fraction_of_each_class_is_drawn(tmp_path, train):
    counts = {"a": 2, "b": 40, "c": 10, "d": 3}
    write_classes(tmp_path / "train" if train else tmp_path, counts)
    found, said = open_folder(tmp_path, val_fraction=0.1)
    assert found.validation.class_counts().tolist() == [1, 4, 1, 1] and not said
    assert found.train.class_counts().tolist() == [1, 36, 9, 2]
    everything = listed(found.train) + listed(found.validation)
    assert len(set(everything)) == 55 and {name.split("/")[0] == kind for name, kind in everything} == {True}
    assert listed(open_folder(tmp_path, val_fraction=0.1)[0].validation) == listed(found.validation)
    assert listed(open_folder(tmp_path, val_fraction=0.1, seed=1)[0].validation) != listed(found.validation)


def test_a_seed_draws_the_same_images_everywhere(tmp_path):
    """The order of the names that the file system returns does not count."""
    write_classes(tmp_path / "x", {"a": 12, "b": 12})
    expected = [("a/5.jpg", "a"), ("a/7.jpg", "a"), ("b/10.jpg", "b"), ("b/11.jpg", "b")]
    assert listed(open_folder(tmp_path / "x", val_fraction=0.2)[0].validation) == expected


def test_a_fraction_leaves_a_validation_folder_unread(pets):
    found, said = open_folder(pets, val_fraction=0.3)
    assert found.validation.root == str(pets / "train") and len(found.train) == 4
    assert said == ["pets: val/ is not read: the validation images are taken from the training images"]


def only_train(folder):
    (folder / "val").rename(folder / "elsewhere")


def only_classes(folder):
    only_train(folder)
    (folder / "train").rename(folder / "images")


def one_class(folder):
    (folder / "train" / "dog").rename(folder / "dog")


def empty_classes(folder):
    for name in ("ape", "bat", "emu", "fox"):
        (folder / "train" / name).mkdir()
        write_classes(folder / "val", {name: 1})


def more_classes(folder):
    write_classes(folder / "val", {f"x{number}": 1 for number in range(5)})


def flat_validation(folder):
    only_train(folder)
    touch(folder / "val" / "0.jpg")


@pytest.mark.parametrize(
    "change, options, line",
    [
        (
            only_train,
            {},
            "data_dir=pets: has no folder of validation images, such as val: name it by val_split, or give "
            "val_fraction=0.1 to take them from the training images",
        ),
        (
            only_classes,
            {},
            "data_dir=pets: has no train folder: name it by train_split; if the sub-folders are the classes, give "
            "val_fraction=0.1",
        ),
        (one_class, {}, "pets/train: only one class (cat): training needs two or more"),
        (
            lambda folder: (folder / "train" / "ape").mkdir(),
            {"val_fraction": 0.1},
            "pets/train: no images of the class ape",
        ),
        (empty_classes, {}, "pets/train: no images of the classes ape, bat, emu, and 1 more"),
        (
            more_classes,
            {},
            "pets/train: has no folder for the classes x0, x1, x2, and 2 more, which pets/val has",
        ),
        (
            lambda folder: write_classes(folder / "train", {"emu": 1}),
            {},
            "pets/val: has no folder for the class emu, which pets/train has",
        ),
        (
            lambda folder: (folder / "val" / "cat" / "0.jpg").unlink(),
            {},
            "pets/val: no images of the class cat",
        ),
        (
            flat_validation,
            {},
            "pets/val: has no folder for each class: give a list of the labels by val_labels, or val_fraction=0.1 to "
            "take validation images from the training images",
        ),
        (
            lambda folder: write_classes(folder / "train", {"emu": 1}),
            {"val_fraction": 0.1},
            "pets/train/emu: only one image of the class, and both splits need one",
        ),
        (only_train, {"val_fraction": 1.5}, "val_fraction=1.5: give a number between 0 and 1"),
        (
            only_train,
            {"val_fraction": 0.5, "val_split": "x"},
            "val_fraction=0.5: the validation images are then training images: leave out val_split",
        ),
        (
            lambda folder: (folder / "train").rename(folder / "trein"),
            {"train_split": "x"},
            "train_split=x: pets has no ",
        ),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(pets, change, options, line):
    change(pets)
    assert error(pets, **options).startswith(line)


def test_a_folder_that_is_not_there(tmp_path):
    assert error(tmp_path / "x") == "data_dir=pets: no such folder"
    (tmp_path / "train").mkdir()
    assert error(tmp_path) == "pets/train: no images: it has no sub-folder for each class"
