"""Test which options a resumed run may change, and which of its own options the given options replace or drop."""

import dataclasses

import pytest

from resattnet.run_options.options import TrainingOptions
from resattnet.run_options.resume import load_for_resume, merge_options, options_for_resume
from resattnet.runs import states
from resattnet.runs.progress import Progress
from resattnet.system.errors import InputError


def after(before, epochs_done=0, **given):
    """Return the options of a run that had the options `before` and is resumed with the options `given`."""
    return options_for_resume(dataclasses.asdict(TrainingOptions(**before)), given, epochs_done)


def test_given_options_win_and_the_rest_stays():
    options = after(dict(epochs=30, lr=0.2, mix_up=True), lr=0.1, epochs=60)
    assert (options.epochs, options.lr, options.mix_up) == (60, 0.1, True)


@pytest.mark.parametrize(
    "given, message",
    [
        (dict(num_layers=92), "^num_layers=92: the run to resume has num_layers=56, which cannot change"),
        (dict(unit="basic"), "^unit=basic: the run to resume has unit=bottleneck, which cannot change"),
        (dict(seed=1), "^seed=1: the run to resume has seed=0"),
        (dict(params="other.params"), "^params=other.params: the run to resume has params=none"),
        (dict(epochs=9), "^epochs=9: the run to resume has already done 10"),
    ],
)
def test_options_that_the_state_depends_on_are_kept(given, message):
    with pytest.raises(InputError, match=message):
        after({}, 10, **given)


def test_the_state_of_a_run_from_before_units_were_an_option():
    before = dataclasses.asdict(TrainingOptions(epochs=30))
    del before["unit"]
    assert options_for_resume(before, dict(epochs=60), 10).unit == "bottleneck"


def test_a_recipes_parameters_are_dropped_for_another_unit():
    own = TrainingOptions(widths="thin", params="packaged")
    assert merge_options(own, dict(lr=0.1)).params == "cifar10_attention56_thin"
    assert merge_options(own, dict(unit="resnext")).params is None


def test_the_step_schedule_drops_restarts():
    options = after(dict(epochs=60, lr_restarts=(30,), lr_restart_factor=0.3), 35, lr_schedule="step")
    assert (options.lr_restarts, options.lr_restart_factor) == (None, 1)
    options = after(dict(epochs=60, lr_schedule="step", lr_steps=(30,)), 35, lr_schedule="cosine")
    assert options.lr_steps is None


def test_steps_and_restarts_bring_their_schedule():
    for before in ({}, dict(lr_schedule="cosine"), dict(lr_restarts=(30,), lr_restart_factor=0.3)):
        options = after(dict(before, epochs=60), 35, lr_steps=(40, 50))
        assert (options.lr_schedule, options.lr_steps) == ("step", (40, 50))
        assert (options.lr_restarts, options.lr_restart_factor) == (None, 1)
    for before in (dict(lr_schedule="step"), dict(lr_steps=(30,))):
        options = after(dict(before, epochs=60), 35, lr_restarts=(40,))
        assert (options.lr_schedule, options.lr_steps, options.lr_restarts) == ("cosine", None, (40,))
    with pytest.raises(InputError, match="^lr_steps=40 lr_schedule=cosine: the cosine schedule has no steps"):
        after({}, lr_steps=(40,), lr_schedule="cosine")
    assert after(dict(lr_schedule="step"), epochs=300).lr_schedule == "step"


def test_a_given_warm_up_drops_restarts_within_it():
    own = TrainingOptions(epochs=60, lr_steps=(10, 40))
    assert merge_options(own, dict(warmup_epochs=20)).lr_steps == (40,)
    assert merge_options(own, dict(warmup_epochs=50)).lr_steps is None
    own = TrainingOptions(epochs=60, lr_restarts=(10, 40))
    assert merge_options(own, dict(warmup_epochs=20)).lr_restarts == (40,)


