"""Overview of a study: all methods on all datasets."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from .. import text
from ..ranking.cell_results import CellResults
from ..ranking.evidence import Evidence
from .style import LIGHT, Theme, colours, decades, drawing, short

_ROOMY = 2.5

_MOST_SAMPLERS = 4
"""Samplers whose references are drawn."""


def overview(
    evidence: Evidence, theme: Theme = LIGHT, columns: int | None = None, width: float = 9.6
) -> Figure:
    """Draw confirmed means with 95 % intervals, all seeds, floor, oracle and untrained network.

    ``columns`` datasets are side by side (default: depends on their number).
    """
    labels = [c.label for c in evidence.contestants]
    datasets = list(evidence.datasets)
    columns = columns or min(len(datasets), 4 if len(datasets) == 4 else 3)
    rows = math.ceil(len(datasets) / columns)
    height = 0.75 + rows * (0.95 + 0.27 * len(labels))
    with drawing(theme, 8.0 if width < 4 else 9.0):
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
        figure = Figure(figsize=(width, height), layout=layout)
        axes = figure.subplots(rows, columns, squeeze=False)
        for i, axis in enumerate(axes.flat):
            if i >= len(datasets):
                axis.set_axis_off()
                continue
            _panel(axis, evidence, datasets[i], theme, first=i % columns == 0)
        # Raise the titles where a note on the untrained network takes their place.
        narrow = width / columns < _ROOMY
        above = 15.0 if narrow and any(axis.texts for axis in axes.flat) else None
        for dataset, axis in zip(datasets, axes.flat, strict=False):
            axis.set_title(dataset, loc="left", fontweight="bold", pad=above)
        figure.supxlabel(
            f"{evidence.objective.upper()}, confirmed on fresh seeds; further left is better",
            fontsize=8.5,
            color=theme.faint,
        )
        figure.legend(
            handles=_legend(theme, evidence),
            loc="outside upper left",
            fontsize=8,
            ncols=2 if width < 4 else 3 if columns < 2 else 5,
            handlelength=1.6,
            columnspacing=1.4,
            borderaxespad=0.2,
        )
    return figure


def _panel(axis: Axes, evidence: Evidence, dataset: str, theme: Theme, first: bool) -> None:
    shades = colours((c.label for c in evidence.contestants), theme)
    cells = _cells(evidence, dataset)
    _references(axis, cells, theme, logarithmic=_scale(axis, cells))
    right = axis.get_xlim()[1]
    for y, (contestant, cell) in enumerate(zip(evidence.contestants, cells, strict=True)):
        colour, marker = shades[contestant.label]
        _cell(axis, cell, y, colour, marker, theme, right)
    axis.set_ylim(len(cells) - 0.4, -0.6)
    axis.set_yticks(range(len(cells)), [c.label for c in evidence.contestants] if first else [])
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", length=3)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", color=theme.shade, linewidth=0.6, zorder=0)
    axis.set_axisbelow(True)


def _cells(evidence: Evidence, dataset: str) -> list[CellResults]:
    """Return the cells of the contestants, without references where many samplers have their own.

    A line for each would hide the cells.
    """
    cells = [contestant.cells[dataset] for contestant in evidence.contestants]
    if len({cell.sampler for cell in cells}) <= _MOST_SAMPLERS:
        return cells
    none: dict[str, Any] = {"exact": cells[0].exact.iloc[:0], "untrained": cells[0].untrained[:0]}
    return [replace(cell, **none) for cell in cells]


def _cell(
    axis: Axes, cell: CellResults, y: int, colour: str, marker: str, theme: Theme, right: float
) -> None:
    if cell.missing or cell.failed:
        note = "missing" if cell.missing else f"{cell.failed} of {len(cell.confirm)} failed ✕"
        axis.text(
            right, y, note, ha="right", va="center", fontsize=7.5, color=theme.ink, zorder=5,
            bbox={"facecolor": theme.paper, "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
    values = cell.losses[np.isfinite(cell.losses)]
    offsets = y + 0.24 + np.zeros(len(values))
    size = 6 if cell.several else 4
    axis.plot(values, offsets, "|", color=colour, alpha=0.75, markersize=size, markeredgewidth=0.9)
    if cell.several:
        # Seeds below the restarts that they belong to: the two spreads can be told apart.
        seeds = cell.seeds[np.isfinite(cell.seeds)]
        axis.plot(
            seeds, y + 0.38 + np.zeros(len(seeds)), ".", color=colour, alpha=0.5, markersize=2
        )
    if not math.isfinite(cell.mean):
        return
    low, high = cell.interval
    if math.isfinite(low):
        reach = [[max(cell.mean - low, 0.0)], [max(high - cell.mean, 0.0)]]
        axis.errorbar(
            [cell.mean], [y], xerr=reach, color=colour, linewidth=1.8, capsize=3,
            capthick=1.4, zorder=3,
        )  # fmt: skip
    axis.plot([cell.mean], [y], marker, color=colour, ms=5.2, mec=theme.paper, mew=0.6, zorder=4)


def _references(axis: Axes, cells: Sequence[CellResults], theme: Theme, logarithmic: bool) -> None:
    """Draw the noise floor as a band, the oracle and the untrained network as lines."""
    truth = cells[0].truth
    if len(truth) and np.isfinite(truth).all():
        low, high = (float(q) for q in np.quantile(truth, [0.0, 0.95]))
        left = axis.get_xlim()[0]
        axis.axvspan(max(low, left) if logarithmic else low, high, color=theme.shade, zorder=0.5)
        axis.axvline(float(truth.mean()), color=theme.faint, linewidth=1.2, zorder=1)
    by_sampler = {cell.sampler: cell for cell in reversed(cells)}
    for name, style in (("oracle", (0, (4, 2))), ("untrained", (0, (1, 1.6)))):
        for sampler in sorted(by_sampler):
            values = getattr(by_sampler[sampler], name)
            if not len(values) or not np.isfinite(values).all():
                continue
            mean = float(values.mean())
            if mean <= axis.get_xlim()[1]:
                axis.axvline(mean, color=theme.ink, linewidth=1.1, linestyle=style, zorder=1)
                continue
            axis.annotate(
                f"{name} {text.number(mean, 2)} →", (1.0, 1.01), ha="right", va="bottom",
                xycoords="axes fraction", fontsize=7.5, color=theme.faint,
            )  # fmt: skip


def _scale(axis: Axes, cells: Sequence[CellResults]) -> bool:
    """Fit the x axis to all finite values; return whether it is logarithmic.

    It is logarithmic where positive values span a wide range. Metrics that scatter around zero at
    the floor get an axis that is linear there.
    """
    parts = [(cell.losses, cell.truth, cell.oracle, cell.untrained) for cell in cells]
    values = np.concatenate([values for part in parts for values in part])
    values = values[np.isfinite(values)]
    if values.size == 0:
        axis.set_xlim(0, 1)
        return False
    ends = [end for cell in cells for end in cell.interval if math.isfinite(end)]
    low, high = min([values.min(), *ends]), max([values.max(), *ends])
    axis.xaxis.set_major_formatter(short)
    if values.min() > 0 and values.max() > 4 * values.min():
        # Cut an interval that reaches below zero: a linear axis would hide more.
        _logarithmic(axis, max(low, values.min() / 3), high)
        return True
    bend = 3 * max((abs(value) for value in cells[0].truth if math.isfinite(value)), default=0.0)
    end = _linear_end(cells) if bend > 0 else None
    if end is None and 0 < bend < high / 10:
        _linear_then_logarithmic(axis, low, high, bend)
        return False
    pad = 0.06 * (high - low or 1.0)
    limits = (low - pad, high + pad) if end is None else (min(low, 0.0) - 0.03 * end, 1.06 * end)
    axis.set_xlim(*limits)
    axis.xaxis.set_major_locator(MaxNLocator(4))
    return False


def _logarithmic(axis: Axes, low: float, high: float) -> None:
    pad = (high / low) ** 0.06
    axis.set_xscale("log")
    axis.set_xlim(low / pad, high * pad)
    decades(axis.xaxis, fine=high < 300 * low)


def _linear_then_logarithmic(axis: Axes, low: float, high: float, bend: float) -> None:
    axis.set_xscale("symlog", linthresh=bend, linscale=0.3)
    decades = range(math.floor(math.log10(bend)), math.ceil(math.log10(high)) + 1)
    round_values = [step * 10.0**k for k in decades for step in (1.0, 2.0, 5.0)]
    ticks = [tick for tick in round_values if 1.5 * bend < tick < 1.4 * high]
    few = ticks[:: -math.ceil(len(ticks) / 3)] if ticks else []
    axis.xaxis.set_major_locator(FixedLocator([0.0, *few]))
    axis.xaxis.set_major_formatter(short)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(min(low, 0.0) - bend / 4, high * 1.4)


def _linear_end(cells: Sequence[CellResults]) -> float | None:
    """Return the end of a linear axis, which leaves out an untrained network far to the right.

    ``None`` where the methods themselves span decades.
    """
    means = [cell.mean for cell in cells if math.isfinite(cell.mean)]
    ends = [end for cell in cells for end in cell.interval if math.isfinite(end)]
    measured = np.concatenate([np.zeros(1), *(c.losses for c in cells), *(c.oracle for c in cells)])
    high = max([float(measured[np.isfinite(measured)].max()), *ends])
    if not means or min(means) <= 0 or high > 15 * min(means):
        return None
    untrained = [float(cell.untrained.mean()) for cell in cells if len(cell.untrained)]
    return max([high, *(value for value in untrained if value < 1.6 * high)])


def _legend(theme: Theme, evidence: Evidence) -> list[Line2D | Patch]:
    ink, faint, several = theme.ink, theme.faint, evidence.restarts > 1
    cells = [cell for dataset in evidence.datasets for cell in _cells(evidence, dataset)]
    exact = [Line2D([], [], color=ink, linestyle=(0, (4, 2)), label="exact score")]
    untrained = [Line2D([], [], color=ink, linestyle=(0, (1, 1.6)), label="untrained")]
    seeds = [Line2D([], [], color=ink, marker=".", linestyle="", markersize=3, label="seeds")]
    unit = "restarts" if several else "seeds"
    return [
        Line2D([], [], color=ink, marker="o", markersize=5, label="mean, 95 % interval"),
        Line2D([], [], color=ink, marker="|", linestyle="", markersize=6, label=unit),
        *(seeds if several else []),
        Patch(facecolor=theme.shade, edgecolor=faint, linewidth=1, label="floor (truth vs truth)"),
        *(exact if any(len(cell.oracle) for cell in cells) else []),
        *(untrained if any(len(cell.untrained) for cell in cells) else []),
    ]
