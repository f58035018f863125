"""Quality against cost as a figure."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..ranking.pareto import Point, points
from ..source import Source
from .style import LIGHT, Theme, colours, drawing, fitting


def front_figure(source: Source, dataset: str, theme: Theme = LIGHT, width: float = 4.6) -> Figure:
    """Quality against each cost: trials as dots, fresh runs with 95 % intervals, the front.

    Args:
        source: The run directory, read.
        dataset: Which.
        theme: Colours.
        width: Of the figure, in inches.
    """
    costs = source.study.costs
    found = points(source.evidence, costs, dataset)
    shades = colours(sorted(c.label for c in source.evidence.contestants), theme)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, 0.72 * width * len(costs)), layout="constrained")
        for axis, cost in zip(
            figure.subplots(len(costs), 1, squeeze=False)[:, 0], costs, strict=True
        ):
            for cell in source.evidence.on(dataset):
                colour = shades[cell.label][0]
                trials = cell.search[
                    (cell.search["replicate"] == 0) & (cell.search["state"] == "ok")
                ]
                axis.scatter(
                    trials[cost],
                    trials[cell.objective],
                    s=7,
                    color=colour,
                    alpha=0.35,
                    linewidths=0,
                )
            _fresh(axis, found, cost, shades, theme)
            _scales(axis, found, cost)
            axis.set_xlabel(cost.replace("_", " "))
            axis.set_ylabel(source.study.objective.upper())
        figure.legend(
            *figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4,
            fontsize=fitting(width) - 1,
        )  # fmt: skip
    return figure


def _fresh(
    axis: Axes, found: list[Point], cost: str, shades: dict[str, tuple[str, str]], theme: Theme
) -> None:
    seen: set[str] = set()
    for point in found:
        if not math.isfinite(point.quality.value):
            continue
        colour, marker = shades[point.label]
        half = point.quality.half_width()
        axis.errorbar(
            [point.costs[cost]], [point.quality.value],
            yerr=None if math.isnan(half) else [[half], [half]], fmt=marker, color=colour,
            markerfacecolor=colour if point.overall else theme.paper, markersize=5, linewidth=0.9,
            capsize=2, zorder=3, label=None if point.label in seen else point.label,
        )  # fmt: skip
        seen.add(point.label)
    best = sorted((p.costs[cost], p.quality.value) for p in found if p.overall)
    if len(best) > 1:
        x, y = np.array(best).T
        axis.step(x, y, where="post", color=theme.faint, linewidth=0.9, zorder=2)


def _scales(axis: Axes, found: list[Point], cost: str) -> None:
    """By the points themselves: intervals of few runs may be much longer than the figure."""
    x = np.array([p.costs[cost] for p in found])
    y = np.array([p.quality.value for p in found])
    if len(x) and np.nanmin(x) > 0 and np.nanmax(x) > 5 * np.nanmin(x):
        axis.set_xscale("log")
    y = y[np.isfinite(y)]
    if not len(y):
        return
    low, high = float(y.min()), float(y.max())
    if low > 0 and high > 5 * low:
        axis.set_yscale("log")
        axis.set_ylim(low / 2, high * 2)
    else:
        pad = 0.4 * (high - low or abs(low) or 1.0)
        axis.set_ylim(low - pad, high + pad)
