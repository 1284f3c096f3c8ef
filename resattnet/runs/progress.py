"""How far a training run is, and what it was trained with: what its states hold beside their arrays."""

import dataclasses

BEST = {"best": "validation_top1", "best_ema": "validation_ema_top1"}  # fields of `Progress`: what each is the best by


@dataclasses.dataclass
class Progress:
    """How far a run is: what a state holds beside its arrays, of JSON types.

    Attributes
    ----------
    epoch, batch, step : int
        Whole epochs done, batches done of the next one, steps done in all.
    epoch_steps : int
        Steps of an epoch; 0 before it is known.
    totals : dict
        The meter's sums of the epoch begun.
    best : dict or None
        `epoch` and `top1` of the best validation so far whose parameters are kept.
    best_ema : dict or None
        The same of the moving average.
    teacher : str or None
        SHA-256 of the teacher's parameters.
    started_from : str or None
        SHA-256 of the parameters that it began with, where they were not random.
    history : list of dict
        The row of each whole epoch.
    machines : list of str
        What it was computed on and with, each once, in order.
    changes : list of dict
        Of each time that it went on with other options: the `step`, and the `options` as they were until then, those
        that changed.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    epoch_steps: int = 0
    totals: dict = dataclasses.field(default_factory=dict)
    best: dict = None
    best_ema: dict = None
    teacher: str = None
    started_from: str = None
    history: list = dataclasses.field(default_factory=list)
    machines: list = dataclasses.field(default_factory=list)
    changes: list = dataclasses.field(default_factory=list)
    data: dict = None

    def end_epoch(self, row):
        """Begin the next epoch, after the one of this row."""
        self.history.append(row)
        self.epoch, self.batch = row["epoch"], 0

    def surpasses(self, which, row):
        """Whether an epoch's row is better than the best so far; `which` is a key of `BEST`."""
        best, top1 = getattr(self, which), BEST[which]
        return top1 in row and (best is None or row[top1] > best["top1"])

    def set_best(self, which, row):
        """Have an epoch's row be the best so far, once its parameters are kept."""
        setattr(self, which, {"epoch": row["epoch"], "top1": row[BEST[which]]})

    def record_changes(self, options, before):
        """Note which options, as of `TrainingOptions.effective`, the steps until now had that are others."""
        if self.changes and self.changes[-1]["step"] == self.step:  # with what came after these none was
            before = dict(
                before,
                **{
                    name: tuple(value) if isinstance(value, list) else value
                    for name, value in self.changes.pop()["options"].items()
                },
            )
        changed = {name: value for name, value in before.items() if options[name] != value}
        if changed and self.step:
            self.changes.append({"step": self.step, "options": changed})

    def rescale_steps(self, epoch_steps):
        """Go on where it is with epochs of so many steps, as other batches make them; True if they were others.

        The steps before are counted as if they had been of the new batches: the schedule goes on where it was.
        """
        before = self.epoch_steps or (self.step - self.batch) // max(self.epoch, 1) or epoch_steps
        self.epoch_steps = epoch_steps
        if before == epoch_steps:
            return False
        self.batch = min(round(self.batch * epoch_steps / before), epoch_steps)
        self.step = self.epoch * epoch_steps + self.batch
        return True
