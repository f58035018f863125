"""Anytime curves: score of each searcher's best configuration so far, by number of trials."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ..ranking.evidence import Evidence
from ..ranking.searchers import ALL, standings
from .style import LIGHT, Theme, colours, drawing, fitting, grid_lines


def searcher_curves(
    contests: Mapping[int, Evidence], theme: Theme = LIGHT, width: float = 4.6
) -> Figure:
    """Draw the mean score over all cells after each number of trials, with 95 % intervals.

    Filled marks are confirmed; the others are repeat runs on seeds that did not choose.
    """
    rows = [row for row in standings(dict(contests)) if row.cell == ALL]
    labels = sorted({row.searcher for row in rows})
    shades = colours(labels, theme)
    last = max(contests)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, 0.62 * width), layout="constrained")
        axis = figure.subplots()
        for number, label in enumerate(labels):
            own = sorted((row for row in rows if row.searcher == label), key=lambda r: r.trials)
            # A little apart, so that intervals can be told apart.
            at = np.array([row.trials for row in own]) * 1.02 ** (number - len(labels) / 2)
            value = np.array([row.score.value for row in own])
            limits = np.array([row.score.interval() for row in own])
            colour, marker = shades[label]
            axis.plot(at, value, color=colour, linewidth=1.2, label=label)
            axis.vlines(at, *limits.T, color=colour, linewidth=0.9, alpha=0.6)
            filled = [colour if row.trials == last else theme.paper for row in own]
            for x, y, inner in zip(at, value, filled, strict=True):
                axis.plot([x], [y], marker, color=colour, mfc=inner, ms=4.5, zorder=4)
        axis.set_xscale("log")
        axis.set_xticks(sorted(contests), labels=[str(count) for count in sorted(contests)])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xlabel("trials per cell")
        axis.set_ylabel("score of the best so far")
        grid_lines(axis, theme)
        axis.legend(fontsize=fitting(width) - 0.5, handlelength=1.4)
    return figure
