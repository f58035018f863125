"""The leaves of a study file, each a value, a range or a list, and the entries that hold them."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Self, TypeGuard

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

from ...bench.spec import Frozen, List, Option, Scalar
from ...datasets.errors import UsageError, unknown

WORD = re.compile(r"[A-Za-z0-9_]+")


class Range(Frozen):
    """An interval that the search draws a number from.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Uniform in the logarithm instead of the value.
        step: Distance of the values that are tried, from ``low`` on (default: that of the method).
    """

    low: float
    high: float
    log: bool = False
    step: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise UsageError(f"the range from {self.low:g} to {self.high:g} is empty")
        if self.log and self.low <= 0:
            raise UsageError(f"a logarithmic range cannot start at {self.low:g}, only above 0")
        if self.log and self.step is not None:
            raise UsageError(f"a logarithmic range has no step: leave out step = {self.step:g}")
        return self


class Choices(Frozen):
    """Values that the search picks from.

    Attributes:
        choices: At least one value. For an option that is itself a list, its elements.
    """

    choices: Annotated[List, BeforeValidator(lambda value: as_tuple(value, deep=True))]

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.choices:
            raise UsageError("choices = [] leaves nothing to choose from")
        return self


Leaf = Scalar | List | Range | Choices
"""A leaf of a study: a value is fixed; a range or choices are open, and searched."""


def as_tuple(value: object, *, deep: bool = False) -> object:
    """Convert a list to a tuple; ``deep``: the lists in it too.

    Raises:
        UsageError: The value is not a list.
    """
    if not isinstance(value, list | tuple):
        example = f'["{value}"]' if isinstance(value, str) else "[...]"
        raise UsageError(f"{short(value)} is not a list; a list is written {example}")
    return tuple(as_tuple(item) if deep and isinstance(item, list) else item for item in value)


def read_leaf(value: object) -> Leaf:
    """Read a value, ``{low, high, log, step}``, ``{choices}`` or a list, short for choices.

    Raises:
        UsageError: It is none of these.
    """
    if is_open(value):
        return value
    if isinstance(value, dict):
        form = Choices if "choices" in value else Range
        wrong = sorted(set(value) - set(form.model_fields))
        if wrong:
            raise unknown("field of a range", wrong[0], ["low", "high", "log", "step", "choices"])
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


def plain(value: Leaf) -> object:
    """Write a leaf in the form that ``read_leaf`` reads."""
    return value.model_dump(mode="json", exclude_none=True) if is_open(value) else value


def is_open(value: object) -> TypeGuard[Range | Choices]:
    """Whether a leaf is searched."""
    return isinstance(value, Range | Choices)


def ends(value: Leaf) -> List:
    """Give the values between which all values of a leaf lie: both ends, or all choices."""
    match value:
        case Range(low=low, high=high):
            return low, high
        case Choices(choices=choices) | (tuple() as choices):
            return choices
        case _:
            return (value,)


class OpenTable(Frozen):
    """A table of a study whose leaves may be open: mixed into the table of a run.

    Attributes:
        FIXED: Fields that cannot be searched.
    """

    FIXED: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def leaves(cls) -> dict[str, object]:
        """Give the fields that can be searched, with the types of their values."""
        fields = cls.model_fields.items()
        return {name: field.annotation for name, field in fields if name not in cls.FIXED}

    def open_leaves(self) -> dict[str, Range | Choices]:
        """Give the fields that are searched."""
        given = ((name, getattr(self, name)) for name in self.leaves())
        return {name: value for name, value in given if is_open(value)}

    def with_values(self, values: Mapping[str, Option]) -> Self:
        """Replace leaves by values.

        Raises:
            pydantic.ValidationError: A value is impossible.
        """
        return self.model_validate({**self.model_dump(), **values})

    @field_validator("*", mode="wrap")
    @classmethod
    def _value_or_open(
        cls, value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> object:
        """Read a leaf; each end of an open one must be a possible value."""
        written_open = isinstance(value, dict | list | tuple | Range | Choices)
        if info.field_name in cls.FIXED or not written_open:
            return handler(value)
        given = read_leaf(value)
        for end in ends(given):
            try:
                handler(int(end) if isinstance(end, float) and end.is_integer() else end)
            except ValidationError as error:
                message = error.errors()[0]["msg"].removeprefix("Input ")
                raise UsageError(f"{end!r} is in its range or list, and {message}") from error
        return given

    @field_serializer("*", mode="wrap")
    def _as_read(self, value: object, handler: SerializerFunctionWrapHandler) -> object:
        return plain(value) if is_open(value) else handler(value)


class Entry(Frozen):
    """A method, dataset or sampler of a study.

    In a file: its name, or a table with its name, a label and its settings.

    Attributes:
        name: Name in the registry.
        label: What it is called in results and file names; the name unless given, or the class
            of ``mine.py:Class``. Two entries with one name need two labels.
        settings: Options by name: a value, or (methods and samplers) a range or choices to search.
    """

    name: str
    label: str
    settings: dict[str, Leaf] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _table(cls, value: object) -> object:
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict):
            raise UsageError(f"{value!r} is neither a name nor a table with a name")
        if "name" not in value or not isinstance(value["name"], str):
            raise UsageError(f'the table {short(value)} needs a name: name = "..."')
        if isinstance(value.get("settings"), dict):
            return value
        settings: dict[str, Leaf] = {}
        for key, given in value.items():
            if key not in {"name", "label"}:
                try:
                    settings[key] = read_leaf(given)
                except ValueError as error:
                    raise UsageError(f"{value['name']}.{key}: {reason(error)}") from error
        return {
            "name": value["name"],
            "label": value.get("label", _usual_label(value["name"])),
            "settings": settings,
        }

    @classmethod
    def named(cls, name: str) -> Self:
        """Make the entry that a bare name in a file stands for."""
        return cls(name=name, label=_usual_label(name))

    @property
    def closed(self) -> Self:
        """The entry of a plug-in that is not searched: lists are values."""
        settings = {
            name: leaf.choices if isinstance(leaf, Choices) else leaf
            for name, leaf in self.settings.items()
        }
        return self.model_copy(update={"settings": settings})

    @field_validator("label")
    @classmethod
    def _file_name(cls, label: str) -> str:
        if not WORD.fullmatch(label):
            plain = re.sub(r"\W", "", label) or "mine"
            raise UsageError(
                f"the name or label {label!r} becomes part of file names: only letters, digits and "
                f"_ can be used, as in {plain!r}"
            )
        return label

    @model_serializer
    def _as_written(self) -> object:
        usual = self.label == _usual_label(self.name)
        if usual and not self.settings:
            return self.name
        label = {} if usual else {"label": self.label}
        settings = {key: plain(value) for key, value in sorted(self.settings.items())}
        return {"name": self.name, **label, **settings}


def _usual_label(name: str) -> str:
    return name.rpartition(":")[2]


def one_or_list(value: object) -> object:
    """Take a single entry as a list of one."""
    return as_tuple(value) if isinstance(value, list | tuple) else (value,)


def one_as_such(entries: tuple[Entry, ...], handler: SerializerFunctionWrapHandler) -> object:
    """Write a list of one as its entry."""
    written: list[object] = handler(entries)
    return written[0] if len(written) == 1 else written


def check_labels(field: str, entries: tuple[Entry, ...], reserved: Iterable[str]) -> None:
    """Raise ``UsageError`` if a list has no entries, or two with one label."""
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


def short(value: object) -> str:
    """Show a value in at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def reason(error: ValueError) -> str:
    """Give the first line of a validator's message, without pydantic's frame."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        inner = first.get("ctx", {}).get("error")
        text = reason(inner) if isinstance(inner, ValueError) else first["msg"]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {text}" if where and inner is None else text
    return str(error).split("\n")[0]
