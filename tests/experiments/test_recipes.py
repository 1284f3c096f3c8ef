"""Test the recipes: their rows, their training options, their runs, and the results entered from the run logs."""

import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from helpers.runs import stop_at, stop_run
from helpers.scripts import ROOT, refused, script
from resattnet import commands
from resattnet.commands import training_arguments as train_command
from resattnet.commands.reproduce import keep_log
from resattnet.commands.training_run import train
from resattnet.data.image_set import ImageSet
from resattnet.datasets import record_writer
from resattnet.experiments import recipes, reproduce, results
from resattnet.experiments.options import ReproductionOptions
from resattnet.machine import gpus
from resattnet.run_options.image_options import ImageTrainingOptions
from resattnet.run_options.options import TrainingOptions
from resattnet.run_options.resume import load_for_resume, options_for_resume
from resattnet.runs import states
from resattnet.system.errors import InputError
from resattnet.system.signals import Interrupted
from resattnet.training import loop

HEAD = ",".join(recipes.Recipe._fields) + "\n"
TABLE = recipes.read_recipes()
NAMES = [recipe.name for recipe in TABLE]


def by_name(name):
    return recipes.find_recipe(name, TABLE)


@pytest.mark.parametrize("name", [recipe.name for recipe in TABLE if recipe.flags])
def test_the_flags_of_each_recipe_are_those_of_the_training_script(name):
    options = recipes.read_options(by_name(name))
    if recipes.command_of(by_name(name)) == "train":
        assert options.dataset in ("cifar10", "cifar100", "digits")


def test_each_row_has_what_it_needs():
    for recipe in TABLE:
        assert re.fullmatch("[a-z0-9][a-z0-9.-]*", recipe.name)
        assert recipe.flags or recipe.caveat
        assert bool(recipe.error) == (recipe.whose not in ("", "this code"))
        assert not recipe.error or 1 < float(recipe.error) < 30
        assert bool(recipe.ours) == bool(recipe.conditions)


# Top-1 error in % by depth, as reported in the paper. The names without a data set are for CIFAR-10, from tables 2 to 4
# and the text.
PAPER = {
    "paper-%d": {56: 5.52, 92: 4.99, 128: 4.44, 164: 4.31, 236: 4.14, 452: 3.90},
    "paper-nal-%d": {56: 5.89, 92: 5.35, 128: 5.57, 164: 7.18},
    "paper-channel-%d": {56: 6.24},
    "paper-spatial-%d": {56: 6.33},
    "paper-local-%d": {56: 6.48},
    "paper-noise10-%d": {92: 5.15},
    "paper-noise30-%d": {92: 5.79},
    "paper-noise50-%d": {92: 7.27},
    "paper-noise70-%d": {92: 15.75},
    "paper-cifar100-%d": {92: 21.71, 236: 21.16, 452: 20.45},
    "paper-imagenet-%d": {56: 21.76, 92: 19.5},
    "paper-imagenet-next-%d": {56: 21.2},
    "paper-imagenet-inception-%d": {56: 20.36},
    "paper-resnet-noise10-%d": {164: 5.93},
    "paper-resnet-noise30-%d": {164: 6.61},
    "paper-resnet-noise50-%d": {164: 8.35},
    "paper-resnet-noise70-%d": {164: 17.21},
}
# Top-1 error in % from the tricks table of the reference Gluon implementation, by the settings of each run.
TRICKS = {
    "b128-lr2.0-w5": 4.3369,
    "b128-lr1.5-w5": 4.4071,
    "b128-lr1.0-w5": 4.5473,
    "b128-lr2.0-w5-a0.2": 4.0865,
    "b128-lr2.0-w5-a0.4": 3.7760,
    "b128-lr2.0-w5-a1.0": 3.7059,
    "b128-lr2.0-w5-a0.2-e0.1": 3.8161,
    "b128-lr2.0-w5-a0.2-e0.01": 3.8962,
    "b128-lr2.0-w10-a0.2-e0.1": 4.0365,
    "b128-lr2.0-w10-a1.0-e0.1": 3.6258,
    "b128-lr1.6-w10-a1.0": 3.4956,
    "b128-lr2.0-w10-a0.2-e0.01": 4.0765,
    "b64-lr2.0-w5": 4.4271,
    "b64-lr1.5-w5": 4.3169,
    "b64-lr1.0-w5": 4.4188,
    "b64-lr2.0-w10-a0.2-e0.1": 4.1466,
    "b64-lr2.0-w10-a1.0-e0.1": 4.2167,
    "b64-lr2.0-w10-a0.2-e0.01": 4.4171,
    "b64-lr1.0-w5-a0.4": 3.7818,
    "b64-lr1.0-w5-a1.0": 3.5330,
    "b64-lr1.0-w5-a1.0-e0.1": 3.6358,
    "b64-lr1.0-w5-a1.0-e0.01": 3.6326,
    "b64-lr1.0-w10-a1.0-e0.1": 3.7861,
    "b64-lr0.8-w10-a1.0-e0.1": 3.5729,
    "b64-lr0.4-w10-a1.0-e0.1": 3.6558,
}
# Top-1 error in % of the plain and mixup runs of the reference Gluon implementation, and of the other ports.
PORTS = {
    "gluon-56": 5.01,
    "gluon-92": 4.76,
    "gluon-56-mixup": 4.19,
    "gluon-92-mixup": 3.92,
    "ladder-92": 2.86,
    "ladder-452": 2.43,
    "ladder-imagenet-56": 21.03,
    "pytorch-92-mixup": 3.35,
    "pytorch-92-mixup-simpler": 3.16,
    "preresnet-164": 3.64,
}


