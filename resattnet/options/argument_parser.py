"""Parse command lines with argparse: no abbreviations, switches without a value, aliases, and errors of one line."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
from typing import Any, Dict, List, NoReturn, Optional, Sequence, Type

from .. import __version__
from ..machine.packages import installed_version
from ..system.calls import fill_in_commands, program
from ..system.errors import InputError, one_line
from ..system.suggestions import nearest_names
from .spellings import BARE, NUMBERS, VALUES, meaning

# Flag of each parameter, as the user gave it, and of values given by another flag (`float16=True`: "--dtype float16"),
# from the parsers that have run.
given_flags: Dict[str, str] = {}

_SWITCH_VALUES = ("0", "1")
_LIKE_SWITCH_VALUES = _SWITCH_VALUES + ("yes", "no", "true", "false", "on", "off")
_NUMBER = re.compile(r"-\.?\d")
_WITH_ALIASES = re.compile(r"(--[\w-]+)(?:/--[\w-]+)+")


def switch(text: str) -> bool:
    """Return True for "1" and False for "0"."""
    if text not in _SWITCH_VALUES:
        raise argparse.ArgumentTypeError(f"{text or repr(text)}: give 0 or 1")
    return text == "1"


def _help_formatter(name: str) -> Type[argparse.HelpFormatter]:
    class Formatter(argparse.RawDescriptionHelpFormatter):
        def _fill_text(self, text: str, width: int, indent: str) -> str:
            return super()._fill_text(fill_in_commands(text, name), width, indent)

        def _get_help_string(self, action: argparse.Action) -> Optional[str]:
            if not action.help:
                return action.help
            aliases = action.option_strings[_own_flags(action) :]
            return fill_in_commands(action.help, name) + (f"; also {', '.join(aliases)}" if aliases else "")

        def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
            text = super()._format_args(action, default_metavar)
            return f"[{text}]" if action.type is switch else text

        def _format_action_invocation(self, action: argparse.Action) -> str:
            flags = action.option_strings[: _own_flags(action)]
            if not flags or action.nargs == 0:
                return super()._format_action_invocation(action)
            return f"{', '.join(flags)} {self._format_args(action, self._get_default_metavar_for_optional(action))}"

    return Formatter


def _own_flags(action: argparse.Action) -> int:
    """Return the number of flags of an action that are not aliases: the short one and the first long one."""
    long = [place for place, flag in enumerate(action.option_strings) if flag.startswith("--")]
    return long[0] + 1 if long else len(action.option_strings)


class _Version(argparse.Action):
    """Print the versions of this package, Python and MXNet, and exit; MXNet is not imported."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from ..machine.packages import BUILDS

        builds = [f"{name} {installed_version(name)}" for name in BUILDS if installed_version(name)]
        mxnet = f"MXNet {', '.join(builds)}" if builds else "MXNet not installed by pip"
        print(f"resattnet {__version__}, Python {platform.python_version()}, {mxnet}")
        sys.exit(0)


