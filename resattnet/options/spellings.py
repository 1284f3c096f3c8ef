"""List the other spellings of flags: aliases from other programs, and hints for names that are no flags here."""

from __future__ import annotations

from typing import Collection, Dict, Optional, Tuple

# Flags of timm, torchvision and GluonCV that mean the same as ours, by the name of our option.
ALIASES: Dict[str, Tuple[str, ...]] = {
    "mix_up": ("--mixup",),
    "epsilon": ("--smoothing", "--label-smoothing"),
    "accumulate": ("--grad-accum-steps",),
    "clip_gradient": ("--clip-grad",),
    "ema": ("--model-ema-decay",),
    "wd": ("--weight-decay",),
    "workers": ("--num-workers",),
    "params": ("--weights", "--pretrained"),
    "lr_schedule": ("--lr-mode",),
    "lr_steps": ("--lr-decay-epoch",),
}
BEST_FIT = "packaged"  # value of `params`: the packaged parameters of the network that the other options specify
BARE = {"--pretrained": BEST_FIT, "--corruptions": "1"}  # values of flags without a value, besides those of switches
# A value that means another option: (option, value) -> (option, value).
VALUES = {("dtype", "float16"): ("float16", True)}

_ALPHA = "--alpha is the parameter of the Beta distribution"
NUMBERS = {"mix_up": _ALPHA, "cutmix": _ALPHA}  # where the numbers go that other programs give these switches