def test_the_papers_figures():
    reported = {name % depth: error for name, errors in PAPER.items() for depth, error in errors.items()}
    assert reported == {name: float(by_name(name).error) for name in NAMES if name.startswith("paper-")}
    for name in reported:
        if by_name(name).flags:
            options = recipes.read_options(by_name(name))
            assert options.num_layers == int(name.rsplit("-", 1)[1])
            assert (options.attention_learning == "nal") == ("-nal-" in name)
            assert {"channel", "spatial"} & set(name.split("-")) == {options.attention} - {"mixed"}
            assert ("local" in name) == (options.mask == "local")
            if "imagenet" in name:
                units = {"next": "resnext", "inception": "inception"}.get(name.split("-")[2], "bottleneck")
                assert options.unit == units and options.widths == "full" and options.stem == "imagenet"
                assert options.image_size == (299 if units == "inception" else {56: 224, 92: 320}[options.num_layers])
            else:
                assert ("cifar100" in name) == (options.dataset == "cifar100")
            assert options.label_noise == int((re.findall(r"noise(\d+)", name) or [0])[0]) / 100


def test_the_tricks_are_the_25_of_their_table():
    """The tricks recipes are the 25 rows of the table.

    Each accuracy is a fraction of the 9,984 or 10,048 images in whole batches. Each name spells its recipe's flags.
    """
    rows = [by_name(name) for name in NAMES if name.startswith("tricks-")]
    assert {row.name: float(row.error) for row in rows} == {"tricks-" + name: error for name, error in TRICKS.items()}
    for row in rows:
        right = 1 - float(row.error) / 100
        assert any(abs(round(right * images) - right * images) < 1e-6 * images for images in (9984, 10048))
        options = recipes.read_options(row)
        # BytePS divided the gradient g of the whole batch by the 8 GPUs again. The update was lr * (g / 8 + wd * w).
        named = f"tricks-b{options.batch_size}-lr{8 * options.lr}-w{options.warmup}"
        named += f"-a{options.alpha}" * options.mix_up + f"-e{options.epsilon:g}" * (options.epsilon > 0)
        assert row.name == named and options.accumulate == 8 and options.optimizer == "nag" and options.wd == 8 * 1e-4
        # The reference script ran one epoch more than requested. It used mixup in the first nine tenths of the epochs.
        assert options.epochs == 201 and options.mixup_off_epochs == 20 * options.mix_up


def test_the_runs_of_the_ports():
    assert PORTS == {
        name: float(by_name(name).error)
        for name in NAMES
        if by_name(name).error and not name.startswith(("paper-", "tricks-"))
    }
    for name in PORTS:
        if name.startswith("gluon-"):
            options = recipes.read_options(by_name(name))
            assert (options.num_layers, options.mix_up) == (int(name.split("-")[1]), name.endswith("mixup"))
            assert (options.batch_size, options.accumulate) == (64, 2) and options.epochs == 221
            assert options.lr_steps == (80, 120, 200) and options.mixup_off_epochs == 30 * options.mix_up
    options = recipes.read_options(by_name("ladder-92"))
    assert (options.num_layers, options.batch_size * options.accumulate, options.epochs) == (92, 256, 220)
    assert options.mix_up and options.cutout == 16 and options.no_wd and options.lr_schedule == "cosine"


