"""Numbers from the table of a finding, for its claims."""

import math

from .base import Measured
from .figure import Table


def pick(table: Table, experiment: str, quantity: str = "", **axes: object) -> Table:
    """Select the rows of an experiment under some conditions.

    Raises:
        KeyError: No row matches.
    """
    chosen = table["experiment"] == experiment
    if quantity:
        chosen &= table["quantity"] == quantity
    for name, value in axes.items():
        chosen &= table[name] == value
    rows = table[chosen]
    if rows.empty:
        raise KeyError(f"no {experiment} {quantity} {axes} in the table")
    return rows


def number(table: Table, experiment: str, quantity: str, **axes: object) -> Measured:
    """Read the number of the only row that matches."""
    (record,) = pick(table, experiment, quantity, **axes).to_dict("records")
    expected, error = record["expected"], record["error"]
    return Measured(
        record["value"],
        0.0 if math.isnan(error) else error,
        None if math.isnan(expected) else expected,
    )


def average(table: Table, experiment: str, quantity: str, **axes: object) -> Measured:
    """Average repeats, with the standard error of the mean."""
    values = pick(table, experiment, quantity, **axes)["value"]
    return Measured(float(values.mean()), float(values.std()) / math.sqrt(len(values)))


def at_end(
    table: Table, experiment: str, quantity: str, axis: str, *, last: bool, **axes: object
) -> Measured:
    """Read the number at the largest (``last``) or smallest value of an axis."""
    values = pick(table, experiment, quantity, **axes).sort_values(axis)["value"]
    return Measured(float(values.iloc[-1 if last else 0]))


def end_ratio(table: Table, experiment: str, quantity: str, axis: str, *, last: bool) -> Measured:
    """Divide the number at one end of an axis by that at the other; see ``at_end``."""
    end, other = (
        at_end(table, experiment, quantity, axis, last=place) for place in (last, not last)
    )
    return Measured(end.value / other.value)


def largest_deviation(table: Table, experiment: str, quantity: str, **axes: object) -> Measured:
    """Find the largest deviation from the expected numbers, in standard errors."""
    rows = pick(table, experiment, quantity, **axes)
    return Measured(float(((rows["value"] - rows["expected"]).abs() / rows["error"]).max()))


def exponent(
    table: Table, experiment: str, quantity: str, axis: str, *,
    low: float = 0.0, high: float = math.inf, **axes: object,
) -> Measured:  # fmt: skip
    """Fit the exponent of a power of ``axis`` by least squares on logarithmic scales.

    Only values of the axis from ``low`` to ``high`` are used; for the others see ``pick``.
    """
    import numpy as np

    rows = pick(table, experiment, quantity, **axes)
    rows = rows[(rows[axis] >= low) & (rows[axis] <= high)]
    x, y = rows[axis], rows["value"]
    at = np.log(x.to_numpy(float))
    lever = (at - at.mean()) / np.square(at - at.mean()).sum()
    relative = (rows["error"].fillna(0.0) / y).to_numpy(float)
    slope = float((lever * np.log(y.to_numpy(float))).sum())
    return Measured(slope, float(np.sqrt(np.square(lever * relative).sum())))
