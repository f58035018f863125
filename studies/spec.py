"""``StudySpec``: a study as a value, written as TOML, compared field by field."""

import re
import tomllib
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    field_validator,
    model_serializer,
    model_validator,
)

from ..bench.spec import Frozen, NetworkSpec, Option
from ..datasets.errors import UsageError, unknown

REFERENCES = ("truth", "exact", "untrained")
"""Labels of the reference rows; no method of a study may take them."""

IID = "iid"
"""Sampler label of the noise floor: exact draws, no sampler."""

WORD = re.compile(r"[A-Za-z0-9_]+")


class Range(Frozen):
    """An interval that the search draws a number from.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Uniform in the logarithm instead of the value.
    """

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise UsageError(f"the range from {self.low:g} to {self.high:g} is empty")
        if self.log and self.low <= 0:
            raise UsageError(f"a logarithmic range cannot start at {self.low:g}, only above 0")
        return self


class Choices(Frozen):
    """Values that the search picks from.

    Attributes:
        choices: At least one value.
    """

    choices: Annotated[tuple[Option, ...], BeforeValidator(lambda v: _sequence(v))]

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.choices:
            raise UsageError("choices = [] leaves nothing to choose from")
        return self


Setting = Option | Range | Choices
"""What a study file says of a hyperparameter: a value fixes it, a table is searched."""


