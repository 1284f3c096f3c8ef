"""The options of a run: those that would do nothing are refused."""

import pytest

from resattnet.system.errors import InputError
from resattnet.training.options import TrainingOptions


@pytest.mark.parametrize(
    "given, message",
    [
        (dict(alpha=0.2), "--alpha 0.2 goes with --mix-up 1 or --cutmix 1"),
        (dict(mixup_off_epochs=2), "--mixup-off-epochs 2 goes with --mix-up 1 or --cutmix 1"),
        (
            dict(epochs=20, mix_up=True, mixup_off_epochs=20),
            "--mixup-off-epochs 20: the run has 20 epochs, and none would be mixed",
        ),
    ],
)
def test_what_would_do_nothing_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        TrainingOptions(**given)