def test_the_papers_schedule_is_that_of_its_iterations():
    """The schedule in epochs matches the paper's 160,000 iterations, for ImageNet 530,000.

    The learning rate is divided by 10 at iterations 64,000 and 96,000, for ImageNet at 200,000, 400,000 and 500,000. An
    epoch of CIFAR has 781 whole batches of 64 images, one of ImageNet 20,018.
    """
    for name in NAMES:
        if name.startswith("paper") and by_name(name).flags:
            options = recipes.read_options(by_name(name))
            assert options.lr_schedule == "step" and options.warmup == 0 and options.batch_size == 64
            if "imagenet" in name:
                batches = 1281167 // 64
                assert [round(steps / batches) for steps in (200000, 400000, 500000)] == list(options.lr_steps)
                assert options.max_steps == 530000 and options.epochs == -(-options.max_steps // batches)
            else:
                batches = 50000 // 64
                assert [round(steps / batches) for steps in (64000, 96000, 160000)] == [82, 123, options.epochs]
                assert options.lr_steps == (82, 123)
            assert (options.optimizer, options.lr, options.momentum, options.weight_decay) == ("nag", 0.1, 0.9, 1e-4)


def test_recipes_of_imagenet_are_run_by_their_own_command():
    recipe = by_name("paper-imagenet-next-56")
    assert recipes.command_of(recipe) == "train-images" and recipes.command_of(by_name("digits")) == "train"
    done = script("reproduce.py", "--print", recipe.name)
    assert done.stdout.startswith("python scripts/imagenet_train.py --name paper-imagenet-next-56 --image-size 224")
    refusal = "`recipe=paper-imagenet-next-56` is of the command train-images"
    assert refusal.replace("`recipe=", "--recipe ").replace("`", "") in refused(
        script("cifar10_train.py", "--recipe", recipe.name)
    )
    assert "--data-dir: give the folder of the images" in refused(script("imagenet_train.py", "--recipe", recipe.name))


def test_the_digits_are_what_make_train_runs():
    with open(os.path.join(ROOT, "Makefile")) as handle:
        command = re.search(r"scripts/cifar10_train.py (.*?) \$\(ARGS\)", handle.read(), re.S).group(1)
    assert by_name("digits").flags == " ".join(command.replace("\\\n", " ").split())


def test_unknown_names_come_with_the_nearest():
    with pytest.raises(InputError, match="recipe papr-56: no such recipe; did you mean paper-56, "):
        by_name("papr-56")
    with pytest.raises(InputError, match="no such recipe; python -m resattnet reproduce lists them"):
        by_name("qqqq")
    assert "recipe digit: no such recipe; did you mean digits?" in refused(
        script("cifar10_train.py", "--recipe", "digit")
    )
    assert "did you mean digits?" in refused(script("reproduce.py", "digit"))
    assert "recipe ladder-452 cannot be run here" in refused(script("reproduce.py", "digits", "ladder-452"))


@pytest.mark.parametrize(
    "text, message",
    [
        ("name,flags\na,b\n", "expected the columns name,flags,error,whose,caveat,ours,conditions"),
        (HEAD + "a,,,,,,\na,,,,,,\n", "two recipes are called a"),
        (HEAD + "a,,,,,,\nb,,,,one, two,,\n", "line 3: 8 cells in place of 7; a cell with a comma needs quotes"),
        (HEAD + "a,,,\n", "line 2: 4 cells in place of 7"),
        (HEAD + 'a,"--epochs 3,,,,,\n', "cannot be read as a file of recipes"),
        (HEAD + "\udcff,,,,,,\n", "cannot be read as a file of recipes .*utf-8"),
    ],
)
def test_files_that_are_not_recipes(tmp_path, text, message):
    path = tmp_path / "recipes.csv"
    with pytest.raises(InputError, match="no such file of recipes"):
        recipes.read_recipes(str(path))
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message):
        recipes.read_recipes(str(path))
    with pytest.raises(InputError, match="cannot be read as a file of recipes"):
        recipes.read_recipes(str(tmp_path))


