"""Registries of table columns, such as ``board_columns`` and ``cell_columns``.

To add a column, add one function to the file of its registry: reports and exports then have it.
The function computes the value for the DataFrame; its docstring is the help under the table.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from .. import text

T = TypeVar("T")


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column of a table.

    Attributes:
        name: Name in the DataFrame.
        header: Header in pages and terminals; empty for columns of exports only.
        compute: Computes the value.
        show: Formats the value for people.
        help: Meaning, in a sentence.
    """

    name: str
    header: str
    compute: Callable[[T], Any]
    show: Callable[[T], str]
    help: str


class Columns(Generic[T]):
    """The columns of one kind of table, in the order of their definition."""

    def __init__(self) -> None:
        self._columns: list[Column[T]] = []

    def add(
        self,
        name: str,
        header: str = "",
        show: Callable[[T], str] | None = None,
        form: Callable[[Any], str] = text.number,
    ) -> Callable[[Callable[[T], Any]], Callable[[T], Any]]:
        """Decorate the function that computes a column.

        Args:
            name: Name in the DataFrame.
            header: Header in pages and terminals; empty for a column of exports only.
            show: Formats the row for people, if that needs more than the value.
            form: Formats the value for people.
        """

        def decorate(compute: Callable[[T], Any]) -> Callable[[T], Any]:
            def shown(row: T) -> str:
                return form(compute(row))

            explanation = " ".join((inspect.getdoc(compute) or "").split())
            self._columns.append(Column(name, header, compute, show or shown, explanation))
            return compute

        return decorate

    def values(self, row: T) -> dict[str, Any]:
        """Return a row of the DataFrame."""
        return {column.name: column.compute(row) for column in self._columns}

    def named(self, others: Sequence[str] = ()) -> list[Column[T]]:
        """Return the shown columns, and others by name, with their names as headers."""
        return [
            column if column.header else replace(column, header=column.name)
            for column in self._columns
            if column.header or column.name in others
        ]

    @property
    def meanings(self) -> dict[str, str]:
        """Meaning of every column by name, including those of exports only."""
        return {column.name: column.help for column in self._columns}

    @property
    def shown(self) -> list[Column[T]]:
        """Columns of pages and terminals."""
        return [column for column in self._columns if column.header]
