"""What a run says of its epochs and of its end, from the rows of its history."""

import os


def accuracy_name(row):
    """The name of a row's training accuracy, which says what it is counted against."""
    return next(name for name in row if name.startswith("train_accuracy"))[len("train_") :]


def epoch_scalars(row):
    """An epoch on the board."""
    scalars = {"loss/train_epoch": row["train_loss"]}
    for name, value in row.items():
        if name.startswith("validation_"):
            what, measure = name.rsplit("_", 1)
            scalars["loss/" + what if measure == "loss" else "accuracy/" + name] = value
    return scalars


def epoch_line(row, progress, epochs):
    """An epoch as a line; `progress` (progress.Progress) says whether it is the best so far, of so many."""
    name, best = accuracy_name(row), []
    parts = [
        f"epoch {row['epoch']}/{epochs}",
        f"train loss {row['train_loss']:.4f}",
        f"{name.replace('_', ' ')} {row['train_' + name]:.4f}",
    ]
    for what, found, mark in (("validation", progress.best, "best"), ("validation_ema", progress.best_ema, "best ema")):
        if what + "_loss" in row:
            parts.append(f"{what.replace('_', ' ')} loss {row[what + '_loss']:.4f}")
            parts += [f"top-{k} {row[f'{what}_top{k}']:.4f}" for k in (1, 5)]
            best += [mark] * (found is not None and found["epoch"] == row["epoch"])
    return "  ".join(parts + [f"{row['samples_per_second']:.1f} images/s"] + best)


def summary(progress, epochs, folder, log):
    """The end of a run: its best figures and where everything is, as lines."""
    lines, tested = [], os.path.join(folder, f"{('best' if progress.best else 'last')}.params")
    for what, best, name in (("", progress.best, "best"), (" of the moving average", progress.best_ema, "best-ema")):
        if best:
            lines.append(f"done: best top-1{what} {best['top1']:.4f}, at epoch {best['epoch']} of {epochs}")
            lines.append(f"  model  {os.path.join(folder, name + '.params')}")
    return "\n".join(
        lines
        + [
            f"  log    {log.text_path} and {log.csv_path}",
            f"  board  tensorboard --logdir {os.path.dirname(log.board_dir)}",
            f"  test   python scripts/cifar10_test.py --params {tested}",
        ]
    )
