"""The one kind of error that is the user's to mend."""


class InputError(ValueError):
    """A wrong argument, file or set-up.

    The message is one line that names the thing, its value and the way out; the scripts print it
    on stderr and leave with exit code 2. Anything else that is raised is a bug of ours.
    """
