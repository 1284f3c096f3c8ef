"""The variants as data: depths, widths, kinds of attention and mask. A new depth or width is one line here."""

from collections import namedtuple

from ..system.errors import InputError

Spec = namedtuple("Spec", "p t r modules")
Spec.__doc__ = "Units before and after, in the trunk, in the mask; attention modules of the three stages."

attention_net_spec = {
    56: Spec(1, 2, 1, (1, 1, 1)),
    92: Spec(1, 2, 1, (1, 2, 3)),
    128: Spec(1, 2, 1, (3, 3, 3)),
    164: Spec(1, 2, 1, (4, 4, 4)),
    236: Spec(1, 2, 1, (6, 6, 6)),
    452: Spec(2, 4, 3, (6, 6, 6)),
}

Widths = namedtuple("Widths", "stem stages tail")
Widths.__doc__ = "Channels of the stem, of the three stages and of the three tail units."

CIFAR_WIDTHS = {
    "full": Widths(32, (128, 256, 512), 1024),
    # The paper's own CIFAR size: the only widths that come near its 1.9M (92) and 5.1M (236) parameters.
    "thin": Widths(16, (64, 128, 256), 256),
}
IMAGENET_WIDTHS = {"full": Widths(64, (256, 512, 1024), 2048)}

MASK_LEVELS = (3, 2, 1)
TAIL_UNITS = 3

ATTENTION_LEARNING = ("arl", "nal")
ATTENTION_TYPES = ("mixed", "channel", "spatial")
MASKS = ("hourglass", "local", "none")
# The network that is meant where these are not named.
DEFAULT_VARIANT = {"attention_learning": ATTENTION_LEARNING[0], "attention": ATTENTION_TYPES[0], "mask": MASKS[0]}
NETWORK_OPTIONS = ("num_layers", "widths") + tuple(DEFAULT_VARIANT)  # what a network is, but for its classes and stem


def choose(what, name, table):
    """The row `name` of a table; an InputError that says `what` it is and names the choices if there is none."""
    if name not in table:
        raise InputError(f"{what} {name}: choose from {', '.join(str(key) for key in table)}")
    return table[name]


def check_variant(attention_learning, attention, mask):
    """InputError if one of the three is unknown, or says how masks work where there are none."""
    for what, name, names in (
        ("attention learning", attention_learning, ATTENTION_LEARNING),
        ("attention", attention, ATTENTION_TYPES),
        ("mask", mask, MASKS),
    ):
        if name not in names:
            raise InputError(f"{what} {name!r}: choose from {', '.join(names)}")
    if mask == "none" and (attention_learning, attention) != (ATTENTION_LEARNING[0], ATTENTION_TYPES[0]):
        raise InputError(
            f"attention learning {attention_learning}, attention {attention}: a network with mask none has nothing for them to act "
            "on; leave them out"
        )


def trunk_depth(num_layers):
    """Weighted layers on the way through the trunks, from the first convolution to the dense layer.

    Parameters
    ----------
    num_layers : int
        A key of `attention_net_spec`.

    Returns
    -------
    int
        20 + 3 (2 p + t) per attention module, which is the key itself for all six.

    Raises
    ------
    InputError
        If it is no key.
    """
    spec = choose("num_layers", num_layers, attention_net_spec)
    return 20 + 3 * (2 * spec.p + spec.t) * sum(spec.modules)
