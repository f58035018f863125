"""What methods suggest, explored and checked without Optuna's storage or a study."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from ..datasets.errors import UsageError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Value = bool | int | float | str | None
"""What a trial can suggest."""

LEARNING_RATE = "learning_rate"

NONE = "none"
"""What stands in a study file, which has no None, for a choice that is None."""

_BRANCHES = 256

_TAKEN = {
    LEARNING_RATE: "training.learning_rate is searched with every method, so leave it out",
    **dict.fromkeys(
        ("name", "label", "settings"), "the table that sets it has such a field, so rename it"
    ),
}


def check_setting(name: object) -> None:
    """Raise ``UsageError`` if a study file could not set an option or hyperparameter so called."""
    if not isinstance(name, str) or not name or "." in name:
        raise UsageError(f"{name!r} cannot be the name of an option: use letters, digits and _")
    if name in _TAKEN:
        raise UsageError(f"{name!r} cannot be the name of an option: {_TAKEN[name]}")


def check_distinct(name: str, choices: Sequence[object]) -> None:
    """Raise ``UsageError`` if a list to choose from names a value twice; 1 and 1.0 are equal."""
    for i, choice in enumerate(choices):
        if choice in choices[:i]:
            raise UsageError(
                f"{name} = {list(choices)!r} names {choice!r} twice: leave one of them out"
            )


def survey(
    suggest: "Callable[[BaseTrial], Mapping[str, object]]",
    narrow: "Callable[[BaseTrial], BaseTrial]" = lambda trial: trial,
) -> None:
    """Check a method's suggestions at the middle and both ends of ranges, on all branches.

    Args:
        suggest: Takes a trial, and returns hyperparameters by name.
        narrow: Puts a trial with the limits of a study before the trial that decides.

    Raises:
        UsageError: A suggestion is impossible, or differs from an earlier one.
    """
    spaces: dict[str, BaseDistribution] = {}

    def checked(trial: "BaseTrial") -> None:
        for name in suggest(cast("BaseTrial", CheckedTrial(narrow(trial), spaces))):
            check_setting(name)

    for share in (0.5, 0.0, 1.0):
        for _ in branches(checked, share):
            pass


def branches(
    suggest: "Callable[[BaseTrial], object]", share: float = 0.5
) -> "Iterator[MiddleTrial]":
    """Yield a trial for each branch that choices open, after ``suggest`` has asked it.

    ``share`` says which end of ranges the trials take, see ``MiddleTrial``.
    """
    pending: list[dict[str, Value]] = [{}]
    for _ in range(_BRANCHES):
        if not pending:
            break
        decided = pending.pop()
        trial = MiddleTrial(decided, share)
        suggest(cast("BaseTrial", trial))
        before = dict(decided)
        for name, others in trial.others.items():
            pending += [{**before, name: other} for other in others]
            before[name] = trial.values[name]
        yield trial


class CheckedTrial:
    """A trial that refuses what cannot be searched, before it asks another trial.

    Args:
        trial: The other trial.
        spaces: Ranges and lists of choices by name, as far as suggested; more are added.
    """

    def __init__(self, trial: "BaseTrial", spaces: "dict[str, BaseDistribution]") -> None:
        self._trial = trial
        self._spaces = spaces

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """See ``optuna.trial.Trial.suggest_float``."""
        self._declare(name, lambda optuna: optuna.FloatDistribution(low, high, log, step))
        return self._trial.suggest_float(name, low, high, step=step, log=log)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """See ``optuna.trial.Trial.suggest_int``."""
        self._declare(name, lambda optuna: optuna.IntDistribution(low, high, log, step))
        return self._trial.suggest_int(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """See ``optuna.trial.Trial.suggest_categorical``."""
        _check_choices(name, choices)
        self._declare(name, lambda optuna: optuna.CategoricalDistribution(choices))
        return self._trial.suggest_categorical(name, choices)

    def _declare(self, name: str, make: "Callable[[ModuleType], BaseDistribution]") -> None:
        from optuna import distributions

        check_setting(name)
        with warnings.catch_warnings():
            # A range that its step does not divide is shortened.
            warnings.simplefilter("ignore")
            space = make(distributions)
        before = self._spaces.setdefault(name, space)
        if before != space:
            raise UsageError(
                f"`space` suggests {name!r} from {_written(before)} and from {_written(space)}: "
                "a hyperparameter has one range or list in every call, so give each its own name"
            )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)


class MiddleTrial:
    """A trial that takes the middle of ranges, decided choices, and the first of other lists.

    Args:
        decided: Choices by name.
        share: 0 to take the lower ends of ranges instead of the middle, 1 for the upper ones.

    Attributes:
        values: Values by name.
        others: By name, the choices that were neither taken nor decided.
    """

    def __init__(self, decided: Mapping[str, Value] | None = None, share: float = 0.5) -> None:
        self._decided = decided or {}
        self._share = share
        self.values: dict[str, Value] = {}
        self.others: dict[str, list[Value]] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """See ``optuna.trial.Trial.suggest_float``."""
        middle = (low * high) ** 0.5 if log else low if step else (low + high) / 2
        return self._number(name, low, middle, high)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """See ``optuna.trial.Trial.suggest_int``."""
        middle = low if step > 1 else round((low * high) ** 0.5 if log else (low + high) / 2)
        return int(self._number(name, low, middle, high))

    def _number(self, name: str, low: float, middle: float, high: float) -> float:
        value = {0.0: low, 1.0: high}.get(self._share, middle)
        return float(cast("float", self.values.setdefault(name, value)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """See ``optuna.trial.Trial.suggest_categorical``."""
        if name not in self.values:
            self.values[name] = self._decided.get(name, choices[0])
            if name not in self._decided:
                self.others[name] = list(choices[1:])
        return self.values[name]

    def set_user_attr(self, key: str, value: object) -> None:
        """Ignore an attribute."""


def _written(space: "BaseDistribution") -> str:
    """Show a range or a list of choices of Optuna."""
    arguments = [f"{key}={value!r}" for key, value in vars(space).items() if value]
    return f"{type(space).__name__.removesuffix('Distribution').lower()} ({', '.join(arguments)})"


def _check_choices(name: str, choices: Sequence[object]) -> None:
    for choice in choices:
        infinite = isinstance(choice, float) and choice - choice != 0
        if infinite or not isinstance(choice, Value):
            raise UsageError(
                f"`space` offers {choice!r} as a choice of {name!r}: choices are finite numbers, "
                "strings, True, False and None; suggest a name, and look the rest up in `loss`"
            )
    check_distinct(name, choices)
    if None in choices and NONE in choices:
        raise UsageError(
            f"`space` offers None and {NONE!r} as choices of {name!r}, which a study file cannot "
            "tell apart: rename the string"
        )
