"""What is left to search once the study's own values and ranges are applied to a method."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ...bench.spec import Option
from ...datasets.errors import UsageError
from ..engine import Engine
from .entries import Choices, Entry, Range, Setting
from .spec import StudySpec
from .sweep import SAMPLER, Swept, swept_field, swept_options

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

LEARNING_RATE = "learning_rate"

_BRANCHES = 256


class Proposal(NamedTuple):
    """One configuration.

    Attributes:
        options: The method's hyperparameters.
        learning_rate: Adam's step size.
        chosen: Values of swept fields, by dotted name.
    """

    options: dict[str, Option]
    learning_rate: float
    chosen: dict[str, Option]


class Common(NamedTuple):
    """What a study says of all methods' searches.

    Attributes:
        learning_rate: Adam's step size, or a range or list of it.
        swept: Further fields that are searched, by dotted name.
    """

    learning_rate: float | Range | Choices
    swept: dict[str, Swept]


def common(engine: Engine, study: StudySpec, sampler: str) -> Common:
    """What is searched beside hyperparameters where a sampler is used.

    Args:
        engine: Where samplers are found.
        study: The study.
        sampler: Label of the sampler.
    """
    swept = {name: swept_field(name, given) for name, given in study.swept.items()}
    entry = next(entry for entry in study.samplers if entry.label == sampler)
    opens = any(isinstance(given, Range | Choices) for given in entry.settings.values())
    options = swept_options(entry, _defaults(engine, entry)) if opens else {}
    swept |= {f"{SAMPLER}.{name}": one for name, one in options.items()}
    return Common(study.training.learning_rate, swept)


def _defaults(engine: Engine, entry: Entry) -> dict[str, Any]:
    return {name: one.default for name, one in engine.options("sampler", entry.name).items()}


def propose(engine: Engine, entry: Entry, shared: Common, trial: "BaseTrial") -> Proposal:
    """Let a method suggest its hyperparameters, within what the study says of them.

    Args:
        engine: Where methods are found.
        entry: The method's entry in the study.
        shared: What is searched besides.
        trial: Decides what is left free.

    Raises:
        UsageError: A setting does not suit its hyperparameter.
    """
    view = Settled(trial, entry.settings)
    options = engine.space(entry.name, cast("BaseTrial", view))
    rate = entry.settings.get(LEARNING_RATE, shared.learning_rate)
    if isinstance(rate, Range | Choices) or LEARNING_RATE in entry.settings:
        searched = Settled(trial, {LEARNING_RATE: rate})
        rate = searched.suggest_float(LEARNING_RATE, 1e-4, 1e-2, log=True)
    chosen = {name: swept.suggest(trial, name) for name, swept in shared.swept.items()}
    return Proposal(options, float(rate), chosen)


class Settled:
    """A trial as a method sees it: settled values are returned, settled ranges replace its own.

    Attributes:
        constants: What the method suggested between two equal ends and nothing settled: it has
            that value, and the trial hears nothing of it.
    """

    def __init__(self, trial: "BaseTrial", settings: Mapping[str, Setting]) -> None:
        self._trial = trial
        self._settings = settings
        self.constants: dict[str, Any] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """See ``optuna.trial.Trial.suggest_float``."""
        match self._settings.get(name):
            case None if low == high:
                return float(self.constants.setdefault(name, low))
            case None:
                return self._trial.suggest_float(name, low, high, step=step, log=log)
            case Range() as given:
                return self._trial.suggest_float(name, given.low, given.high, log=given.log)
            case Choices(choices=choices):
                numbers = [_number(name, value) for value in choices]
                return float(self._trial.suggest_categorical(name, numbers))
            case value:
                return _number(name, value)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """See ``optuna.trial.Trial.suggest_int``."""
        match self._settings.get(name):
            case None if low == high:
                return int(self.constants.setdefault(name, low))
            case None:
                return self._trial.suggest_int(name, low, high, step=step, log=log)
            case Range() as given:
                ends = _whole(name, given.low), _whole(name, given.high)
                return self._trial.suggest_int(name, *ends, log=given.log)
            case Choices(choices=choices):
                numbers = [_whole(name, value) for value in choices]
                return int(self._trial.suggest_categorical(name, numbers))
            case value:
                return _whole(name, value)

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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(name: str, value: Any) -> float:
    if not _is_number(value):
        raise UsageError(f"{name} = {value!r}: should be a number")
    return float(value)


def _whole(name: str, value: Any) -> int:
    if not _is_number(value) or value != int(value):
        raise UsageError(f"{name} = {value!r}: should be a whole number")
    return int(value)


def _chosen(name: str, value: Any, choices: Sequence[Any]) -> Any:
    if _is_number(value) and all(_is_number(choice) for choice in choices):
        # The listed numbers are what the search tries; a fixed one may well be another.
        return _whole(name, value) if all(isinstance(c, int) for c in choices) else float(value)
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    raise UsageError(f"{name} = {value!r}: should be one of {_listed(choices)}")


def _listed(choices: Sequence[Any]) -> str:
    return ", ".join(repr(choice) for choice in choices)


class Found(NamedTuple):
    """What ``explore`` learns of a method.

    Attributes:
        names: Every hyperparameter that some branch of the space suggests, with an example value.
        free: Those that the study leaves open.
    """

    names: dict[str, Option]
    free: list[str]


def explore(engine: Engine, entry: Entry, shared: Common) -> Found:
    """Walk through a method's search space, every branch that a choice opens.

    Raises:
        UsageError: A setting does not suit its hyperparameter.
    """
    own, constants = _walk(engine, entry.model_copy(update={"settings": {}}))
    names = {LEARNING_RATE: 1e-3, **own, **constants}
    free = list(_walk(engine, entry)[0])
    rate = entry.settings.get(LEARNING_RATE, shared.learning_rate)
    if isinstance(rate, Range | Choices):
        free.append(LEARNING_RATE)
    example(engine, entry, shared)
    return Found(names, free + list(shared.swept))


def example(engine: Engine, entry: Entry, shared: Common) -> Proposal:
    """A configuration that the study allows: what it fixes, and the middle of the rest.

    Raises:
        UsageError: A setting does not suit its hyperparameter.
    """
    return propose(engine, entry, shared, cast("BaseTrial", _Probe({})))


def _walk(engine: Engine, entry: Entry) -> tuple[dict[str, Option], dict[str, Option]]:
    """Over all branches of the space what is suggested to a trial, and what is constant."""
    found: dict[str, Option] = {}
    constants: dict[str, Option] = {}
    pending: list[dict[str, Any]] = [{}]
    for _ in range(_BRANCHES):
        if not pending:
            break
        decided = pending.pop()
        probe = _Probe(decided)
        view = Settled(cast("BaseTrial", probe), entry.settings)
        engine.space(entry.name, cast("BaseTrial", view))
        constants |= view.constants
        found |= {name: value for name, value in probe.values.items() if name not in found}
        before = dict(decided)
        for name, others in probe.others.items():
            pending += [{**before, name: other} for other in others]
            before[name] = probe.values[name]
    return found, constants


class _Probe:
    """A trial that takes the middle of ranges and, unless told otherwise, the first choice."""

    def __init__(self, decided: Mapping[str, Any]) -> None:
        self._decided = decided
        self.values: dict[str, Any] = {}
        self.others: dict[str, list[Any]] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        middle = (low * high) ** 0.5 if log else low if step else (low + high) / 2
        return float(self.values.setdefault(name, middle))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        middle = low if step > 1 else round((low * high) ** 0.5 if log else (low + high) / 2)
        return int(self.values.setdefault(name, middle))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name not in self.values:
            self.values[name] = self._decided.get(name, choices[0])
            if name not in self._decided:
                self.others[name] = list(choices[1:])
        return self.values[name]

    def set_user_attr(self, key: str, value: Any) -> None:
        """Nothing is kept."""