def test_initial_weights_must_fit_the_network():
    own = TrainingOptions(params="a.params", num_layers=92)
    assert merge_options(own, dict(num_layers=56)).params is None
    assert merge_options(own, dict(num_layers=92, seed=1)).params == "a.params"
    assert merge_options(own, dict(num_layers=56, params="b.params")).params == "b.params"


def test_restarts_after_the_new_end_are_left_out():
    before = dict(epochs=90, lr_restarts=(30, 60), lr_restart_factor=0.3)
    options = after(before, 40, epochs=50)
    assert (options.lr_restarts, options.lr_restart_factor) == ((30,), 0.3)
    options = after(before, 10, epochs=20)
    assert (options.lr_restarts, options.lr_restart_factor) == (None, 1)


def test_past_restarts_have_to_be_given():
    before = dict(epochs=60, lr_restarts=(30,), lr_restart_factor=0.3)
    with pytest.raises(
        InputError, match="lr_restarts=60: in the 60 epochs done, the cosine restarted after 30; give those"
    ):
        after(before, 60, epochs=90, lr_restarts=(60,))
    with pytest.raises(InputError, match="lr_restarts=10,50: in the 35 epochs done, the cosine restarted after none;"):
        after(dict(epochs=60), 35, lr_restarts=(10, 50))
    assert after(dict(epochs=30), 30, epochs=60, lr_restarts=(30,)).lr_restarts == (30,)
    assert after(before, 60, epochs=90, lr_restarts=(30, 60)).lr_restarts == (30, 60)
    assert after(before, 20, epochs=90, lr_restarts=(60,)).lr_restarts == (60,)  # the run has not reached epoch 30


def test_a_given_option_replaces_one_it_excludes():
    options = after(dict(lr=0.2), lr_per_256=0.1)
    assert (options.lr, options.lr_per_256) == (None, 0.1)
    assert after(dict(lr_per_256=0.1), lr=0.2).lr_per_256 is None
    assert after(dict(num_cpus=2), num_gpus=1).num_cpus == 1
    assert after(dict(num_gpus=1), num_cpus=2).num_gpus == 0
    with pytest.raises(InputError, match="^lr=0.2 lr_per_256=0.1: give one of them"):
        after({}, lr=0.2, lr_per_256=0.1)


@pytest.mark.parametrize(
    "own, given",
    [
        (dict(zero_gamma=True), dict(params="other.params")),
        (dict(params="other.params"), dict(zero_gamma=True)),
        (dict(data_format="rec", loader="dali"), dict(label_noise=0.2)),
        (dict(data_format="rec", label_noise=0.2), dict(loader="dali")),
        (dict(data_format="rec", loader="dali"), dict(data_format="bin")),
        (dict(mask="none"), dict(attention="channel")),
        (dict(mask="none"), dict(attention_learning="nal")),
        (dict(mask="none"), dict(mask_images=4)),
        (dict(mask_images=4), dict(mask="none")),
        (dict(num_cpus=2), dict(float16=True)),
        (dict(float16=True), dict(num_gpus=0)),
        (dict(dtype="bfloat16"), dict(num_gpus=1)),
        (dict(lr_schedule="cosine"), dict(lr_steps=(80, 120))),
        (dict(lr_restarts=(80,)), dict(lr_steps=(80, 120))),
        (dict(lr_steps=(80, 120)), dict(lr_restarts=(80,))),
        (dict(lr_schedule="step"), dict(lr_restarts=(80,))),
    ],
)
def test_given_flags_replace_conflicting_flags_of_a_recipe(own, given):
    options = merge_options(TrainingOptions(**own), given)
    assert all(getattr(options, name) == value for name, value in given.items())


def test_a_given_type_replaces_unsuitable_devices():
    assert merge_options(TrainingOptions(num_gpus=0), dict(float16=True)).num_gpus is None
    assert merge_options(TrainingOptions(num_gpus=1), dict(dtype="bfloat16")).num_gpus == 0


