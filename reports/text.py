"""Numbers as people read them, with as many digits as the error bar allows; lists and tables."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..datasets.errors import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

MISSING = "–"


def number(value: Any, digits: int = 3) -> str:
    """Return a number with ``digits`` significant digits; words if it is missing or infinite."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool | str):
        return str(value)
    if math.isinf(value):
        return "failed"
    if isinstance(value, int) or (abs(value) < 1e15 and float(value).is_integer()):
        return f"{value:.0f}" if abs(value) < 1e6 else f"{value:.{digits - 1}e}"
    if 1e-4 <= abs(value) < 1e6:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:.{decimals}f}"
    return f"{value:.{digits - 1}e}"


def percent(value: float) -> str:
    """Return a share in percent."""
    if math.isnan(value):
        return MISSING
    if 0 < value < 0.01:
        return "<1 %"
    if 0.99 < value < 1:
        return ">99 %"
    return f"{100 * value:.0f} %"


def measured(value: float, half: float) -> str:
    """Return ``value ± half`` with the digits that the half-width allows."""
    if not math.isfinite(value) or not math.isfinite(half):
        return number(value)
    shown, halved = _together(half, value, half)
    return f"{shown} ± {halved}"


def mean_of(value: float, half: float) -> str:
    """Return ``value`` with the digits that the half-width allows."""
    if not math.isfinite(value) or not math.isfinite(half):
        return number(value)
    return _together(half, value)[0]


def interval(low: float, high: float) -> str:
    """Return the limits of an interval, with the digits that its length allows."""
    if not math.isfinite(low) or not math.isfinite(high):
        return MISSING
    shown, other = _together((high - low) / 2, low, high)
    return f"{shown} … {other}"


def spanned(value: float, low: float, high: float) -> str:
    """Return ``0.24 (0.21 … 0.29)``: for intervals that are not symmetric."""
    if not math.isfinite(value) or not math.isfinite(low) or not math.isfinite(high):
        return number(value)
    shown, left, right = _together((high - low) / 2, value, low, high)
    return f"{shown} ({left} … {right})"


def ranks(rank: tuple[int, int] | None) -> str:
    """Return ``3``, or ``1–2`` if the rank is undecided."""
    if rank is None:
        return MISSING
    low, high = rank
    return str(low) if low == high else f"{low}–{high}"


def seconds(value: float) -> str:
    """Return a duration in a suitable unit."""
    if math.isnan(value):
        return MISSING
    if value < 100:
        return f"{value:.1f} s"
    if value < 5400:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h"


def count(value: float) -> str:
    """Return a large count with a unit prefix: 2.5 M."""
    if math.isnan(value):
        return MISSING
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def further(value: float) -> str:
    """Return a number of further restarts or seeds; infinite if more than a thousand."""
    if math.isnan(value):
        return MISSING
    return "over 1000" if math.isinf(value) else f"{value:.0f}"


def plural(count: int, noun: str) -> str:
    """Return ``1 dataset`` or ``4 datasets``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: list[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def grid(left: Iterable[str] = (), right: Iterable[str] = (), *, header: bool = True) -> "Table":
    """Return a table without lines for a terminal: columns aligned left, then those aligned right.

    ``left`` and ``right`` are their headers.
    """
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header)
    for name in left:
        shown.add_column(name)
    for name in right:
        shown.add_column(name, justify="right")
    return shown


class Visible:
    """A view whose text, which comes from files, neither controls the terminal nor is markup."""

    def __init__(self, view: "RenderableType") -> None:
        self._view = view

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Render the view, colours included."""
        from rich.segment import Segment

        for segment in console.render(self._view, options.update(markup=False)):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def _together(half: float, *values: float) -> list[str]:
    """Return values with the decimals that ``half`` allows (rule of the Particle Data Group).

    ``half`` has two significant digits from 0.010 to 0.035, and one from 0.04 to 0.09.
    """
    largest = max(abs(value) for value in values)
    # A half-width of a few last digits is rounding, and would show all digits of the value.
    if half <= 1e-9 * largest:
        return [number(float(f"{value:.9g}")) for value in values]
    if largest < 1e-4 or largest >= 1e6:
        power = math.floor(math.log10(largest)) if largest else 0
        decimals = max(0, power + _decimals(half))
        return [f"{_fixed(value / 10.0**power, decimals)}e{power:+03d}" for value in values]
    return [_fixed(value, max(0, _decimals(half))) for value in values]


def _fixed(value: float, decimals: int) -> str:
    """Return a value with fixed decimals, and no minus before a zero."""
    shown = f"{value:.{decimals}f}"
    return shown.removeprefix("-") if float(shown) == 0 else shown


def _decimals(half: float) -> int:
    """Return the number of decimals that ``half`` allows."""
    power = math.floor(math.log10(half))
    leading = half / 10.0**power
    return 1 - power if leading < 3.55 else -power
