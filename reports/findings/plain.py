"""What the figures of findings share, and the one of a finding that has none of its own."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...studies.findings.base import pick
from ..figures.style import LIGHT, Theme, drawing, fitting

__all__ = [
    "Axes",
    "Figure",
    "Theme",
    "legend",
    "measured",
    "panels",
    "pick",
    "plain",
    "theory",
    "ticks",
]

Panel = Callable[[Axes, pd.DataFrame, Theme], None]


def panels(
    table: pd.DataFrame, draw: Sequence[Panel], theme: Theme, width: float, columns: int = 2
) -> Figure:
    """A figure of panels, beside each other where there is room.

    Args:
        table: Of the finding.
        draw: Draws one panel each.
        theme: Colours.
        width: In inches.
        columns: Panels side by side; one in the column of a paper.
    """
    columns = min(columns, len(draw)) if width > 5 else 1
    rows = -(-len(draw) // columns)
    size = fitting(width)
    with drawing(theme, size):
        height = rows * (0.68 * width / columns + 0.25)
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).flatten()
        for axis, one in zip(axes, draw, strict=False):
            one(axis, table, theme)
            axis.grid(color=theme.shade, linewidth=0.6)
            axis.set_axisbelow(True)
            axis.yaxis.label.set_size(size)
            axis.tick_params(labelsize=size - 1)
        for axis in axes[len(draw) :]:
            axis.set_visible(False)
    return figure


def measured(axis: Axes, x: Any, found: pd.DataFrame, theme: Theme, k: int, label: str) -> None:
    """Points with 95 % intervals, in the k-th colour and marker."""
    from ..figures.style import MARKERS

    axis.errorbar(
        found[x] if isinstance(x, str) else x, found["value"], yerr=1.96 * found["error"].fillna(0),
        fmt=MARKERS[k % len(MARKERS)], color=theme.palette[k % len(theme.palette)], markersize=4,
        elinewidth=1, label=label, markeredgecolor=theme.paper, markeredgewidth=0.4, zorder=3,
    )  # fmt: skip


def theory(
    axis: Axes, x: str, found: pd.DataFrame, theme: Theme, k: int | None = None, label: str = ""
) -> None:
    """What a formula says, as a line in the k-th colour, or in that of the axes."""
    found = found.sort_values(x)
    colour = theme.faint if k is None else theme.palette[k % len(theme.palette)]
    axis.plot(found[x], found["expected"], "-", color=colour, linewidth=1.1, label=label, zorder=2)


def ticks(axis: Axes, values: Any) -> None:
    """Ticks at the values themselves, written as people write them."""
    places = sorted(set(values))
    axis.set_xticks(places, [f"{value:g}" for value in places])
    axis.minorticks_off()


def legend(axis: Axes, **where: Any) -> None:
    """The labels of a panel, without a box."""
    axis.legend(fontsize="small", handlelength=1.2, borderaxespad=0.3, **where)


def plain(table: pd.DataFrame, theme: Theme = LIGHT, width: float = 4.6) -> Figure:
    """Every measured number beside what was expected."""

    def panel(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
        known = table.dropna(subset=["expected"]).reset_index(drop=True)
        shown = known if len(known) else table.reset_index(drop=True)
        measured(axis, shown.index, shown, theme, 0, "measured")
        if len(known):
            axis.plot(known.index, known["expected"], "_", color=theme.ink, label="expected")
        axis.set_xlabel("row of the table")
        legend(axis)

    return panels(table, [panel], theme, width)
