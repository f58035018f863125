"""The columns of the tables. To add one, write one function here; every table and export has it.

A column computes a value for the DataFrame from a cell or a contestant, and says how it is shown
to people. Its docstring is the explanation that the report prints under the table.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from .. import text

Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column of a table.

    Attributes:
        name: In the DataFrame.
        header: For people; a column without one is left out of pages and terminals.
        compute: The value.
        show: How people read it.
        help: What it means, in a sentence.
    """

    name: str
    header: str
    compute: Callable[[Row], Any]
    show: Callable[[Row], str]
    help: str


class Columns(Generic[Row]):
    """The columns of one kind of table, in the order of their definition."""

    def __init__(self) -> None:
        self._columns: list[Column[Row]] = []

    def add(
        self,
        name: str,
        header: str = "",
        show: Callable[[Row], str] | None = None,
        form: Callable[[Any], str] = text.number,
    ) -> Callable[[Callable[[Row], Any]], Callable[[Row], Any]]:
        """Decorate the function that computes a column.

        Args:
            name: In the DataFrame.
            header: For people; empty to keep the column to the exports.
            show: How people read the row, if its value alone does not say it.
            form: How people read the value.
        """

        def decorate(compute: Callable[[Row], Any]) -> Callable[[Row], Any]:
            def shown(row: Row) -> str:
                return form(compute(row))

            explanation = " ".join((inspect.getdoc(compute) or "").split())
            self._columns.append(Column(name, header, compute, show or shown, explanation))
            return compute

        return decorate

    def values(self, row: Row) -> dict[str, Any]:
        """A row of the DataFrame."""
        return {column.name: column.compute(row) for column in self._columns}

    def named(self, others: Sequence[str] = ()) -> list[Column[Row]]:
        """Columns that people see, and others by name, which then is their header."""
        return [
            column if column.header else replace(column, header=column.name)
            for column in self._columns
            if column.header or column.name in others
        ]

    @property
    def meanings(self) -> dict[str, str]:
        """What each column means, by name, those of the exports only too."""
        return {column.name: column.help for column in self._columns}

    @property
    def shown(self) -> list[Column[Row]]:
        """Columns that people see."""
        return [column for column in self._columns if column.header]