@pytest.mark.parametrize(
    "flags, message",
    [
        ("--name 'x", "recipe a: the flags cannot be read .No closing quotation"),
        ("--alpha 0.2", "recipe a: alpha=0.2 has no effect without mix_up=True"),
    ],
)
def test_flags_that_are_wrong(flags, message):
    with pytest.raises(InputError, match=message):
        recipes.read_options(recipes.Recipe("a", flags, "", "", ""))


# ---- flags, listing and page ----


def parsed(*args):
    """Return the training options that the command `train` parses from its arguments."""
    of_images = any("imagenet" in word for word in args)
    name, kind = ("train-images", ImageTrainingOptions) if of_images else ("train", TrainingOptions)
    options, state = train_command.read_options(commands.parse(name, args), kind)
    assert state is None
    return options


def test_given_flags_override_the_recipe():
    plain = recipes.read_options(by_name("digits"))
    assert parsed("--recipe", "digits") == plain != TrainingOptions()
    assert plain.dataset == "digits" and plain.epochs == 5
    changed = parsed("--epochs", "7", "--recipe", "digits", "--seed", "3", "--widths", "full")
    assert changed == dataclasses.replace(plain, epochs=7, seed=3, widths="full")
    assert "recipe : no such recipe" in refused(script("cifar10_train.py", "--recipe", ""))
    with pytest.raises(InputError, match="^recipes=x: give recipe beside it"):
        parsed("--recipes", "x")
    with pytest.raises(InputError, match="^recipe=digits resume=x: a resumed run keeps its own arguments"):
        parsed("--recipe", "digits", "--resume", "x")


@pytest.mark.parametrize("name", [recipe.name for recipe in TABLE if recipe.flags])
def test_a_flag_that_excludes_one_of_a_recipe_wins_over_it(name):
    own = recipes.read_options(by_name(name))
    assert parsed("--recipe", name, "--lr-per-256", "0.4").lr is None
    assert parsed("--recipe", name, "--num-gpus", "1").num_cpus == 1
    assert parsed("--recipe", name, "--float16", "1").dtype == "float32"
    short = parsed("--recipe", name, "--epochs", "3")
    assert short.epochs == 3 and short.warmup < 3 and (short.mixup_off_epochs, short.lr_steps) == (0, own.lr_steps)
    plain = parsed("--recipe", name, "--mix-up", "0")
    assert plain == dataclasses.replace(own, mix_up=False, alpha=1.0, mixup_off_epochs=0)
    cosine = parsed("--recipe", name, "--lr-schedule", "cosine")
    assert cosine == dataclasses.replace(own, lr_schedule="cosine", lr_steps=None)
    trunk = parsed("--recipe", name, "--mask", "none")
    assert trunk == dataclasses.replace(
        own, mask="none", attention="mixed", attention_learning="arl", params=own.params if own.mask == "none" else None
    )
    assert parsed("--recipe", name, "--lr-steps", "200", "--epochs", "300").lr_schedule == "step"
    assert parsed("--recipe", name, "--lr-restarts", "200", "--epochs", "300").lr_schedule == "cosine"
    late = parsed("--recipe", name, "--warmup-epochs", str(own.epochs - 1))
    assert late.warmup == own.epochs - 1 and all(step >= late.warmup for step in late.lr_steps or ())


def test_listing_and_printing(tmp_path):
    done = script("reproduce.py", cwd=str(tmp_path))
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and [line.split()[0] for line in lines[1:]] == NAMES
    assert lines[1 + NAMES.index("gluon-92")].split()[1:3] == ["4.76", "haoxintong/ResidualAttentionNetwork-Gluon"]
    command = script("reproduce.py", "--print", "paper-nal-56", cwd=str(tmp_path)).stdout
    assert shlex.split(command)[2:] == ["--name", "paper-nal-56"] + shlex.split(by_name("paper-nal-56").flags)
    assert "reproduce.py: --note and --keep apply to runs of recipes" in refused(
        script("reproduce.py", "--keep", "data")
    )
    assert refused(script("reproduce.py", "--write", "1")).endswith(
        "--write 1: name the recipes whose results to write\n"
    )
    assert os.listdir(str(tmp_path)) == []


