"""What a study file says of a method, dataset or sampler: a name, a label, values and ranges."""

import re
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from ...bench.spec import Frozen, Option
from ...datasets.errors import UsageError, unknown

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

    choices: Annotated[tuple[Option, ...], BeforeValidator(lambda v: as_tuple(v))]

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.choices:
            raise UsageError("choices = [] leaves nothing to choose from")
        return self


Setting = Option | Range | Choices
"""What a study file says of a hyperparameter: a value fixes it, a table is searched."""


def as_tuple(value: Any) -> Any:
    """A list as pydantic keeps it.

    Raises:
        UsageError: The value is no list.
    """
    if not isinstance(value, list | tuple):
        example = f'["{value}"]' if isinstance(value, str) else "[...]"
        raise UsageError(f"{short(value)} is not a list; a list is written {example}")
    return tuple(value)


def setting(value: Any) -> Setting:
    """Read a value, ``{low, high, log}``, ``{choices}`` or a list, which is short for choices.

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
    if isinstance(value, list | tuple):
        return Choices.model_validate({"choices": list(value)}, strict=True)
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
            raise UsageError(f'the table {short(value)} needs a name, for example name = "dsm"')
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

    @classmethod
    def named(cls, name: str) -> Self:
        """The entry that a bare name in a file stands for."""
        return cls(name=name, label=name)

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


def short(value: Any) -> str:
    """A value as it is shown in one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def reason(error: ValueError) -> str:
    """First line of what a validator complained about, without pydantic's frame."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        inner = first.get("ctx", {}).get("error")
        text = reason(inner) if isinstance(inner, ValueError) else first["msg"]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {text}" if where and inner is None else text
    return str(error).split("\n")[0]
