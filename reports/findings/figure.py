"""Figures of findings: panels, and the marks that they share. Drawing loads Matplotlib."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import matplotlib.axes
    import pandas as pd
    from matplotlib.figure import Figure

    from ..figures import style

# Names of types in quotes: pandas and Matplotlib are slow to load.
Axes: TypeAlias = "matplotlib.axes.Axes"
Theme: TypeAlias = "style.Theme"
Table: TypeAlias = "pd.DataFrame"
Series: TypeAlias = "pd.Series[Any]"


@dataclass(frozen=True)
class Panel:
    """One panel of a figure.

    Attributes:
        draw: Draws a finding's table into axes, in the colours of a theme.
        x: Label of the horizontal axis, unless ``draw`` sets one.
        y: Label of the vertical axis, unless ``draw`` sets one.
        log: Axes with a logarithmic scale: ``""``, ``"x"``, ``"y"`` or ``"xy"``.
        legend: Place of the legend; drawn if anything has a label.
    """

    draw: Callable[[Axes, Table, Theme], None]
    x: str = ""
    y: str = ""
    log: str = ""
    legend: Literal["best", "upper left", "upper right", "lower left", "lower right"] = "best"

    def fill(self, axis: Axes, table: Table, theme: Theme) -> None:
        """Draw the panel into axes, with scales, labels and legend."""
        if "x" in self.log:
            axis.set_xscale("log")
        if "y" in self.log:
            axis.set_yscale("log")
        axis.set_xlabel(self.x)
        axis.set_ylabel(self.y)
        self.draw(axis, table, theme)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize="small", handlelength=1.2, borderaxespad=0.3, loc=self.legend)


def figure(
    table: Table,
    panels: Sequence[Panel] = (),
    columns: int = 2,
    theme: "Theme | None" = None,
    width: float | None = None,
) -> "Figure":
    """Draw panels; without any, a single one shows every measured number.

    ``columns`` of them are side by side, always one in the column of a paper. The theme is light
    by default, the width 9.6 inches, or 4.6 for a single panel of all numbers.
    """
    from ..figures.style import LIGHT, drawing, fitting

    theme = theme or LIGHT
    # After the style, which sees to it that Matplotlib can be imported.
    from matplotlib.figure import Figure

    if width is None:
        width = 9.6 if panels else 4.6
    panels = panels or (Panel(_everything, x="row of the table"),)
    columns = min(columns, len(panels)) if width > 5 else 1
    rows = -(-len(panels) // columns)
    size = fitting(width)
    with drawing(theme, size):
        height = rows * (0.68 * width / columns + 0.25)
        drawn = Figure(figsize=(width, height), layout="constrained")
        axes = drawn.subplots(rows, columns, squeeze=False).flatten()
        for axis, panel in zip(axes, panels, strict=False):
            panel.fill(axis, table, theme)
            axis.grid(color=theme.shade, linewidth=0.6)
            axis.set_axisbelow(True)
            axis.yaxis.label.set_size(size)
            axis.tick_params(labelsize=size - 1)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
    return drawn


def _everything(axis: Axes, table: Table, theme: Theme) -> None:
    """Every measured number beside the expected one."""
    expected = table.dropna(subset=["expected"]).reset_index(drop=True)
    shown = expected if len(expected) else table.reset_index(drop=True)
    measured(axis, shown.index, shown, theme, 0, "measured")
    if len(expected):
        axis.plot(expected.index, expected["expected"], "_", color=theme.ink, label="expected")


def measured(axis: Axes, x: Any, rows: Table, theme: Theme, k: int, label: str) -> None:
    """Draw points with 95 % intervals, in the k-th colour and marker."""
    axis.errorbar(
        rows[x] if isinstance(x, str) else x, rows["value"], yerr=1.96 * rows["error"].fillna(0),
        fmt=_marker(k), color=_colour(theme, k), markersize=4, elinewidth=1, label=label,
        markeredgecolor=theme.paper, markeredgewidth=0.4, zorder=3,
    )  # fmt: skip


def grouped(
    axis: Axes, table: Table, theme: Theme, *, x: str, by: str = "", **conditions: object
) -> None:
    """Draw rows under some conditions with their expected lines, a colour for each ``by``."""
    rows = table
    for name, value in conditions.items():
        rows = rows[rows[name] == value]
    for k, name in enumerate(dict.fromkeys(rows[by]) if by else [""]):
        chosen = rows[rows[by] == name] if by else rows
        measured(axis, x, chosen, theme, k, str(name))
        theory(axis, x, chosen, theme, k)
    if rows[x].nunique() < 8:
        ticks(axis, rows[x])


def joined(axis: Axes, x: Any, y: Any, theme: Theme, k: int, label: str) -> None:
    """Draw points joined by a line, in the k-th colour and marker."""
    axis.plot(
        x, y, f"{_marker(k)}-", color=_colour(theme, k), markersize=4, linewidth=1.1, label=label
    )


def repeated(axis: Axes, x: str, rows: Table, theme: Theme, k: int, label: str) -> None:
    """Draw every repeat as a small point, and a line through the means."""
    mean = rows.groupby(x)["value"].mean()
    axis.plot(rows[x], rows["value"], _marker(k), color=_colour(theme, k), markersize=3)
    axis.plot(mean.index, mean, color=_colour(theme, k), linewidth=1.2, label=label)


def theory(axis: Axes, x: str, rows: Table, theme: Theme, k: int) -> None:
    """Draw expected values as a line in the k-th colour."""
    rows = rows.sort_values(x)
    axis.plot(rows[x], rows["expected"], "-", color=_colour(theme, k), linewidth=1.1, zorder=2)


def ticks(axis: Axes, values: Iterable[float], scales: str = "x") -> None:
    """Put ticks at the values, without exponents, on the scales ``"x"``, ``"y"`` or ``"xy"``."""
    places = sorted(set(values))
    for name in scales:
        scale = axis.xaxis if name == "x" else axis.yaxis
        scale.set_ticks(places, labels=[f"{value:g}" for value in places])
    axis.minorticks_off()


def _marker(k: int) -> str:
    from ..figures.style import MARKERS

    return MARKERS[k % len(MARKERS)]


def _colour(theme: Theme, k: int) -> str:
    return theme.palette[k % len(theme.palette)]
