"""Draw the soft masks of every attention module of a trained network, as in figures 1 and 4 of the paper.

    {command} --params models/RUN/best.params photo.jpg --output photo_masks.png
    {command} --params models/RUN/best.params --from-test 6 --grad-cam 1
    {command} --params models/RUN/best.params --from-test 6 --sheet arrays --channels 0,5,9
    {command} --params models/RUN/epoch-0050.params --from-test 6 --board log/board

The sheet shows each image with its prediction and, drawn over the image, for each module the mean of its mask over the
channels and the three channels that vary most over the image. Each has a colour scale of its own, below it: the mean
often varies by a few hundredths only. --grad-cam 1 adds where the features support the predicted class.

--sheet arrays shows, for each module, the mask M, the output T of the trunk and their product, (1 + M) T or M T, scaled
to the size of the image. The masks of a module share a colour scale; the features before and after the mask share
another. Images are read as by {command predict}.

Network and data set are read from the .json beside the parameters, or from the .safetensors file that the command
export has written of them, which PyTorch computes without MXNet. As arrays: `resattnet.soft_masks(net, images)`.
"""

from __future__ import annotations

from typing import Any, Dict

from ..options import command_line
from ..options.common_arguments import add_images, add_params, add_quiet
from ..reports.options import MaskOptions
from ..system.console import say
from ..system.errors import InputError


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the parameter file, the images and the options."""
    add_params(parser, exported=".safetensors")
    add_images(parser, "*")
    command_line.add_options(parser, MaskOptions)
    add_quiet(parser)


def main(given: Dict[str, Any]) -> None:
    """Draw the sheet, and print the predictions and the range of each module's masks."""
    given = dict(given)
    path, images = given.pop("params"), given.pop("images")
    options = MaskOptions(**given)
    if not images and not options.from_test:
        raise InputError("give images, or --from-test 6 for test images of the data set")

    from ..reports.mask_overlays import mean_ranges
    from ..reports.mask_sheet import make_sheet

    output, predictions, attentions = make_sheet(path, images, options)
    for row, prediction in predictions:
        say(f"{row.title} -> {prediction.classes[0]} ({100 * prediction.probabilities[0]:.1f} %)")
    for attention in attentions:
        module, stage, number = attention[:3]
        mask = attention.mask
        _, channels, height, width = mask.shape
        say(
            f"{module}, stage {stage}, module {number}: masks of {channels} channels, {height} x {width}, "
            f"from {mask.min():.3f} to {mask.max():.3f}, mean {mask.mean():.3f}; the mean over the channels varies "
            f"within an image by up to {mean_ranges(mask).max():.2g}"
        )
    print(f"sheet: {output}")
    if options.board:
        say(f"board: tensorboard --logdir {options.board}")
