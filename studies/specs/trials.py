"""Leaves of a study, chosen by Optuna's trials: ranges are searched, values are fixed."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from ...bench.spec import Option
from ...datasets.errors import UsageError
from ...methods.space import NONE
from .entries import Choices, Leaf, Range, ends

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


def suggest(trial: "BaseTrial", name: str, leaf: Leaf, form: object) -> Option:
    """Let a trial choose a value of a leaf of type ``form``; a fixed value is returned unasked.

    Raises:
        UsageError: A value of the leaf is of another type.
    """
    match leaf:
        case Range(low=low, high=high, log=log, step=step) if form is int:
            low, high, step = (_whole(name, number) for number in (low, high, step or 1))
            first, last = _on_steps(name, low, high, step)
            return trial.suggest_int(name, int(first), int(last), step=step, log=log)
        case Range(low=low, high=high, log=log, step=step):
            if step is not None:
                low, high = _on_steps(name, low, high, step)
            return trial.suggest_float(name, low, high, step=step, log=log)
        case Choices(choices=choices):
            values: list[Any] = [typed(name, choice, form) for choice in choices]
            if any(isinstance(value, tuple) for value in values):
                raise UsageError(f"{name}: a list cannot be one of the values to choose from")
            chosen: Any = trial.suggest_categorical(name, values)
            return typed(name, chosen, form)
        case value:
            return typed(name, value, form)


def _on_steps(
    name: str, low: float, high: float, step: float, start: float | None = None
) -> tuple[float, float]:
    """Give the first and the last of the values start + k·step (default: low) in a range."""
    # As decimals, so that 0.1 + 2·0.1 is 0.3.
    origin, stride = Decimal(str(low if start is None else start)), Decimal(str(step))
    first = math.ceil((Decimal(str(low)) - origin) / stride)
    last = math.floor((Decimal(str(high)) - origin) / stride)
    if first > last:
        raise UsageError(
            f"{name} moves in steps of {step:g} from {origin:g}, and none of its values lies from "
            f"{low:g} to {high:g}: widen the range, or give it a step"
        )
    return float(origin + first * stride), float(origin + last * stride)


def typed(name: str, value: Option, form: object) -> Option:
    """Convert a value to the type that a leaf has.

    Raises:
        UsageError: The value is of another type.
    """
    if form is int:
        return _whole(name, value)
    if form is float:
        if not _is_number(value):
            raise UsageError(f"{name} = {_shown(value)}: should be a number")
        return float(value)
    if form in (bool, str) and not isinstance(value, form):
        what = "true or false" if form is bool else "a string"
        raise UsageError(f"{name} = {_shown(value)}: should be {what}")
    if form in (tuple, list) and not isinstance(value, tuple):
        raise UsageError(f"{name} = {_shown(value)}: should be a list")
    return value


def _whole(name: str, value: object) -> int:
    if not _is_number(value) or value != int(value):
        raise UsageError(f"{name} = {_shown(value)}: should be a whole number")
    return int(value)


def _shown(value: object) -> str:
    return repr(list(value) if isinstance(value, tuple) else value)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


Beyond = dict[tuple[str, int | float], str]


class NarrowedTrial:
    """A trial as a method sees it: fixed values are returned, open leaves replace its own ranges.

    Args:
        trial: Chooses the values.
        settings: The leaves of the study.

    Attributes:
        settings: The leaves of the study.
        constants: Hyperparameters that the study does not set and whose ends are equal: they have
            that value, and the trial is not asked.
        beyond: The method's own ranges, by name and value of the study outside of them.
    """

    def __init__(self, trial: "BaseTrial", settings: Mapping[str, Leaf]) -> None:
        self._trial = trial
        self.settings = settings
        self.constants: dict[str, Option] = {}
        self.beyond: Beyond = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """See ``optuna.trial.Trial.suggest_float``."""
        if name in self.settings:
            leaf = self._narrowed(name, low, high, step, float)
            return cast("float", suggest(self._trial, name, leaf, float))
        if low == high:
            return cast("float", self.constants.setdefault(name, float(low)))
        return self._trial.suggest_float(name, low, high, step=step, log=log)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """See ``optuna.trial.Trial.suggest_int``."""
        if name in self.settings:
            leaf = self._narrowed(name, low, high, step if step > 1 else None, int)
            return cast("int", suggest(self._trial, name, leaf, int))
        if low == high:
            return cast("int", self.constants.setdefault(name, low))
        return self._trial.suggest_int(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """See ``optuna.trial.Trial.suggest_categorical``."""
        numbers = [choice for choice in choices if _is_number(choice)]
        match self.settings.get(name):
            case None:
                return self._trial.suggest_categorical(name, choices)
            case Range() as given:
                # Choices among numbers may be narrowed to an interval; others have no order.
                inside = [number for number in numbers if given.low <= number <= given.high]
                if not inside:
                    raise UsageError(f"{name} is one of {_listed(choices)}, not a range")
                return self._trial.suggest_categorical(name, inside)
            case Choices(choices=given_choices):
                allowed = [_chosen(name, value, choices) for value in given_choices]
                self._note_beyond(name, allowed, numbers)
                return self._trial.suggest_categorical(name, allowed)
            case value:
                chosen = _chosen(name, value, choices)
                self._note_beyond(name, [chosen], numbers)
                return chosen

    def fixed(self, name: str, default: Option) -> Option:
        """Give an option that is not searched: its value in the study, or the default."""
        leaf = self.settings.get(name, default)
        if isinstance(leaf, Range | Choices):
            raise UsageError(f"{name} is not searched: give it one value")
        value = typed(name, leaf, type(default))
        if name not in self.settings:
            self.constants[name] = value
        return value

    def _narrowed(
        self, name: str, low: float, high: float, step: float | None, form: object
    ) -> Leaf:
        """Give the leaf of the study for a range of the method, on the steps of the method."""
        leaf = self.settings[name]
        self._note_beyond(name, [typed(name, end, form) for end in ends(leaf)], [low, high])
        if step is None or not isinstance(leaf, Range) or leaf.step is not None:
            return leaf
        if leaf.log:
            raise UsageError(
                f"{name} moves in steps of {step:g}, which a logarithmic range has not: leave out "
                "log, or give a list"
            )
        first, last = _on_steps(name, leaf.low, leaf.high, step, low)
        return leaf.model_copy(update={"low": first, "high": last, "step": step})

    def _note_beyond(self, name: str, values: Sequence[Any], own: Sequence[float]) -> None:
        for value in filter(_is_number, values):
            if own and not min(own) <= value <= max(own):
                ends_of_own = sorted({min(own), max(own)})
                self.beyond[name, value] = " to ".join(f"{end:g}" for end in ends_of_own)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)


def _chosen(name: str, value: Leaf, choices: Sequence[Any]) -> Any:
    if value == NONE and None in choices:
        return None
    numbers = [choice for choice in choices if choice is not None]
    if _is_number(value) and numbers and all(_is_number(number) for number in numbers):
        # The listed numbers are what the search tries; a fixed one may well be another.
        return _whole(name, value) if all(isinstance(n, int) for n in numbers) else float(value)
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    raise UsageError(f"{name} = {_shown(value)}: should be one of {_listed(choices)}")


def _listed(choices: Sequence[object]) -> str:
    return ", ".join(repr(NONE if choice is None else choice) for choice in choices)