class ArgumentParser(argparse.ArgumentParser):
    """Parse a command line; exit with code 2 and one line on stderr, `PROGRAM: --flag value: ...`, if it is wrong.

    Flags cannot be abbreviated. A switch without a value is 1, and `--no-NAME` sets the switch `--NAME` to 0.

    Parameters
    ----------
    name : str
        The command. Descriptions and help texts show it for `{command}` as the user called it, and other commands for
        `{command NAME}`.
    kwargs
        Further arguments of `argparse.ArgumentParser`.
    """

    def __init__(self, name: str = "", **kwargs: Any) -> None:
        defaults: Dict[str, Any] = {"prog": program(), "formatter_class": _help_formatter(name), "allow_abbrev": False}
        super().__init__(**{**defaults, **kwargs})
        if self.add_help:
            self.add_argument(
                "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="show the versions and exit"
            )
        self._flags: Dict[str, str] = {}
        self._unknown: List[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does, and note the flags, by which `run` shows the parameters that an error names."""
        words = list(sys.argv[1:] if args is None else args)
        self._note_flags(words)
        parsed, others = super().parse_known_args(self._with_values(words), namespace)
        for (name, value), (meant, setting) in VALUES.items():
            if getattr(parsed, name, None) == value and meant in self._flags and not hasattr(parsed, meant):
                self._flags[f"{meant}={setting}"] = f"{self._flags[name]} {value}"
                self._flags[meant] = self._flags[name]
        self._publish_flags()
        return parsed, others

    def _publish_flags(self) -> None:
        given_flags.clear()
        given_flags.update(self._flags)

    def _note_flags(self, words: Sequence[str]) -> None:
        """Note the flag of each option, as it is given if it is, and the words that are flags of no option."""
        self._flags = {
            action.dest: action.option_strings[_own_flags(action) - 1]
            for action in self._actions
            if action.option_strings
        }
        self._unknown = []
        for word in words:
            if word == "--":
                break
            flag, _, value = word.partition("=")
            flag = flag if flag.startswith("--") else word[:2]
            action = self._option_string_actions.get(flag)
            if action:
                self._flags[action.dest] = flag
            elif flag.startswith("--") and " " not in word and not self._negated(flag):
                self._unknown.append(flag)

    def _negated(self, flag: str) -> Optional[argparse.Action]:
        """Return the action of the switch that a flag such as `--no-mix-up` sets to 0; None for other flags."""
        action = self._option_string_actions.get("--" + flag[5:]) if flag.startswith("--no-") else None
        is_negated = action is not None and action.type is switch and flag not in self._option_string_actions
        return action if is_negated else None

    def _with_values(self, words: Sequence[str]) -> List[str]:
        """Return the words with a value for each flag that may be given without one: `--mix-up=1` for `--mix-up`."""
        written: List[str] = []
        for place, word in enumerate(words):
            if word == "--":
                return written + list(words[place:])
            if self._negated(word):
                written.append(f"--{word[5:]}=0")
            elif self._negated(word.partition("=")[0]):
                flag, _, value = word.partition("=")
                self.error(f"argument {flag}: {value or repr(value)}: this flag takes no value")
            else:
                bare = self._bare_value(word)
                if bare is None or self._is_value(word, words[place + 1 : place + 2]):
                    written.append(word)
                else:
                    written.append(f"{word}={bare}")
        return written

    def _bare_value(self, flag: str) -> Optional[str]:
        """Return the value that a flag has if none follows; None if one must follow."""
        action = self._option_string_actions.get(flag)
        if action is None:
            return None
        return "1" if action.type is switch else BARE.get(flag)

    def _is_value(self, flag: str, following: Sequence[str]) -> bool:
        """Return whether the word that follows a flag, if there is one, is the flag's value.

        In a command with positional arguments, it is one only if it looks like one: `--grad-cam photo.jpg` is a bare
        flag and an image.
        """
        if not following or (following[0].startswith("-") and not _NUMBER.match(following[0])):
            return False
        word = following[0]
        if all(action.option_strings for action in self._actions):
            return True
        if self._option_string_actions[flag].type is switch:
            return word.lower() in _LIKE_SWITCH_VALUES
        return word.endswith(".params") or ("." not in word and not os.path.exists(word))

    def _get_values(self, action: argparse.Action, arg_strings: List[str]) -> Any:
        if action.option_strings and "--" in arg_strings:  # as in `--name=--`, which argparse itself fails on
            raise argparse.ArgumentError(action, "--: give a value")
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one line that says what is wrong, with a hint at the flag that an unknown one means."""
        self.exit(2, f"{self.prog}: {one_line(self._explain(message))}\n")

    def _explain(self, message: str) -> str:
        if self._unknown and message.startswith("the following arguments are required"):
            message = f"unrecognized arguments: {' '.join(self._unknown)}"
        unknown = re.match(r"unrecognized arguments: (-[^\s=]+)", message)
        hint = self._hint(unknown.group(1)) if unknown else ""
        found = re.match(r"argument (\S+): ", message)
        action = self._option_string_actions.get(found.group(1).split("/")[0]) if found else None
        if found and action:
            advice = f"; {NUMBERS[action.dest]}" if action.dest in NUMBERS and message.endswith("give 0 or 1") else ""
            return f"{self._flags[action.dest]} {message[found.end() :]}{advice}"
        return _WITH_ALIASES.sub(r"\1", re.sub(r"^argument (\S+): ", r"\1 ", message)) + hint

    def _hint(self, flag: str) -> str:
        """Return the end of the message about an unknown flag: the flag that means it, else the most similar one."""
        meant = meaning(flag, self._option_string_actions)
        if meant:
            return f"; {meant}"
        nearest = nearest_names(flag, self._option_string_actions, 1, 0.6)
        return f"; did you mean {nearest[0]}?" if nearest else ""


class WordParser(ArgumentParser):
    """Parse words that are not this process's command line; a wrong word is an `InputError`."""

    def _publish_flags(self) -> None:
        for name, flag in self._flags.items():
            given_flags.setdefault(name, flag)

    def error(self, message: str) -> NoReturn:
        """Raise InputError with what is wrong."""
        raise InputError(self._explain(message))