# Names that users try, and what is meant. A hint is shown by commands that have the flag at its beginning.
_MEANINGS: Tuple[Tuple[str, str], ...] = (
    ("model arch net network depth layers num-layer", "--num-layers is the depth of the network"),
    ("width width-factor wide", "--widths are the widths of the network"),
    ("label label-noise-rate noise noise-rate", "--label-noise is the fraction of wrong labels"),
    ("label-smooth ls smooth", "--epsilon is the label smoothing"),
    ("epoch num-epochs n-epochs num-epoch max-epochs", "--epochs is the length of the run"),
    ("max-iter max-iters iterations num-steps train-steps steps", "--max-steps is the number of updates"),
    ("early-stopping early-stop early-stopping-patience stop-patience", "--patience ends a run without a new best"),
    ("max-time time walltime max-hours max-train-time", "--time-limit is the time that the run may take"),
    ("lr-finder find-lr lr-range-test auto-lr-find", "--lr-find tests learning rates"),
    ("learning-rate base-lr init-lr eta", "--lr is the highest learning rate"),
    ("lr-min eta-min end-lr final-lr target-lr", "--min-lr is the learning rate at the end of the cosine"),
    ("sched scheduler lr-scheduler lr-policy schedule", "--lr-schedule is cosine or step"),
    ("milestones lr-milestones decay-epochs lr-decay-epochs lr-step-size", "--lr-steps are the epochs of the decay"),
    ("lr-decay lr-gamma decay-rate lr-decay-factor", "--lr-steps are where the rate is divided, always by ten"),
    ("warmup warm-up lr-warmup-epochs warmup-length warmup-epoch", "--warmup-epochs is the length of the warm-up"),
    ("opt optim solver nesterov", "--optimizer is nag (with Nesterov momentum), sgd, adamw or lamb"),
    ("betas opt-betas adam-betas adam-beta1", "--beta1 and --beta2 are the decays of the means of adamw and lamb"),
    ("no-weight-decay no-bias-decay no-bn-decay norm-weight-decay", "--no-wd leaves gamma, beta and biases alone"),
    ("clip max-norm clip-norm clip-grad-norm grad-clip", "--clip-gradient is the largest norm of the gradient"),
    ("model-ema ema-decay use-ema", "--ema is the decay of the moving average"),
    ("accum-steps accumulation gradient-accumulation-steps", "--accumulate is the number of batches of an update"),
    ("batch bs mini-batch train-batch-size", "--batch-size is the number of images on each device"),
    ("mixup-alpha cutmix-alpha mix-alpha beta", _ALPHA),
    ("mixup-off-epoch mixup-off", "--mixup-off-epochs is the number of last epochs without mixup"),
    ("cut-mix", "--cutmix pastes boxes of other images"),
    ("random-erase random-erasing reprob erase cutout-size", "--cutout is the side of the erased square"),
    ("last-gamma zero-init-residual zero-init zero-init-last", "--zero-gamma starts each unit as its shortcut"),
    ("amp fp16 half mixed-precision use-amp precision", "--dtype is the type to compute in"),
    ("teacher-model kd distill distillation", "--teacher is the trained network to learn from"),
    ("hard-weight kd-weight distill-weight", "--teacher-weight is the weight of the teacher"),
    (
        "finetune fine-tune init checkpoint ckpt load load-weights model-path model-file",
        "--params is the parameter file",
    ),
    (
        "freeze-layers frozen-stages freeze-backbone freeze-base freeze-at freeze-bn",
        "--freeze names the parts that are not trained",
    ),
    ("head-lr lr-head head-lr-mult head-lr-scale", "--head-lr-factor is the relative learning rate of the last layer"),
    ("class-weight loss-weights weights-per-class", "--class-weights are the weights of the classes in the loss"),
    ("weighted-sampler balanced-sampler oversample class-balanced", "--sampler is shuffled or balanced"),
    ("resume-from resume-params resume-states start-epoch continue auto-resume", "--resume continues a run"),
    ("data data-path root data-root dataset-dir dataset-path path", "--data-dir is the folder of the data sets"),
    ("data-set set", "--dataset is the data set"),
    ("gpu gpu-id gpu-ids device device-ids devices", "--gpus chooses GPUs by their numbers"),
    ("ngpu ngpus num-gpu n-gpus use-gpu cuda cpu no-cuda", "--num-gpus is the number of GPUs, 0 the CPU"),
    ("num-threads threads worker num-worker", "--workers is the number of processes that make batches"),
    ("manual-seed random-seed", "--seed is the seed of all random draws"),
    ("experiment exp exp-name run-name run-id", "--name is the name of the run"),
    ("log logging-dir logdir log-path tensorboard", "--log-dir is the folder of the logs"),
    ("log-freq print-freq log-every log-steps", "--log-interval is the number of steps between lines"),
    ("save-dir model-path checkpoint-dir output output-dir out outdir", "--model-dir is the folder of the parameters"),
    ("save-freq save-frequency save-every checkpoint-freq", "--save-period keeps the parameters of every N-th epoch"),
    ("out outfile output-file save save-as to-file output-dir save-dir", "--output says where to write"),
    ("bind address listen ip hostname", "--host is the address to listen on"),
    ("topk top-k top5", "--top is the number of classes to name"),
    ("tta hflip mirror flip-test", "--flip also measures mirrored images"),
    ("size input-size img-size imgsz crop-size resolution", "--image-size is the height and width of the images"),
    ("input-size img-size imgsz crop-size resolution image-size", "--size is the side of the images in pixels"),
    ("test-split val-share val-split test-size", "--test-share is the fraction of test images"),
    ("target type onnx", "--to is the format to convert to"),
    ("grad-cam-plus gradcam cam", "--grad-cam shows where the features support the class"),
    ("force", "--overwrite replaces files of the same name"),
    ("silent no-progress", "--quiet prints warnings, errors and the result only"),
)


def meaning(flag: str, known: Collection[str]) -> Optional[str]:
    """Return a hint for a flag that does not exist: the flag that means it, and what that flag is.

    Parameters
    ----------
    flag : str
        As the user gave it, with its dashes.
    known : collection of str
        The flags of the command. Hints for other flags are not given.
    """
    name = flag.lstrip("-").replace("_", "-").lower()
    for names, hint in _MEANINGS:
        if name in names.split() and hint.split()[0] in known:
            return hint
    return None
