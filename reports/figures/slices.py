"""Every trial of a search by each of its hyperparameters, and where in their ranges runs fail."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ..ranking.sensitivity import Slice
from ..ranking.statistics import Array
from .style import LIGHT, Theme, drawing, fitting

_PER_ROW = 3


def slice_figure(
    found: list[Slice], quantity: str, theme: Theme = LIGHT, width: float = 4.6
) -> Figure:
    """One panel per hyperparameter, and a map of the failures if there are any.

    Args:
        found: The hyperparameters of a cell, most important first.
        quantity: What the trials were scored by.
        theme: Colours.
        width: Of the figure, in inches.
    """
    numbers = [one for one in found if one.is_number]
    mapped = len(numbers) > 1 and any(np.isinf(one.losses).any() for one in numbers[:2])
    panels = len(found) + mapped
    columns = min(_PER_ROW, panels)
    rows = math.ceil(panels / columns)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, rows * (0.3 * width + 0.45)), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for i, axis in enumerate(axes.flat):
            if i < len(found):
                _slice(axis, found[i], theme)
                if i % columns == 0:
                    axis.set_ylabel(quantity)
                else:
                    axis.tick_params(axis="y", labelleft=False)
            elif i < panels:
                _map(axis, numbers[0], numbers[1], theme)
            else:
                axis.set_axis_off()
    return figure


def _slice(axis: Axes, one: Slice, theme: Theme) -> None:
    at = _positions(axis, one)
    finite = np.isfinite(one.losses)
    values = one.losses
    order = np.arange(len(values))[finite]
    axis.scatter(
        at[finite], values[finite], c=order, cmap="viridis", s=14, linewidths=0.4,
        edgecolors=theme.paper, zorder=3,
    )  # fmt: skip
    _, top = _limits(axis, values[finite])
    if not finite.all():
        axis.plot(
            at[~finite], np.full(int((~finite).sum()), top), "x",
            color=theme.palette[1], markersize=5, markeredgewidth=1.4, clip_on=False, zorder=4,
        )  # fmt: skip
    winner = [i for i in one.winners if finite[i]]
    axis.plot(
        at[winner], values[winner], "o", markersize=9, markerfacecolor="none",
        markeredgecolor=theme.ink, markeredgewidth=1.1, zorder=5,
    )  # fmt: skip
    share = "" if math.isnan(one.importance) else f" · {100 * one.importance:.0f} %"
    axis.set_xlabel(f"{one.name}{share}")
    axis.grid(axis="y", color=theme.shade, linewidth=0.6)
    axis.set_axisbelow(True)


def _map(axis: Axes, first: Slice, second: Slice, theme: Theme) -> None:
    """Two hyperparameters against each other: a cross where the run failed."""
    x, y = _positions(axis, first), _positions(axis, second, vertical=True)
    if len(x) != len(y):
        axis.set_axis_off()
        return
    failed = np.isinf(first.losses)
    axis.plot(x[~failed], y[~failed], "o", color=theme.palette[0], markersize=3.5)
    axis.plot(x[failed], y[failed], "x", color=theme.palette[1], markersize=5, markeredgewidth=1.4)
    axis.set_xlabel(f"{first.name}, ✕ failed")
    axis.set_ylabel(second.name)


def _positions(axis: Axes, one: Slice, vertical: bool = False) -> Array:
    """Where the values lie on the axis; choices are put side by side."""
    line = axis.yaxis if vertical else axis.xaxis
    limits = axis.set_ylim if vertical else axis.set_xlim
    if not one.is_number:
        kinds = sorted({str(value) for value in one.values})
        ticks = axis.set_yticks if vertical else axis.set_xticks
        room = 22 // len(kinds)
        slanted = not vertical and len(kinds) > 2
        names = kinds if slanted else [kind[: max(2, room)] for kind in kinds]
        how: dict[str, Any] = (
            {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
        )
        ticks(range(len(kinds)), names, fontsize="x-small", **how)
        limits(-0.5, len(kinds) - 0.5)
        return np.array([kinds.index(str(value)) for value in one.values], dtype=np.float64)
    values = one.values.astype(np.float64)
    if one.logarithmic:
        (axis.set_yscale if vertical else axis.set_xscale)("log")
        line.set_major_locator(LogLocator(subs=(1.0,) if one.high > 90 * one.low else (1.0, 2, 5)))
        line.set_minor_locator(NullLocator())
        pad = (one.high / one.low) ** 0.04
        limits(one.low / pad, one.high * pad)
    else:
        pad = 0.04 * (one.high - one.low or 1.0)
        limits(one.low - pad, one.high + pad)
        line.set_major_locator(MaxNLocator(3))
    line.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    return values


def _limits(axis: Axes, values: Array) -> tuple[float, float]:
    """An axis on which the few worst trials do not press all others flat."""
    if not len(values):
        axis.set_ylim(0.0, 1.0)
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > 8 * low:
        axis.set_yscale("log")
        bottom, top = low / 1.3, high * 1.4
    else:
        pad = 0.1 * (high - low or abs(high) or 1.0)
        bottom, top = low - pad, high + pad
        axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.set_ylim(bottom, top)
    return bottom, top
