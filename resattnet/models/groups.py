"""Choose the number of groups of a grouped convolution. Nothing here imports MXNet."""

from __future__ import annotations


def group_count(channels: int) -> int:
    """Return the number of groups of a grouped convolution: 32, and fewer where a group would have under 4 channels.

    A ResNeXt for ImageNet has 32 groups of 4 channels and more (arXiv 1611.05431, table 1). Narrow networks keep the 4
    channels; the groups are the largest number up to 32 that divides the channels.

    Parameters
    ----------
    channels : int
        Channels in and out of the convolution.
    """
    return max(groups for groups in range(1, 33) if channels % groups == 0 and (groups == 1 or channels >= 4 * groups))
