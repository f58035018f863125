"""Fields of a study that are searched like hyperparameters: of training, networks and samplers.

In a file such a field has a range or a list in place of its value. A study keeps the middle of the
range, or the first of the list, in the field itself, so that whatever needs a value has one, and
what is searched beside it, by dotted name.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from ...bench.spec import NetworkSpec, Option, Plugin, RunSpec, TrainingSpec
from ...datasets.errors import UsageError
from .entries import Choices, Entry, Range, reason, setting

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

SAMPLER = "sampler"

# Not swept: the kind of network decides what metrics and samplers have a meaning, a module of
# one's own has options instead, and the learning rate was searched before anything else was.
_FIXED = {"kind", "module", "options", "learning_rate"}

_TABLES: dict[str, type[BaseModel]] = {"training": TrainingSpec, "network": NetworkSpec}

FIELDS = {
    f"{table}.{name}": field.annotation
    for table, model in _TABLES.items()
    for name, field in model.model_fields.items()
    if name not in _FIXED
}
"""Fields that can be swept, by dotted name, with their types."""


class Swept(NamedTuple):
    """A field that is searched.

    Attributes:
        setting: Among which values.
        kind: Their type; ``float`` makes 1 and 1.0 the same run.
    """

    setting: Range | Choices
    kind: Any

    @property
    def middle(self) -> Option:
        """A value that stands for all: the middle of a range, the first of a list."""
        match self.setting:
            case Choices(choices=choices):
                return self._typed(choices[0])
            case Range(low=low, high=high, log=log):
                value = (low * high) ** 0.5 if log else (low + high) / 2
                return round(value) if self.kind is int else value

    @property
    def ends(self) -> tuple[Option, ...]:
        """The values that all others lie between, or all values."""
        match self.setting:
            case Choices(choices=choices):
                return tuple(self._typed(choice) for choice in choices)
            case Range(low=low, high=high):
                return self._typed(low), self._typed(high)

    def suggest(self, trial: "BaseTrial", name: str) -> Option:
        """A value for one trial."""
        match self.setting:
            case Choices(choices=choices):
                chosen: Any = trial.suggest_categorical(name, choices)
                return self._typed(chosen)
            case Range(low=low, high=high, log=log) if self.kind is int:
                return trial.suggest_int(name, int(low), int(high), log=log)
            case Range(low=low, high=high, log=log):
                return trial.suggest_float(name, low, high, log=log)

    def _typed(self, value: Option) -> Option:
        if isinstance(value, bool | str):
            return value
        if self.kind is int and value == int(value):
            return int(value)
        return float(value) if self.kind is float else value


def swept_field(name: str, given: Range | Choices) -> Swept:
    """What is searched in a field of training or the network."""
    return Swept(given, FIELDS[name])


def swept_options(entry: Entry, defaults: Mapping[str, Any]) -> dict[str, Swept]:
    """What is searched of a sampler, by name of the option.

    Args:
        entry: The sampler.
        defaults: Its options with their defaults, which tell whole numbers from others.
    """
    return {
        name: Swept(given, type(defaults.get(name)))
        for name, given in entry.settings.items()
        if isinstance(given, Range | Choices)
    }


def lift(data: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of a study file, with what is searched taken out of their fields.

    Raises:
        UsageError: A range or list is impossible.
    """
    swept: dict[str, Any] = dict(data.get("swept", {}))
    tables: dict[str, Any] = {}
    for name, given in _open(data):
        try:
            one = swept_field(name, setting(given))  # type: ignore[arg-type] # tables are no values
        except ValueError as error:
            raise UsageError(f"{name}: {reason(error)}") from error
        table, _, field = name.partition(".")
        _check(table, field, one)
        swept[name] = one.setting
        tables.setdefault(table, dict(data[table]))[field] = one.middle
    return {**data, **tables, **({"swept": swept} if swept else {})}


def _open(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in FIELDS:
        table, _, field = name.partition(".")
        if isinstance(data.get(table), Mapping):
            given = data[table].get(field)
            if isinstance(given, dict | list | tuple | Range | Choices):
                yield name, given


def _check(table: str, field: str, one: Swept) -> None:
    """Every value has to be one that a run can have."""
    needed = {"steps": 1} if table == "training" else {}
    for value in one.ends:
        try:
            _TABLES[table].model_validate({**needed, field: value}, strict=True)
        except ValueError as error:
            raise UsageError(
                f"{table}.{field} cannot be {value!r}, which its range or list contains"
            ) from error


def put_back(data: dict[str, Any]) -> dict[str, Any]:
    """What ``lift`` took out, in its place again."""
    data = dict(data)
    for name, given in (data.pop("swept", None) or {}).items():
        table, _, field = name.partition(".")
        data[table] = {**data[table], field: given}
    return data


def applied(spec: RunSpec, chosen: Mapping[str, Option]) -> RunSpec:
    """A run with the values that were chosen for swept fields."""
    tables: dict[str, dict[str, Option]] = {}
    for name, value in chosen.items():
        table, _, field = name.partition(".")
        tables.setdefault(table, {})[field] = value
    update: dict[str, Any] = {}
    for table, values in tables.items():
        if table == SAMPLER:
            options = spec.sampler.options | values
            update[table] = Plugin(name=spec.sampler.name, options=options)
        else:
            update[table] = getattr(spec, table).model_copy(update=values)
    return spec.model_copy(update=update)


def value_of(spec: RunSpec, name: str) -> Option | None:
    """Value of a swept field in a run; None if it has none."""
    table, _, field = name.partition(".")
    if table == SAMPLER:
        return spec.sampler.options.get(field)
    found: Option | None = getattr(getattr(spec, table), field, None)
    return found