def test_the_page_of_recipes_is_current():
    with open(os.path.join(ROOT, "docs", "recipes.md"), encoding="utf-8") as handle:
        text = handle.read()
    assert recipes.replace_table(text, TABLE) == text, "run: python scripts/reproduce.py --readme 1"
    assert all(f"| {name} |" in text for name in NAMES)


def test_the_page_is_updated_between_its_markers(tmp_path):
    path = tmp_path / "recipes.md"
    path.write_text("before\n{}\nold\n{}\nafter\n".format(*recipes.MARKERS))
    recipes.update_page(str(path), TABLE[:1])
    text = path.read_text()
    assert text.startswith("before\n<!-- recipes -->\n| recipe |") and text.endswith("|\n<!-- /recipes -->\nafter\n")
    assert "old" not in text and "| paper-56 | 5.52 |" in text
    for wrong in ("", recipes.MARKERS[1] + recipes.MARKERS[0], recipes.MARKERS[0]):
        with pytest.raises(InputError, match="the page needs the lines"):
            recipes.replace_table(wrong, TABLE)


# ---- runs ----


def write_table(folder, *rows):
    path = str(folder / "recipes.csv")
    recipes.write_csv(path, [row._asdict() for row in rows])
    return path


FEW = recipes.Recipe(
    "few",
    "--dataset digits --widths thin --epochs 3 --batch-size 16 --warmup-epochs 1 --lr-schedule step --lr-steps 2",
    "7.5",
    "nobody",
    "",
)
OTHER = FEW._replace(name="other", flags="--dataset digits")


@pytest.fixture
def few(tmp_path, few_digits):
    """Return the options for reproducing `FEW` and the options for training it."""
    places = dict(log_dir=str(tmp_path / "log"), model_dir=str(tmp_path / "models"))
    return (
        ReproductionOptions(recipes=write_table(tmp_path, OTHER, FEW), **places),
        dataclasses.replace(recipes.read_options(FEW), name="few", num_gpus=0, **places),
    )


def test_a_result_comes_from_the_log_and_state_of_its_run(few):
    options, training_options = few
    history = train(training_options).progress.history
    errors = [100 * (1 - row["validation_top1"]) for row in history]
    results.save_result(FEW, dataclasses.replace(options, note="sixteen pixels"))
    other, entered = recipes.read_recipes(options.recipes)
    assert other == OTHER and entered[:5] == FEW[:5]
    assert entered.ours == f"{errors[-1]:.2f}, best {min(errors):.2f}"
    words = f"digits, 3 epochs, best after {errors.index(min(errors)) + 1}, seed 0, float32, 0 min of training; CPU ("
    assert entered.conditions.startswith(words) and entered.conditions.endswith("; sixteen pixels")
    assert re.search(r"Python \d.* MXNet 1\.9\.1, resattnet \d", entered.conditions)
    assert reproduce.next_command(entered, options) is None


def test_a_note_stays_with_its_run(few):
    options, training_options = few
    train(training_options)
    entered = results.save_result(FEW, dataclasses.replace(options, note="sixteen pixels"))
    assert results.save_result(entered, options) == entered
    another = entered._replace(conditions=entered.conditions.replace("seed 0", "seed 7"))
    assert not results.save_result(another, options).conditions.endswith("sixteen pixels")


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(cutout=8), "recipe few, which has cutout=0 where the run has 8: move it away"),
        (dict(ema=0.9), "ema=none where the run has 0.9"),
        (dict(warmup_epochs=0), "warmup_epochs=1 where the run has 0"),
        (dict(lr=0.2), "lr=0.1 where the run has 0.2"),
    ],
)
def test_a_run_with_other_flags_than_its_recipe_is_not_saved_as_a_result(few, changes, message):
    options, training_options = few
    train(dataclasses.replace(training_options, epochs=3, **changes))
    for act in (results.save_result, reproduce.next_command):
        with pytest.raises(InputError, match=message):
            act(FEW, options)


def go_on(options, **changes):
    """Resume the run of `FEW` with other options."""
    state = states.load_state(os.path.join(options.model_dir, "few"))
    return train(options_for_resume(state.options, changes, state.progress["epoch"]), state)


