"""State which options exclude, need or limit each other.

The rules of a command are one table, `Options.rules`. Two readers walk it: the check of an options class, and the merge
of options given now into older ones (`run_options.resume.merge_options`). Where a rule is broken, the check raises
`InputError`; the merge replaces the option that was not given.

`values` and `defaults` hold all options of a command by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from ..system.errors import InputError
from .fields import LIMITS, assignment

Values = Mapping[str, Any]
_DEFAULT = object()


@dataclass(frozen=True)
class When:
    """A setting of an option.

    `When("lr")` holds if `lr` differs from its default, `When("mask", "none")` if `mask` is "none", and
    `When("num_cpus", above=1)` if `num_cpus` is greater than 1.

    Attributes
    ----------
    name : str
        The option.
    value : object
        The value for which the setting holds; default: all values but the option's default.
    above : float, optional
        Bound above which the setting holds.
    instead : object
        Value that a merge replaces the setting with; default: the option's default.
    """

    name: str
    value: Any = _DEFAULT
    above: Optional[float] = None
    instead: Any = _DEFAULT

    def holds(self, values: Values, defaults: Values) -> bool:
        """Return whether the option has this setting."""
        value = values[self.name]
        if self.above is not None:
            return value is not None and value > self.above
        if self.value is not _DEFAULT:
            return value == self.value
        return value != defaults[self.name]

    def written(self, defaults: Values) -> str:
        """Return the setting in backquotes: "`mix_up=True`", or "`teacher`" if many values have it."""
        if self.value is not _DEFAULT:
            return assignment(self.name, self.value)
        return assignment(self.name, True) if defaults[self.name] is False else f"`{self.name}`"

    def replacement(self, defaults: Values) -> Dict[str, Any]:
        """Return the option with the value that a merge gives it in place of this setting."""
        return {self.name: defaults[self.name] if self.instead is _DEFAULT else self.instead}


class Rule:
    """A relation between options."""

    def check(self, values: Values, defaults: Values) -> None:
        """Raise InputError if the values break the rule."""
        problem = self.problem(values, defaults)
        if problem:
            raise InputError(problem)

    def problem(self, values: Values, defaults: Values) -> Optional[str]:
        """Return how the values break the rule, as a message; None if they do not."""
        return None

    def resolve(self, values: Values, before: Values, given: Values, defaults: Values) -> Dict[str, Any]:
        """Return the options that a merge changes so that the values keep the rule.

        Options in `given` are never changed. If both sides of a rule are given, the check of the result raises.

        Parameters
        ----------
        values : mapping
            All options: `before`, updated with `given` and with what the rules before this one have changed.
        before : mapping
            All options without `given`.
        given : mapping
            The options that take precedence.
        defaults : mapping
        """
        raise NotImplementedError


class Conflict(Rule):
    """A setting that excludes each of several others.

    Parameters
    ----------
    one : When
    *others : When
    reason : str, optional
        Why, for the message.
    advice : str
        What to do, for the message.
    """

    def __init__(self, one: When, *others: When, reason: str = "", advice: str = "give one of them") -> None:
        self.one, self.others, self.reason, self.advice = one, others, reason, advice

    def _broken_by(self, values: Values, defaults: Values) -> List[When]:
        if not self.one.holds(values, defaults):
            return []
        return [other for other in self.others if other.holds(values, defaults)]

    def problem(self, values: Values, defaults: Values) -> Optional[str]:
        others = self._broken_by(values, defaults)
        if not others:
            return None
        settings = " ".join(assignment(setting.name, values[setting.name]) for setting in [self.one, *others])
        return f"{settings}: {self.reason}; {self.advice}" if self.reason else f"{settings}: {self.advice}"

    def resolve(self, values: Values, before: Values, given: Values, defaults: Values) -> Dict[str, Any]:
        others = self._broken_by(values, defaults)
        if others and self.one.name not in given:
            return self.one.replacement(defaults)
        changes: Dict[str, Any] = {}
        for other in others:
            if other.name not in given:
                changes.update(other.replacement(defaults))
        return changes


class Need(Rule):
    """A setting that has no effect, or a wrong one, unless at least one of several others holds.

    Parameters
    ----------
    setting : When
    *others : When
    reason : str, optional
        Why, for the message.
    words : str
        What the message says between the setting and the others.
    """

    def __init__(self, setting: When, *others: When, reason: str = "", words: str = "has no effect without") -> None:
        self.setting, self.others, self.reason, self.words = setting, others, reason, words

    def problem(self, values: Values, defaults: Values) -> Optional[str]:
        if not self.setting.holds(values, defaults) or any(other.holds(values, defaults) for other in self.others):
            return None
        name = self.setting.name
        others = " or ".join(other.written(defaults) for other in self.others)
        message = f"{assignment(name, values[name])} {self.words} {others}"
        return f"{message}: {self.reason}" if self.reason else message

    def resolve(self, values: Values, before: Values, given: Values, defaults: Values) -> Dict[str, Any]:
        if self.setting.name in given or not self.problem(values, defaults):
            return {}
        return self.setting.replacement(defaults)


Bound = Union[str, Callable[[Values], float]]


@dataclass(frozen=True)
class Within(Rule):
    """A number, or each number of a list, that must stay within limits which other options set.

    Attributes
    ----------
    name : str
        The option. None is within all limits.
    reason : str
        The message; `{low}`, `{above}`, `{high}` and `{below}` in it stand for the limits.
    low, above, high, below : str or callable, optional
        Limits, as in `options.option`: the name of an option, or a function of all options.
    """

    name: str
    reason: str
    low: Optional[Bound] = None
    above: Optional[Bound] = None
    high: Optional[Bound] = None
    below: Optional[Bound] = None

    def _limits(self, values: Values) -> Dict[str, float]:
        bounds = {limit: getattr(self, limit) for limit in LIMITS}
        return {
            limit: bound(values) if callable(bound) else values[bound]
            for limit, bound in bounds.items()
            if bound is not None
        }

    def _split(self, values: Values) -> Tuple[List[Any], List[Any]]:
        """Return the numbers of the option that are within the limits, and all of them."""
        value, limits = values[self.name], self._limits(values)
        if value is None:
            return [], []
        numbers = list(value) if isinstance(value, (tuple, list)) else [value]
        return [one for one in numbers if all(LIMITS[key][0](one, limits[key]) for key in limits)], numbers

    def problem(self, values: Values, defaults: Values) -> Optional[str]:
        within, numbers = self._split(values)
        if within == numbers:
            return None
        return f"{assignment(self.name, values[self.name])}: {self.reason.format(**self._limits(values))}"

    def resolve(self, values: Values, before: Values, given: Values, defaults: Values) -> Dict[str, Any]:
        within, numbers = self._split(values)
        if self.name in given or within == numbers:
            return {}
        if isinstance(values[self.name], (tuple, list)) and within:
            return {self.name: tuple(within)}
        return {self.name: defaults[self.name]}


@dataclass(frozen=True)
class BelongsTo(Rule):
    """An option whose value is tied to those of other options: a merge that changes one of them resets it."""

    name: str
    others: Tuple[str, ...]

    def resolve(self, values: Values, before: Values, given: Values, defaults: Values) -> Dict[str, Any]:
        if self.name in given or all(values[other] == before[other] for other in self.others):
            return {}
        return {self.name: defaults[self.name]}


def merge_values(before: Values, given: Values, rules: Tuple[Rule, ...], defaults: Values) -> Dict[str, Any]:
    """Return options updated with those given, where options that were not given are replaced by the rules."""
    merged = dict(before, **given)
    for rule in rules:
        merged.update(rule.resolve(merged, before, given, defaults))
    return merged
