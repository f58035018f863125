"""Curves of contests: what each contestant has reached, by its trials or evaluations."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from ..ranking.contests import ALL, Standing, standings
from ..ranking.evidence import Evidence
from ..ranking.statistics import Array
from .style import LIGHT, Theme, colours, drawing, fitting, grid_lines


def searcher_curves(
    contests: Mapping[int, Evidence], theme: Theme = LIGHT, width: float = 4.6
) -> Figure:
    """Draw the mean score over all cells after each number of trials, with 95 % intervals.

    Filled marks are confirmed; the others are repeat runs on seeds that did not choose.
    """
    last = max(contests)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, 0.62 * width), layout="constrained")
        axis = figure.subplots()
        _curves(axis, contests, theme, lambda value: value, lambda row: row.effort == last)
        axis.set_xlabel("trials per cell")
        axis.set_ylabel("score of the best so far")
        axis.legend(fontsize=fitting(width) - 0.5, handlelength=1.4)
    return figure


def sampler_profile(
    contests: Mapping[int, Evidence], theme: Theme = LIGHT, width: float = 7.2
) -> Figure:
    """Draw the share of targets that each sampler has reached, by evaluations per chain."""
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, 0.6 * width), layout="constrained")
        axis = figure.subplots()
        _curves(axis, contests, theme, lambda missed: 1 - missed, lambda _: True)
        axis.set_xlabel("score evaluations per chain")
        axis.set_ylabel("targets reached")
        axis.set_ylim(-0.02, 1.02)
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        # In the order of the lines at their right end.
        lines = sorted(axis.get_lines(), key=lambda line: -float(np.asarray(line.get_ydata())[-1]))
        figure.legend(
            handles=lines, loc="outside right center", fontsize=fitting(width) - 0.5,
            handlelength=1.8,
        )  # fmt: skip
    return figure


def _curves(
    axis: Axes,
    contests: Mapping[int, Evidence],
    theme: Theme,
    value: Callable[[Array], Array],
    filled: Callable[[Standing], bool],
) -> None:
    """Draw a function of the scores at all places together, with their intervals."""
    rows = [row for row in standings(dict(contests)) if row.place == ALL]
    labels = sorted({row.contestant for row in rows})
    shades = colours(labels, theme)
    for number, label in enumerate(labels):
        own = sorted((row for row in rows if row.contestant == label), key=lambda r: r.effort)
        # A little apart, so that intervals can be told apart.
        shift = (number - len(labels) / 2) * min(1.0, 8 / len(labels))
        at = np.array([row.effort for row in own]) * 1.02**shift
        heights = value(np.array([row.score.value for row in own]))
        limits = value(np.array([row.score.interval() for row in own]))
        colour, marker = shades[label]
        inner = [colour if filled(row) else theme.paper for row in own]
        axis.vlines(at, *limits.T, color=colour, linewidth=0.9, alpha=0.6)
        axis.plot(
            at, heights, marker, ls="-", color=colour, lw=1.2, ms=4.5, label=label, mfc="none"
        )
        axis.scatter(at, heights, marker=marker, c=inner, edgecolors=colour, s=20, zorder=4)
    axis.set_xscale("log")
    axis.set_xticks(sorted(contests), labels=[str(count) for count in sorted(contests)])
    axis.xaxis.set_minor_locator(NullLocator())
    grid_lines(axis, theme)