@pytest.mark.parametrize(
    "before, given, message",
    [
        (dict(zero_gamma=True), dict(params="other.params"), "^params=other.params: the run to resume has params=none"),
        (dict(mask="none"), dict(attention="channel"), "^attention=channel: the run to resume has attention=mixed"),
        (dict(mask="none"), dict(mask_images=4), "^mask_images=4 mask=none: there are no masks to show"),
        (
            dict(data_format="rec", label_noise=0.2),
            dict(loader="dali"),
            "^loader=dali: the run to resume has loader=array",
        ),
        (dict(float16=True), dict(dtype="bfloat16"), "^float16=True dtype=bfloat16: give one of them"),
    ],
)
def test_the_given_options_are_named(before, given, message):
    with pytest.raises(InputError, match=message):
        after(before, **given)


def test_float16_is_one_option_of_two_names():
    assert TrainingOptions(dtype="float16") == TrainingOptions(float16=True)
    for given in (dict(dtype="float16"), dict(float16=True)):
        with pytest.raises(InputError, match="^float16=True: the run to resume has float16=False, which cannot change"):
            after({}, **given)
        assert after(dict(float16=True), epochs=300, **given) == TrainingOptions(
            float16=True, epochs=300, warmup_epochs=5
        )


def test_gpus_given_now_replace_a_number_of_gpus():
    assert (after(dict(num_gpus=1), gpus=(2,)).num_gpus, after(dict(num_gpus=1), gpus=(2,)).gpus) == (None, (2,))
    assert (after(dict(gpus=(2,)), num_gpus=0).num_gpus, after(dict(gpus=(2,)), num_gpus=0).gpus) == (0, None)
    assert after(dict(gpus=(2,)), num_cpus=2).gpus is None


def test_a_run_of_another_version_says_so():
    with pytest.raises(
        InputError, match="another version of resattnet saved the run: stochastic_depth is unknown here"
    ):
        options_for_resume(dict(dataclasses.asdict(TrainingOptions()), stochastic_depth=0.1), {}, 0)


def test_the_warm_up_keeps_its_length():
    options = after(dict(epochs=12, lr_restarts=(4,)), 6, epochs=60)
    assert (options.warmup, options.lr_restarts) == (3, (4,))
    assert after(dict(epochs=40), 1, epochs=4).warmup == 1  # a warm-up of 5 epochs would be longer than the run


def test_a_state_saved_before_an_option_existed():
    before = dataclasses.asdict(TrainingOptions(epochs=30))
    del before["lr_restarts"], before["params"]
    assert options_for_resume(before, dict(epochs=60), 30).lr_restarts is None


def test_dependent_options_are_dropped_with_theirs():
    assert after(dict(mask_images=4, mask_period=3), mask_images=0).mask_period is None
    assert after(dict(teacher="t.params", temperature=2.0), teacher=None).temperature == 4
    assert after(dict(cutmix=True, mix_up=True, alpha=0.2), mix_up=False).alpha == 0.2
    assert after(dict(mix_up=True, alpha=0.2), mix_up=False).alpha == 1


def test_a_run_resumes_from_python(tmp_path):
    folder = tmp_path / "models" / "run"
    folder.mkdir(parents=True)
    states.save_state(
        str(folder),
        {},
        dict(
            dataclasses.asdict(Progress(epoch=2, step=8)), options=dataclasses.asdict(TrainingOptions(epochs=3, lr=0.2))
        ),
    )
    given = dict(epochs=6, model_dir=str(tmp_path / "models"))
    for run in ("run", str(folder), str(folder / "last.state")):
        options, state = load_for_resume(run, given)
        assert (options.epochs, options.lr, state.progress["step"], given["epochs"]) == (6, 0.2, 8, 6)
        assert state.folder == str(folder)
    with pytest.raises(InputError, match="^epochs=1: the run to resume has already done 2"):
        load_for_resume(str(folder), dict(epochs=1))


def test_steps_after_the_end_stay():
    """Steps after the end of the run stay in its options.

    Such steps give a constant learning rate. With the steps of a longer run, the run is the
    beginning of that longer run.
    """
    assert after(dict(epochs=1, lr_schedule="step", lr_steps=(50,)), 1, epochs=2).lr_steps == (50,)