@pytest.mark.parametrize(
    "first, message",
    [
        (dict(epochs=2), "which has epochs=3 where the run had 2 until step 6: move it away"),
        (dict(lr=0.3, lr_steps=(1,)), "lr=0.1 where the run had 0.3 until step 6"),
    ],
)
def test_a_run_with_other_earlier_flags_is_not_saved_as_a_result(few, monkeypatch, first, message):
    options, training_options = few
    stop_run(dataclasses.replace(training_options, **first), monkeypatch, 6, signal.SIGINT)
    go_on(options, **{name: getattr(training_options, name) for name in first})
    for act in (results.save_result, reproduce.next_command):
        with pytest.raises(InputError, match=message):
            act(FEW, options)


def test_a_run_with_other_output_flags_is_saved_as_a_result(few, monkeypatch):
    options, training_options = few
    stop_run(training_options, monkeypatch, 6, signal.SIGINT)
    assert go_on(options, log_interval=1, save_period=2).progress.changes[0]["step"] == 6
    assert results.save_result(FEW, options).ours


def test_the_run_of_another_version_is_one_line(few):
    options, training_options = few
    run = train(training_options)
    progress = dict(dataclasses.asdict(run.progress), options=dict(dataclasses.asdict(run.options), depth_drop=0.1))
    states.save_state(run.folder, {}, progress)
    for act in (results.save_result, reproduce.next_command):
        with pytest.raises(InputError, match="models/few: another version of resattnet saved the run: depth_drop is"):
            act(FEW, options)


def test_edits_of_a_row_during_a_run_are_kept(few, tmp_path):
    options, training_options = few
    train(training_options)
    write_table(tmp_path, OTHER, FEW._replace(caveat="sixteen pixels", error="8.5"))
    entered = results.save_result(FEW, options)
    row = recipes.read_recipes(options.recipes)[1]
    assert (row.caveat, row.error, row.ours) == ("sixteen pixels", "8.5", entered.ours) and row.ours
    write_table(tmp_path, OTHER, FEW._replace(flags=FEW.flags + " --cutout 8"))
    with pytest.raises(InputError, match="recipe few has other flags in .*recipes.csv than it was run with"):
        results.save_result(FEW, options)


def test_options_without_influence_may_differ(few):
    """Options that do not affect the recipe may differ from it.

    The seed may differ unless the recipe sets it, because the conditions name the seed. A run may also set an option
    explicitly to its default.
    """
    options, training_options = few
    train(dataclasses.replace(training_options, seed=3, log_interval=7, save_period=1, lr=0.1))
    assert "seed 3" in results.save_result(FEW, options).conditions
    with pytest.raises(InputError, match="seed=4 where the run has 3"):
        results.save_result(FEW._replace(flags=FEW.flags + " --seed 4"), options)


@pytest.mark.parametrize(
    "usable, flags, added",
    [
        ([], "", False),
        ([0], "", False),
        ([0, 1, 3], "", True),
        ([0, 1], "--num-cpus 2", False),
        ([0, 1], "--num-gpus 2", False),
    ],
)
def test_a_recipe_is_run_on_one_device_unless_it_says_otherwise(few, monkeypatch, usable, flags, added):
    monkeypatch.setattr(reproduce, "find_gpus", lambda: gpus.Gpus(usable, []))
    command = reproduce.next_command(FEW._replace(flags=FEW.flags + " " + flags), few[0])
    assert ("--num-gpus 1" in " ".join(command)) == added


@pytest.mark.parametrize("models", ["models", "models/again"])
def test_a_recipe_that_starts_from_another_finds_it_among_the_models(few, tmp_path, monkeypatch, models):
    monkeypatch.chdir(tmp_path)
    options, training_options = (dataclasses.replace(each, model_dir=models) for each in few)
    more = FEW._replace(name="more", flags=FEW.flags + " --params models/few/last.params")
    write_table(tmp_path, FEW, more)
    where = os.path.join(options.model_dir, "few", "last.params")
    with pytest.raises(
        InputError,
        match="recipe more starts from .*few/last.params, which does not exist: run that "
        "recipe first, as by python -m resattnet reproduce few more",
    ):
        reproduce.next_command(more, options)
    stop_run(training_options, monkeypatch, 6, signal.SIGINT)
    with pytest.raises(InputError, match="few/last.params, whose run has 1 of its 3 epochs: run that recipe first"):
        reproduce.next_command(more, options)
    train(*load_for_resume(os.path.dirname(where), {}))
    command = reproduce.next_command(more, options)
    assert command[command.index("--params") + 1] == where
    train(dataclasses.replace(training_options, name="more", params=where))
    assert results.save_result(more, options).ours
    with open(where, "wb") as handle:
        handle.write(b"of another run")
    with pytest.raises(
        InputError, match="models.*/more started from parameters that differ from those in .*few/last.params now"
    ):
        results.save_result(more, options)
    os.remove(where)
    assert results.save_result(more, options).ours
    other = more._replace(flags=more.flags.replace("few/last", "few/best"))
    with pytest.raises(
        InputError, match="is not a run of recipe more, which has params=.*few/best.params where the run has"
    ):
        results.save_result(other, options)


