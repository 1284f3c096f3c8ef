"""Tests for the options of a training run.

Options that have no effect or exclude each other are refused. The effective values follow from the other options.
"""

import dataclasses
import sys

import pytest

from resattnet.options import command_line
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError


@pytest.mark.parametrize(
    "given, message",
    [
        (dict(alpha=0.2), "^alpha=0.2 has no effect without mix_up=True or cutmix=True$"),
        (dict(mixup_off_epochs=2), "^mixup_off_epochs=2 has no effect without mix_up=True or cutmix=True$"),
        (dict(mask_period=3), "^mask_period=3 has no effect without mask_images$"),
        (
            dict(epochs=20, mix_up=True, mixup_off_epochs=20),
            "^mixup_off_epochs=20: the run has 20 epochs, and none would be mixed$",
        ),
    ],
)
def test_options_without_effect_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        TrainingOptions(**given)


@pytest.mark.parametrize(
    "given, message",
    [
        (dict(num_layers=50), "^num_layers=50: choose from 56, 92, 128, 164, 236, 452$"),
        (dict(loader="dali"), "^loader=dali data_format=bin: DALI reads RecordIO files.*; give data_format=rec$"),
        (dict(float16=True, num_cpus=2), "^float16=True num_cpus=2: MXNet has no float16 matrix product on the CPU; "),
        (dict(float16=True, num_gpus=0), "^float16=True num_gpus=0: MXNet has no float16 .*, or run on a GPU$"),
        (dict(dtype="bfloat16", num_gpus=1), "^dtype=bfloat16 num_gpus=1: .* on the CPU only; give float16=True ins"),
        (
            dict(mask="none", attention="channel", attention_learning="nal"),
            "^mask=none attention_learning=nal attention=channel: there is no mask to act on; leave out mask or the r",
        ),
        (dict(gpus=(0,), num_gpus=0), "^gpus=0 num_gpus=0: gpus says which and how many; leave num_gpus out$"),
        (dict(gpus=(0, 2), num_cpus=2), "^gpus=0,2 num_cpus=2: give one of them$"),
        (dict(gpus=(0, 2), dtype="bfloat16"), "^dtype=bfloat16 gpus=0,2: MXNet computes in bfloat16 on the CPU only; "),
        (dict(gpus=(1, 1)), "^gpus=1,1: give each GPU once$"),
        (dict(gpus=(0, -1)), "^gpus=0,-1: give a number at least 0$"),
        (dict(lr_steps=(80,), lr_restarts=(90,)), "^lr_steps=80 lr_restarts=90: the step schedule has steps, the cos"),
        (dict(lr_restarts=(90,), lr_schedule="step"), "^lr_restarts=90 lr_schedule=step: the step schedule has no "),
        (dict(epochs=30, warmup_epochs=31), "^warmup_epochs=31: the run has 30 epochs$"),
        (dict(lr_steps=(120, 80)), "^lr_steps=120,80: give epochs in increasing order, 1 or later$"),
        (dict(lr_steps=(3, 80)), r"^lr_steps=3,80: give epochs after the warm-up \(warmup_epochs=5\)$"),
        (dict(teacher=""), "^teacher='': give a file$"),
        (
            dict(rand_augment=(2,)),
            "^rand_augment=2: give the number of operations and their magnitude, for example 2,9$",
        ),
        (dict(rand_augment=(2, 9, 1)), "^rand_augment=2,9,1: give the number of operations and their magnitude"),
    ],
)
def test_errors_name_the_parameter(given, message):
    with pytest.raises(InputError, match=message):
        TrainingOptions(**given)


def test_a_command_names_the_same_as_flags(monkeypatch, capsys):
    def main():
        parser = command_line.ArgumentParser()
        command_line.add_options(parser, TrainingOptions)
        TrainingOptions(**vars(parser.parse_args()))

    monkeypatch.setattr(sys, "argv", ["train", "--alpha", "0.2"])
    with pytest.raises(SystemExit) as end:
        command_line.run(main)
    message = "train: --alpha 0.2 has no effect without --mix-up 1 or --cutmix 1\n"
    assert (end.value.code, capsys.readouterr().err) == (2, message)


def parse(*args):
    parser = command_line.ArgumentParser()
    command_line.add_options(parser, TrainingOptions)
    return TrainingOptions(**vars(parser.parse_args(args)))


def test_the_command_of_the_reference_implementation_works_word_for_word():
    options = parse(
        *"--num-layers 92 --num-gpus 1 --workers 2 --batch-size 64 --epochs 200 --lr-steps 80,120 --mix-up 1 "
        "--alpha 1.0".split()
    )
    assert (options.lr_schedule, options.lr_steps, options.decay_epochs) == ("step", (80, 120), (80, 120))
    assert (options.num_layers, options.num_gpus, options.workers, options.batch_size) == (92, 1, 2, 64)
    assert (options.epochs, options.mix_up, options.alpha) == (200, True, 1)


@pytest.mark.parametrize(
    "given, schedule",
    [
        ({}, "cosine"),
        (dict(lr_steps=(80, 120)), "step"),
        (dict(lr_steps=[80, 120], lr_schedule="step"), "step"),
        (dict(lr_schedule="step"), "step"),
        (dict(lr_restarts=(80,)), "cosine"),
        (dict(lr_restarts=[80], lr_schedule="cosine"), "cosine"),
    ],
)
def test_the_schedule_follows_from_steps_unless_it_is_given(given, schedule):
    options = TrainingOptions(**given)
    assert options.lr_schedule == options.effective["lr_schedule"] == schedule
    assert TrainingOptions(**dataclasses.asdict(options)) == options


def test_help_has_a_heading_for_each_group(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert [line for line in lines if line and line[0].isalpha() and line.endswith(":")][1:] == [
        "data:",
        "network:",
        "length and learning rate:",
        "optimizer:",
        "augmentation and labels:",
        "distillation:",
        "devices and batches:",
        "run and output:",
    ]
    assert all(f"--{name.replace('_', '-')} " in text for name in TrainingOptions.defaults())
