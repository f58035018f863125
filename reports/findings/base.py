"""The base of findings: settings, independent parts, and claims about their table."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from .figure import Panel, Table

TableRow = dict[str, Any]
Part = Callable[[], list[TableRow]]
Parts = Mapping[str, Part]

# Standard errors that a measured number may deviate from the expected one: with a hundred claims,
# about one run in 150 then has a false alarm.
ERRORS = 4.0


class Measured(NamedTuple):
    """A number from a table.

    Attributes:
        value: The number.
        error: Its standard error; 0 if it has none.
        expected: The number that theory gives, if it depends on the settings.
    """

    value: float
    error: float = 0.0
    expected: float | None = None


@dataclass(frozen=True)
class Claim:
    """A statement of the literature or a consequence of a formula, with its check.

    A claim with an expected value holds if the measured value is within ``slack`` plus four
    standard errors of it; other claims hold between ``least`` and ``most``.

    Attributes:
        id: Short name of the claim, the same in every version.
        says: The statement.
        source: Source of the statement.
        measure: Gives the number from the finding's table.
        expected: Expected number; None if ``measure`` gives it, or if there are bounds.
        slack: Allowance for approximations in the statement, in addition to noise.
        least: Lower bound.
        most: Upper bound.
        wrong: Name of the wrong implementation, one of the finding's ``wrongs``, with which the
            claim must not hold: a claim that nothing fails is none.
    """

    id: str
    says: str
    source: str
    measure: Callable[[Table], Measured]
    expected: float | None = None
    slack: float = 0.0
    least: float = -math.inf
    most: float = math.inf
    wrong: str = ""

    def check(self, table: Table) -> TableRow:
        """Check the claim against a table: a row of ``claims``."""
        value, error, expected = self.measure(table)
        expected = self.expected if expected is None else expected
        low, high = self.least, self.most
        if expected is not None:
            tolerance = self.slack + ERRORS * error
            low, high = max(low, expected - tolerance), min(high, expected + tolerance)
        return {
            "id": self.id, "claim": self.says, "expected": expected, "least": low, "most": high,
            "measured": value, "error": error, "holds": bool(low <= value <= high),
            "source": self.source,
        }  # fmt: skip

    def judge(self, everything: Table) -> TableRow:
        """Check the claim, also with its wrong implementation: columns ``wrong`` to ``fails``."""
        checked = self.check(right(everything))
        if not self.wrong:
            return {**checked, "wrong": "", "wrong_measured": math.nan, "fails": False}
        other = self.check(with_wrong(everything, self.wrong))
        # A number that is missing refutes nothing.
        fails = not other["holds"] and not math.isnan(other["measured"])
        return {**checked, "wrong": self.wrong, "wrong_measured": other["measured"], "fails": fails}


class Finding(BaseModel, ABC):
    """A known result as a function of settings and a root seed.

    A subclass is one file in ``reports/findings``: fields are the settings, and the docstring
    describes the experiment. Numbers depend on the settings only, not on the number of workers.

    Attributes:
        seed: Root of all random numbers.
        claims: Statements that the table is checked against.
        wrongs: Wrong implementations by name, each with a sentence: some that people ran, and the
            usual slips. Parts measure them beside the right one, in rows that say ``wrong=name``.
        sentence: The verdict, in which ``{0:.2f}`` is the measured number of the first claim.
        panels: Panels of the figure; without any, one panel shows every measured number.
        columns: Panels side by side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = Field(0, ge=0, lt=2**63)

    claims: ClassVar[tuple[Claim, ...]] = ()
    wrongs: ClassVar[Mapping[str, str]] = MappingProxyType({})
    sentence: ClassVar[str] = ""
    panels: ClassVar[tuple[Panel, ...]] = ()
    columns: ClassVar[int] = 2

    @abstractmethod
    def parts(self) -> Parts:
        """Independent pieces of the computation by name; each returns rows of the table."""

    def verdict(self, table: Table) -> str:
        """The result in a sentence or two, ``sentence`` unless a subclass says otherwise."""
        return self.sentence.format(*(claim.measure(table).value for claim in self.claims))


def row(
    experiment: str,
    quantity: str,
    value: float,
    error: float = math.nan,
    expected: float = math.nan,
    **axes: object,
) -> TableRow:
    """Make a row of a finding's table: a measured number, its standard error and the expected one.

    ``axes`` are the conditions of the measurement.
    """
    numbers = {"quantity": quantity, "value": value, "error": error, "expected": expected}
    return {"experiment": experiment, **axes, **numbers}


# Columns that do not tell what was measured: a wrong implementation may have fewer repeats.
_REPEATS = {"part", "seed", "repeat", "network", "value", "error", "expected", "wrong"}


def right(everything: Table) -> Table:
    """Select the rows of the right implementations."""
    rows = everything[everything["wrong"] == ""]
    return rows.drop(columns="wrong").reset_index(drop=True)


def with_wrong(everything: Table, name: str) -> Table:
    """Put the rows of a wrong implementation in the place of the right ones that they replace.

    Raises:
        KeyError: There are none.
    """
    import pandas as pd

    keys = [column for column in everything.columns if column not in _REPEATS]
    wrong, rest = (everything[everything["wrong"] == which] for which in (name, ""))
    places = [pd.MultiIndex.from_frame(rows[keys].astype(str)) for rows in (wrong, rest)]
    if not places[0].isin(places[1]).all() or wrong.empty:
        raise KeyError(f"rows of the wrong implementation {name!r} replace no others")
    return pd.concat([rest[~places[1].isin(places[0])], wrong]).drop(columns="wrong")


def as_wrong(name: str, rows: list[TableRow], **changed: object) -> list[TableRow]:
    """Copy rows as those of a wrong implementation, with some columns changed."""
    return [{**each, **changed, "wrong": name} for each in rows]
