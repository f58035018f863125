"""Quality against cost: trials, repeat runs and the front."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..ranking.pareto import Point, points
from ..source import Source
from .style import LIGHT, Theme, colours, drawing, error_bar, fit, fitting


def front_figure(source: Source, dataset: str, theme: Theme = LIGHT, width: float = 4.6) -> Figure:
    """Draw quality against each cost: trials, repeat runs with 95 % intervals, the front."""
    costs = source.study.costs
    shown = points(source.evidence, costs, dataset)
    shades = colours((c.label for c in source.evidence.contestants), theme)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, 0.72 * width * len(costs)), layout="constrained")
        axes = figure.subplots(len(costs), 1, squeeze=False)[:, 0]
        for axis, cost in zip(axes, costs, strict=True):
            for cell in source.evidence.on(dataset):
                trials = cell.search.query("replicate == 0 and state == 'ok'")
                colour = shades[cell.label][0]
                x, y = trials[cost], trials[cell.objective]
                axis.scatter(x, y, s=7, color=colour, alpha=0.35, linewidths=0)
            _repeats(axis, shown, cost, shades, theme)
            _scale(axis, shown, cost)
            axis.set_xlabel(cost.replace("_", " "))
            axis.set_ylabel(source.study.objective.upper())
        handles = figure.axes[0].get_legend_handles_labels()
        size = fitting(width) - 1
        figure.legend(*handles, loc="outside upper left", ncols=4, fontsize=size)
    return figure


def _repeats(
    axis: Axes, shown: list[Point], cost: str, shades: dict[str, tuple[str, str]], theme: Theme
) -> None:
    """Draw the means of the repeat runs; filled marks are on the front."""
    in_legend: set[str] = set()
    for point in shown:
        if not math.isfinite(point.quality.value):
            continue
        colour, marker = shades[point.label]
        axis.errorbar(
            [point.costs[cost]], [point.quality.value], yerr=error_bar(point.quality), fmt=marker,
            color=colour, markerfacecolor=colour if point.overall else theme.paper, markersize=5,
            linewidth=0.9, capsize=2, zorder=3,
            label=None if point.label in in_legend else point.label,
        )  # fmt: skip
        in_legend.add(point.label)
    best = sorted((p.costs[cost], p.quality.value) for p in shown if p.overall)
    if len(best) > 1:
        x, y = np.array(best).T
        axis.step(x, y, where="post", color=theme.faint, linewidth=0.9, zorder=2)


def _scale(axis: Axes, shown: list[Point], cost: str) -> None:
    """Fit the axes to the points: intervals of few runs may be much longer than the figure."""
    x = np.array([p.costs[cost] for p in shown])
    if len(x) and np.nanmin(x) > 0 and np.nanmax(x) > 5 * np.nanmin(x):
        axis.set_xscale("log")
    y = np.array([p.quality.value for p in shown])
    fit(axis, y, below=2, above=2, pad=0.4, ratio=5)