def test_a_run_on_another_machine_is_reported(few, monkeypatch):
    options, training_options = few
    stop_at(monkeypatch, 6, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        train(training_options)
    for machine in ("another machine", "one where nothing was left to train"):
        state = states.load_state(os.path.join(options.model_dir, "few"))
        monkeypatch.setattr(loop, "describe_machine", lambda devices, machine=machine: machine)
        train(TrainingOptions(**state.options), state)
    assert results.save_result(FEW, options).conditions.endswith("; then another machine")


def test_a_csv_overwritten_by_another_run_is_ignored(few, tmp_path):
    options, training_options = few
    history = train(training_options).progress.history
    other = dataclasses.replace(training_options, seed=3, model_dir=str(tmp_path / "other"))
    log = tmp_path / "log" / "csv" / "few.csv"
    before = log.read_bytes()
    train(other)
    assert log.read_bytes() != before
    entered = results.save_result(FEW, options)
    keep_log(FEW, options, str(tmp_path / "kept"))
    assert entered.ours.startswith(f"{100 * (1 - history[-1]['validation_top1']):.2f}, ")
    assert (tmp_path / "kept" / "few.csv").read_bytes() == before


def test_a_file_of_recipes_that_cannot_be_written_is_one_line(few, monkeypatch):
    options, training_options = few
    train(training_options)

    def denied(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(recipes, "write_csv", denied)
    with pytest.raises(InputError, match="recipes.csv cannot be written .Permission denied"):
        results.save_result(FEW, options)


def test_only_a_finished_run_of_the_recipe_is_saved_as_a_result(few):
    options, training_options = few
    before = recipes.read_recipes(options.recipes)

    def refusal(recipe=FEW):
        with pytest.raises(InputError) as error:
            results.save_result(recipe, options)
        assert recipes.read_recipes(options.recipes) == before
        return str(error.value)

    assert "no run of recipe few" in refusal()
    run = train(training_options)
    assert reproduce.next_command(FEW, options) is None
    four = FEW._replace(flags=FEW.flags.replace("--epochs 3", "--epochs 4"))
    assert "is not a run of recipe few, which has epochs=4 where the run has 3: move it away" in refusal(four)
    history = run.progress.history[:2]
    earlier = dataclasses.replace(run.progress, epoch=2, step=8, history=history, best=None)
    states.save_state(run.folder, {}, dict(dataclasses.asdict(earlier), options=dataclasses.asdict(training_options)))
    assert "has 2 of its 3 epochs: python -m resattnet reproduce few resumes it" in refusal()
    assert reproduce.next_command(FEW, options)[1:6] == ["-m", "resattnet", "train", "--resume", run.folder]


def test_a_run_killed_before_its_first_state_begins_again(few):
    options, _ = few
    folder = os.path.join(options.model_dir, "few")
    os.makedirs(folder)
    open(os.path.join(folder, "last.state.tmp"), "w").close()
    assert "--recipe" in reproduce.next_command(FEW, options) and not os.path.exists(folder)
    os.makedirs(folder)
    open(os.path.join(folder, "best.params"), "w").close()
    assert "--recipe" in reproduce.next_command(FEW, options) and os.path.exists(folder)


@pytest.fixture
def tiny(tmp_path):
    """Return a folder with RecordIO files and a recipe that trains on them for 8 epochs.

    The files hold 32 training images and 8 test images of 8x8 pixels.
    """
    rng = np.random.default_rng(0)
    sets = {
        split: ImageSet(
            rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8), np.arange(count, dtype=np.int32) % 2, ("a", "b")
        )
        for split, count in (("train", 32), ("test", 8))
    }
    record_writer.write_records(
        str(tmp_path / "data"), "tiny", sets, "noise", mean=(0.5,) * 3, std=(0.3,) * 3, flip=False
    )
    flags = "--dataset tiny --data-format rec --widths thin --batch-size 8 --epochs 8 --warmup-epochs 0 --num-gpus 0"
    write_table(tmp_path, recipes.Recipe("tiny", flags, "", "", "noise"))
    return tmp_path


def begin(folder):
    """Start the reproduction of `tiny` and wait until one more epoch has ended.

    Return the process of the reproduction and the ID of its training process.
    """
    log = folder / "log" / "csv" / "tiny.csv"
    before = log.read_text() if log.exists() else ""
    process = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, "scripts", "reproduce.py"), "tiny", "--recipes", "recipes.csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        cwd=str(folder),
    )
    while process.poll() is None and (log.read_text() if log.exists() else "") == before:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as handle:
        return process, int(handle.read().split()[0])


