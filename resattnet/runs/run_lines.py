"""What a run says of its epochs and of its end, from the rows of its history."""
import os


def accuracy_name(row):
    """The name of a row's training accuracy, which says what it is counted against."""
    return next(name for name in row if name.startswith("train_accuracy"))[len("train_"):]


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
    parts = ["epoch %d/%d" % (row["epoch"], epochs), "train loss %.4f" % row["train_loss"],
             "%s %.4f" % (name.replace("_", " "), row["train_" + name])]
    for what, found, mark in (("validation", progress.best, "best"), ("validation_ema", progress.best_ema, "best ema")):
        if what + "_loss" in row:
            parts.append("%s loss %.4f" % (what.replace("_", " "), row[what + "_loss"]))
            parts += ["top-%d %.4f" % (k, row["%s_top%d" % (what, k)]) for k in (1, 5)]
            best += [mark] * (found is not None and found["epoch"] == row["epoch"])
    return "  ".join(parts + ["%.1f images/s" % row["samples_per_second"]] + best)


def summary(progress, epochs, folder, log):
    """The end of a run: its best figures and where everything is, as lines."""
    lines, tested = [], os.path.join(folder, "%s.params" % ("best" if progress.best else "last"))
    for what, best, name in (("", progress.best, "best"), (" of the moving average", progress.best_ema, "best-ema")):
        if best:
            lines.append("done: best top-1%s %.4f, at epoch %d of %d" % (what, best["top1"], best["epoch"], epochs))
            lines.append("  model  %s" % os.path.join(folder, name + ".params"))
    return "\n".join(lines + [
        "  log    %s and %s" % (log.text_path, log.csv_path),
        "  board  tensorboard --logdir %s" % os.path.dirname(log.board_dir),
        "  test   python scripts/cifar10_test.py --params %s" % tested])
