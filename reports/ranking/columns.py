"""Registries of table columns, such as ``board_columns`` and ``cell_columns``.

To add a column, assign one ``Column`` in the file of its registry: reports and exports then have
it. The key is its name in the DataFrame and its header, which is empty for exports only.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from .. import text
from .statistics import Estimate

T = TypeVar("T")


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column of a table.

    Attributes:
        meaning: Meaning, in a sentence or two: the help under the table.
        compute: Computes the value for the DataFrame.
        show: Formats the row for people, if that needs more than the value.
        form: Formats the value for people.
        name: Name in the DataFrame.
        header: Header in pages and terminals; empty for columns of exports only.
    """

    meaning: str
    compute: Callable[[T], object]
    show: Callable[[T], str] | None = None
    form: Callable[[Any], str] = text.number
    name: str = ""
    header: str = ""

    def shown(self, row: T) -> str:
        """Return the entry of a row as people read it."""
        return self.show(row) if self.show else self.form(self.compute(row))


def estimated(meaning: str, compute: Callable[[T], Estimate]) -> Column[T]:
    """Return a column of means, shown with half their 95 % intervals."""
    return Column(meaning, lambda row: compute(row).value, lambda row: measured(compute(row)))


def measured(estimate: Estimate) -> str:
    """Return an estimate with half its 95 % interval."""
    return text.measured(estimate.value, estimate.half_width())


class Columns(Generic[T]):
    """The columns of one kind of table, in the order of their definition."""

    def __init__(self) -> None:
        self._columns: list[Column[T]] = []

    def __setitem__(self, key: tuple[str, str], column: Column[T]) -> None:
        name, header = key
        self._columns.append(replace(column, name=name, header=header))

    def limits(self, name: str, limit: str, compute: Callable[[T], tuple[float, float]]) -> None:
        """Add ``NAME_low`` and ``NAME_high``, for exports only; ``limit`` says what they are."""
        self[f"{name}_low", ""] = Column(f"Lower {limit}.", lambda row: compute(row)[0])
        self[f"{name}_high", ""] = Column(f"Upper {limit}.", lambda row: compute(row)[1])

    def ranks(self, rank: str, compute: Callable[[T], tuple[int, int] | None]) -> None:
        """Add ``rank_low`` and ``rank_high``, shown as one; ``rank`` says what they are."""
        what, unranked = f"{rank} compatible with the seeds (joint 95 %).", (math.nan, math.nan)
        self["rank_low", "rank"] = Column(
            f"Best {what}",
            lambda row: (compute(row) or unranked)[0],
            lambda row: text.ranks(compute(row)),
        )
        self["rank_high", ""] = Column(f"Worst {what}", lambda row: (compute(row) or unranked)[1])

    def values(self, row: T) -> dict[str, object]:
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
        return {column.name: column.meaning for column in self._columns}