def wait_for_end(pid):
    """Wait until a process that is not a child of this process has ended."""
    for _ in range(3000):
        try:
            with open(f"/proc/{pid}/stat") as handle:
                if handle.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.02)
    raise AssertionError(f"{pid} does not end")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="the process of the training is found in /proc")
def test_a_reproduction_stopped_and_killed_goes_on_to_its_end(tiny):
    """A reproduction that is stopped and then killed can be resumed to its end.

    Ctrl-C stops the first process. SIGKILL is sent to the second reproduction only. Its training process then saves
    the state and exits too.
    """
    process, _ = begin(tiny)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=200)
    assert (
        process.returncode == 130 and "stopped in tiny; the same command resumes it" in err and "--recipe tiny" in out
    )
    first = states.load_state(str(tiny / "models" / "tiny")).progress
    assert 0 < first["epoch"] < 8

    process, child = begin(tiny)
    process.kill()
    process.communicate(timeout=200)
    wait_for_end(child)
    second = states.load_state(str(tiny / "models" / "tiny")).progress
    assert first["step"] < second["step"] < 32

    done = script("reproduce.py", "tiny", "--recipes", "recipes.csv", cwd=str(tiny))
    assert done.returncode == 0 and "--resume models/tiny" in done.stdout, done
    (entered,) = recipes.read_recipes(str(tiny / "recipes.csv"))
    with open(str(tiny / "models" / "tiny" / "last.json")) as handle:
        last = json.load(handle)["validation_top1"]
    assert entered.ours.startswith(f"{100 * (1 - last):.2f}, best ")
    with open(str(tiny / "log" / "csv" / "tiny.csv")) as handle:
        assert len(handle.readlines()) == 9
    again = script("reproduce.py", "tiny", "--recipes", "recipes.csv", "--note", "x", cwd=str(tiny))
    assert again.returncode == 0 and "tiny: done before" in again.stdout and "--resume" not in again.stdout
    assert recipes.read_recipes(str(tiny / "recipes.csv")) == [entered._replace(conditions=entered.conditions + "; x")]
    kept = script("reproduce.py", "tiny", "--recipes", "recipes.csv", "--write", "1", "--keep", "kept", cwd=str(tiny))
    assert kept.returncode == 0, kept
    assert (tiny / "kept" / "tiny.csv").read_bytes() == (tiny / "log" / "csv" / "tiny.csv").read_bytes()
    with Image.open(str(tiny / "kept" / "tiny.png")) as picture:
        assert picture.format == "PNG" and len(np.unique(picture.convert("L"))) > 50


def test_a_data_set_that_is_missing_is_one_line_and_the_next_recipe_is_run(tmp_path):
    lost = recipes.Recipe("lost", "--dataset lost --data-format rec --epochs 1", "", "", "no such records")
    also = lost._replace(name="also")
    write_table(tmp_path, lost, also)
    done = script(
        "reproduce.py", "lost", "also", "--recipes", "recipes.csv", "--data-dir", "nowhere", cwd=str(tmp_path)
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 2 and "Traceback" not in done.stderr
    assert all("lost" in line and "nowhere" in line for line in done.stderr.splitlines())
    assert not os.path.exists(str(tmp_path / "models"))
