"""Leaves of a study, chosen by Optuna's trials: ranges are searched, values are fixed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...bench.spec import Option
from ...datasets.errors import UsageError
from .entries import Choices, Leaf, Range

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


def suggest(trial: "BaseTrial", name: str, leaf: Leaf, form: object) -> Option:
    """Let a trial choose a value of a leaf of type ``form``; a fixed value is returned unasked.

    Raises:
        UsageError: A value of the leaf is of another type.
    """
    match leaf:
        case Range(low=low, high=high, log=log) if form is int:
            return trial.suggest_int(name, _whole(name, low), _whole(name, high), log=log)
        case Range(low=low, high=high, log=log):
            return trial.suggest_float(name, low, high, log=log)
        case Choices(choices=choices):
            values = [typed(name, choice, form) for choice in choices]
            chosen: Any = trial.suggest_categorical(name, values)
            return typed(name, chosen, form)
        case value:
            return typed(name, value, form)


def typed(name: str, value: Option, form: object) -> Option:
    """Convert a value to the type that a leaf has.

    Raises:
        UsageError: The value is of another type.
    """
    if form is int:
        return _whole(name, value)
    if form is float:
        if not _is_number(value):
            raise UsageError(f"{name} = {value!r}: should be a number")
        return float(value)
    if form in (bool, str) and not isinstance(value, form):
        what = "true or false" if form is bool else "a string"
        raise UsageError(f"{name} = {value!r}: should be {what}")
    return value


def _whole(name: str, value: Option) -> int:
    if not _is_number(value) or value != int(value):
        raise UsageError(f"{name} = {value!r}: should be a whole number")
    return int(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class NarrowedTrial:
    """A trial as a method sees it: fixed values are returned, open leaves replace its own ranges.

    Attributes:
        constants: Hyperparameters that the study does not set and whose ends are equal: they have
            that value, and the trial is not asked.
    """

    def __init__(self, trial: "BaseTrial", settings: Mapping[str, Leaf]) -> None:
        self._trial = trial
        self._settings = settings
        self.constants: dict[str, Option] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """See ``optuna.trial.Trial.suggest_float``."""
        if name in self._settings:
            return float(suggest(self._trial, name, self._settings[name], float))
        if low == high:
            return float(self.constants.setdefault(name, low))
        return self._trial.suggest_float(name, low, high, step=step, log=log)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """See ``optuna.trial.Trial.suggest_int``."""
        if name in self._settings:
            return int(suggest(self._trial, name, self._settings[name], int))
        if low == high:
            return int(self.constants.setdefault(name, low))
        return self._trial.suggest_int(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """See ``optuna.trial.Trial.suggest_categorical``."""
        match self._settings.get(name):
            case None:
                return self._trial.suggest_categorical(name, choices)
            case Range() as given:
                # Choices among numbers may be narrowed to an interval; others have no order.
                inside = [c for c in choices if _is_number(c) and given.low <= c <= given.high]
                if not inside:
                    raise UsageError(f"{name} is one of {_listed(choices)}, not a range")
                return self._trial.suggest_categorical(name, inside)
            case Choices(choices=given_choices):
                allowed = [_chosen(name, value, choices) for value in given_choices]
                return self._trial.suggest_categorical(name, allowed)
            case value:
                return _chosen(name, value, choices)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)


def _chosen(name: str, value: Any, choices: Sequence[Any]) -> Any:
    if _is_number(value) and all(_is_number(choice) for choice in choices):
        # The listed numbers are what the search tries; a fixed one may well be another.
        return _whole(name, value) if all(isinstance(c, int) for c in choices) else float(value)
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    raise UsageError(f"{name} = {value!r}: should be one of {_listed(choices)}")


def _listed(choices: Sequence[object]) -> str:
    return ", ".join(repr(choice) for choice in choices)


class MiddleTrial:
    """A trial that takes the middle of ranges, decided choices, and the first of other lists.

    Attributes:
        values: Values by name.
        others: By name, the choices that were neither taken nor decided.
    """

    def __init__(self, decided: Mapping[str, Option] | None = None) -> None:
        self._decided = decided or {}
        self.values: dict[str, Option] = {}
        self.others: dict[str, list[Option]] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """See ``optuna.trial.Trial.suggest_float``."""
        middle = (low * high) ** 0.5 if log else low if step else (low + high) / 2
        return float(self.values.setdefault(name, middle))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """See ``optuna.trial.Trial.suggest_int``."""
        middle = low if step > 1 else round((low * high) ** 0.5 if log else (low + high) / 2)
        return int(self.values.setdefault(name, middle))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """See ``optuna.trial.Trial.suggest_categorical``."""
        if name not in self.values:
            self.values[name] = self._decided.get(name, choices[0])
            if name not in self._decided:
                self.others[name] = list(choices[1:])
        return self.values[name]

    def set_user_attr(self, key: str, value: object) -> None:
        """Ignore an attribute."""
