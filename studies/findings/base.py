"""What a finding is: settings, parts that are computed one by one, and claims about their table."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
Parts = Mapping[str, Callable[[], list[Row]]]

# Standard errors that a measured number may be away from what is expected: with a hundred claims
# one in a hundred and fifty runs then has a false alarm.
ERRORS = 4.0


class Measured(NamedTuple):
    """A number that a table gives.

    Attributes:
        value: The number.
        error: Its standard error; 0 where it has none.
        expected: What theory says it is, where that depends on the settings.
    """

    value: float
    error: float = 0.0
    expected: float | None = None


@dataclass(frozen=True)
class Claim:
    """A statement that the literature makes or that a formula implies, and how it is checked.

    A claim with an expected value holds if the measured one is within ``slack`` and four
    standard errors of it; others if it is at least ``least`` and at most ``most``.

    Attributes:
        id: Short name of the claim, the same in every version.
        says: The statement.
        source: Where it is from.
        measure: Gives the number from the finding's table.
        expected: What it should be; None where ``measure`` says it, or where there are bounds.
        slack: What the approximations in the statement may cost, beside noise.
        least: Lower bound.
        most: Upper bound.
    """

    id: str
    says: str
    source: str
    measure: "Callable[[pd.DataFrame], Measured]"
    expected: float | None = None
    slack: float = 0.0
    least: float = -math.inf
    most: float = math.inf

    def check(self, table: "pd.DataFrame") -> Row:
        """The claim held against a table: a row of ``claims``."""
        value, error, expected = self.measure(table)
        expected = self.expected if expected is None else expected
        low, high = self.least, self.most
        if expected is not None:
            room = self.slack + ERRORS * error
            low, high = max(low, expected - room), min(high, expected + room)
        return {
            "id": self.id, "claim": self.says, "expected": expected, "least": low, "most": high,
            "measured": value, "error": error, "holds": bool(low <= value <= high),
            "source": self.source,
        }  # fmt: skip


class Finding(BaseModel, ABC):
    """A known result as a function of settings and a root seed.

    A subclass is one file in ``studies/findings``: fields are the settings, the docstring says
    what is done. Every number follows from the settings, however many workers computed it.

    Attributes:
        seed: Root of all random numbers.
        claims: What the table is held against.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = Field(0, ge=0, lt=2**63)

    claims: ClassVar[tuple[Claim, ...]] = ()

    @abstractmethod
    def parts(self) -> Parts:
        """Independent pieces by name; each gives rows of the table."""

    @abstractmethod
    def verdict(self, table: "pd.DataFrame") -> str:
        """What was found, in a sentence or two."""


def row(
    experiment: str,
    quantity: str,
    value: float,
    error: float = math.nan,
    expected: float = math.nan,
    **axes: Any,
) -> Row:
    """One line of a finding's table.

    Args:
        experiment: Which of the finding's experiments.
        quantity: What was measured.
        value: The number.
        error: Its standard error.
        expected: What theory says.
        axes: Under what conditions.
    """
    said = {"quantity": quantity, "value": value, "error": error, "expected": expected}
    return {"experiment": experiment, **axes, **said}


def pick(table: "pd.DataFrame", experiment: str, quantity: str = "", **axes: Any) -> "pd.DataFrame":
    """The rows of an experiment under some conditions; there has to be one."""
    chosen = table["experiment"] == experiment
    if quantity:
        chosen &= table["quantity"] == quantity
    for name, value in axes.items():
        chosen &= table[name] == value
    found = table[chosen]
    if found.empty:
        raise KeyError(f"no {experiment} {quantity} {axes} in the table")
    return found


def one(table: "pd.DataFrame", experiment: str, quantity: str, **axes: Any) -> Measured:
    """The single row that ``pick`` finds."""
    (found,) = pick(table, experiment, quantity, **axes).to_dict("records")
    expected, error = found["expected"], found["error"]
    return Measured(
        found["value"],
        0.0 if math.isnan(error) else error,
        None if math.isnan(expected) else expected,
    )


def exponent(x: "pd.Series[Any]", y: "pd.Series[Any]", error: "pd.Series[Any]") -> Measured:
    """Exponent of the power law that is nearest to positive numbers, on logarithmic scales.

    Args:
        x: Where.
        y: The numbers.
        error: Their standard errors; missing where they have none.
    """
    import numpy as np

    at = np.log(x.to_numpy(float))
    lever = (at - at.mean()) / np.square(at - at.mean()).sum()
    relative = (error.fillna(0.0) / y).to_numpy(float)
    slope = float((lever * np.log(y.to_numpy(float))).sum())
    return Measured(slope, float(np.sqrt(np.square(lever * relative).sum())))