def _sequence(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def setting(value: Any) -> Setting:
    """Read a value, ``{low, high, log}`` or ``{choices}``.

    Raises:
        UsageError: It is none of these.
    """
    if isinstance(value, Range | Choices):
        return value
    if isinstance(value, dict):
        form = Choices if "choices" in value else Range
        wrong = sorted(set(value) - set(form.model_fields))
        if wrong:
            raise unknown("field of a range", wrong[0], ["low", "high", "log", "choices"])
        return form.model_validate(value, strict=True)
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if value - value != 0:
            raise UsageError(f"{value} is not a finite number")
        return value
    raise UsageError(
        f"{value!r} is neither a value nor a table such as {{low = 0.01, high = 1.0, log = true}}"
    )


def plain(value: Setting) -> Any:
    """What ``setting`` reads back equal."""
    return value.model_dump(mode="json") if isinstance(value, Range | Choices) else value


class Entry(Frozen):
    """A method, dataset or sampler of a study.

    In a file: its name, or a table with its name, a label and whatever is decided about it.

    Attributes:
        name: Name in the registry.
        label: What it is called in results and file names; the name unless given. Two entries
            with one name need two labels.
        settings: Options by name: a value, or (methods only) a range or choices to search.
    """

    name: str
    label: str
    settings: dict[str, Setting] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _table(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict):
            raise UsageError(f"{value!r} is neither a name nor a table with a name")
        if "name" not in value or not isinstance(value["name"], str):
            raise UsageError(f'the table {_short(value)} needs a name, for example name = "dsm"')
        if isinstance(value.get("settings"), dict):
            return value
        settings: dict[str, Setting] = {}
        for key, given in value.items():
            if key not in {"name", "label"}:
                try:
                    settings[key] = setting(given)
                except ValueError as error:
                    raise UsageError(f"{value['name']}.{key}: {reason(error)}") from error
        return {
            "name": value["name"],
            "label": value.get("label", value["name"]),
            "settings": settings,
        }

    @field_validator("label")
    @classmethod
    def _file_name(cls, label: str) -> str:
        if not WORD.fullmatch(label):
            raise UsageError(
                f"the label {label!r} becomes part of file names: "
                "only letters, digits and _ can be used"
            )
        return label

    @model_serializer
    def _as_written(self) -> Any:
        if self.label == self.name and not self.settings:
            return self.name
        label = {} if self.label == self.name else {"label": self.label}
        settings = {key: plain(value) for key, value in sorted(self.settings.items())}
        return {"name": self.name, **label, **settings}


class Training(Frozen):
    """How every network of the study is fitted; see ``bench.spec.TrainingSpec``.

    Attributes:
        learning_rate: A number, or a range that is searched together with the method.
    """

    steps: int = Field(2000, ge=0, le=10_000_000)
    batch_size: int = Field(128, ge=1, le=1_000_000)
    learning_rate: Annotated[
        float | Range, BeforeValidator(lambda v: _rate(v)), PlainSerializer(plain)
    ] = Range(low=1e-4, high=1e-2, log=True)
    clip: float = Field(100.0, gt=0)
    points: int = Field(100_000, ge=1, le=100_000_000)


def _rate(value: Any) -> Any:
    read = setting(value)
    if isinstance(read, bool | str | Choices):
        raise UsageError(f"{_short(plain(read))} is neither a number nor a range of numbers")
    low, high = (read.low, read.high) if isinstance(read, Range) else (read, read)
    if not 0 < low <= high <= 10:
        raise UsageError(f"a learning rate lies above 0 and is at most 10, not {_short(value)}")
    return read if isinstance(read, Range) else float(read)


class Search(Frozen):
    """How each cell is tuned.

    Attributes:
        trials: Configurations tried in a cell, in total; 0 for no tuning at all.
        batch: Configurations proposed at a time; part of the study because it decides what the
            proposals can know of.
        sampler: Optuna's ``tpe`` (defaults of Optuna 5) or ``random``.
        startup: Random configurations before ``tpe`` begins to learn.
        finalists: Best configurations that are trained again before the winner is chosen.
        repeats: Fresh validation runs of each finalist.
    """

    trials: int = Field(20, ge=0, le=100_000)
    batch: int = Field(4, ge=1, le=8)
    sampler: Literal["tpe", "random"] = "tpe"
    startup: int = Field(10, ge=1, le=100_000)
    finalists: int = Field(2, ge=1, le=100)
    repeats: int = Field(2, ge=0, le=100)


class Confirm(Frozen):
    """The runs that are ranked.

    Attributes:
        seeds: Fresh runs of each cell's winner, scored on the test truth.
    """

    seeds: int = Field(5, ge=1, le=10_000)


class Reference(Frozen):
    """Rows that say what the numbers mean.

    Attributes:
        floors: Fresh samples of the truth per dataset, scored like a model's (the noise floor).
        seeds: Runs of the exact score and of the untrained network per dataset and sampler.
    """

    floors: int = Field(20, ge=0, le=10_000)
    seeds: int = Field(3, ge=0, le=10_000)


class Evaluation(Frozen):
    """How samples are scored; see ``bench.spec.EvaluationSpec``."""

    samples: int = Field(2000, ge=2, le=1_000_000)


def _list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        example = f'["{value}"]' if isinstance(value, str) else "[...]"
        raise UsageError(f"{_short(value)} is not a list; a list is written {example}")
    return tuple(value)


Entries = Annotated[tuple[Entry, ...], BeforeValidator(_list)]


class StudySpec(Frozen):
    """A grid of cells with their budgets and seeds: everything that decides the results table.

    Attributes:
        name: Names the default run directory.
        seed: Root of every random stream.
        methods: What is compared.
        datasets: What it is compared on.
        samplers: How the models are sampled.
        objective: Name of the metric that the search improves and winners are chosen by.
    """

    name: str = Field(max_length=100)
    seed: int = Field(0, ge=0, lt=2**63)
    methods: Entries
    datasets: Entries
    samplers: Entries
    objective: str
    network: NetworkSpec = NetworkSpec()
    training: Training = Training()
    search: Search = Search()
    confirm: Confirm = Confirm()
    reference: Reference = Reference()
    evaluation: Evaluation = Evaluation()

    @field_validator("name")
    @classmethod
    def _directory_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
            raise UsageError(
                f"the name {name!r} becomes a directory: only letters, digits, _, - and . "
                "can be used, and it cannot start with - or ."
            )
        return name

    @model_validator(mode="after")
    def _labels(self) -> Self:
        _unique("methods", self.methods, REFERENCES)
        _unique("datasets", self.datasets, ())
        _unique("samplers", self.samplers, (IID,))
        for entry in (*self.datasets, *self.samplers):
            for key, value in entry.settings.items():
                if isinstance(value, Range | Choices):
                    raise UsageError(
                        f"{entry.label}.{key} is a range: datasets and samplers are not searched, "
                        f"give a value such as {key} = {_example(value)}"
                    )
        return self

    def to_toml(self) -> str:
        """The study with every default written out; ``from_toml`` reads it back equal."""
        import tomli_w

        return tomli_w.dumps(self.model_dump(mode="json"))

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Read what ``to_toml`` wrote.

        Raises:
            tomllib.TOMLDecodeError: The text is not TOML.
            pydantic.ValidationError: It is not a study.
        """
        return cls.model_validate(tomllib.loads(text), strict=True)


def _unique(field: str, entries: tuple[Entry, ...], reserved: Iterable[str]) -> None:
    if not entries:
        raise UsageError(f"{field} = []: a study needs at least one")
    # Case is ignored because labels become file names and some file systems ignore it.
    seen: dict[str, str] = dict.fromkeys(reserved, "the reference rows")
    for entry in entries:
        other = seen.get(entry.label.lower())
        if other is not None:
            raise UsageError(
                f"{field}: the label {entry.label!r} is taken by {other}; "
                f'add label = "{entry.label}_2" to one of them'
            )
        seen[entry.label.lower()] = "another entry"


def _example(value: Range | Choices) -> str:
    return repr(value.low if isinstance(value, Range) else value.choices[0])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def reason(error: ValueError) -> str:
    """First line of what a validator complained about, without pydantic's frame."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors()[0]
        inner = first.get("ctx", {}).get("error")
        text = reason(inner) if isinstance(inner, ValueError) else first["msg"]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {text}" if where and inner is None else text
    return str(error).split("\n")[0]
