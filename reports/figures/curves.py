"""Curves over a budget: what the search of each method had found, by trials and by seconds."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..ranking.budget import SearchPath, path
from ..ranking.evidence import Evidence
from ..ranking.statistics import Array, Estimate
from .style import LIGHT, Theme, colours, drawing, fitting


def budget_curves(
    evidence: Evidence, dataset: str, independent: bool, theme: Theme = LIGHT, width: float = 4.6
) -> Figure:
    """Best value found so far on one dataset, and what the winner gave when it was confirmed.

    Bands are 95 % intervals, as ``budget`` explains them.

    Args:
        evidence: The gathered results.
        dataset: Which.
        independent: Whether the trials were drawn at random.
        theme: Colours.
        width: Of the figure, in inches.
    """
    shades = colours(sorted(c.label for c in evidence.contestants), theme)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, 0.55 * width + 0.3), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for contestant in evidence.contestants:
            cell = contestant.cells[dataset]
            one = path(cell, independent)
            if not len(one.losses):
                continue
            colour, marker = shades[contestant.label]
            steps = range(1, len(one.losses) + 1)
            found = [one.after(m) for m in steps]
            _curve(axes[0], np.array(steps, float), found, colour, contestant.label)
            _curve(axes[1], _times(one), found, colour, "")
            if np.isfinite(cell.mean):
                for axis, at in zip(axes, (len(steps), one.seconds.sum()), strict=True):
                    axis.plot(
                        [at], [cell.mean], marker, color=colour, markersize=4.5, zorder=4,
                        markeredgecolor=theme.paper, markeredgewidth=0.5,
                    )  # fmt: skip
        axes[0].set_xlabel("trials")
        axes[0].xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes[1].set_xlabel("seconds of computing")
        axes[0].set_ylabel(f"{evidence.objective.upper()}, best so far")
        for axis in axes:
            axis.grid(axis="y", color=theme.shade, linewidth=0.6)
            axis.set_axisbelow(True)
        _limits(axes[0])
        handles, labels = axes[0].get_legend_handles_labels()
        if handles:
            size = fitting(width) - 0.5
            letters = width * 72 / (0.62 * size)
            columns = int(letters / (max(map(len, labels)) + 5))
            figure.legend(
                handles, labels, loc="outside upper left", ncols=min(max(columns, 1), len(labels)),
                fontsize=size, handlelength=1.4, columnspacing=1.2,
            )  # fmt: skip
    return figure


def _times(one: SearchPath) -> Array:
    if one.independent:
        return np.linspace(one.seconds.mean(), one.seconds.sum(), len(one.losses))
    times: Array = np.cumsum(one.seconds)
    return times


def _curve(axis: Axes, at: Array, found: list[Estimate], colour: str, label: str) -> None:
    values = np.array([one.value for one in found])
    half = np.nan_to_num([one.half_width() for one in found])
    shown = np.isfinite(values)
    axis.step(at[shown], values[shown], where="post", color=colour, linewidth=1.4, label=label)
    axis.fill_between(
        at[shown], (values - half)[shown], (values + half)[shown], step="post", color=colour,
        alpha=0.10, linewidth=0,
    )  # fmt: skip


def _limits(axis: Axes) -> None:
    """The curves fill the axis; bands may be cut."""
    values = np.concatenate([np.zeros(0), *(np.asarray(x.get_ydata(), float) for x in axis.lines)])
    values = values[np.isfinite(values)]
    if not values.size:
        return
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > 8 * low:
        axis.set_yscale("log")
        axis.set_ylim(low / 1.5, high * 1.5)
    else:
        pad = 0.12 * (high - low or 1.0)
        axis.set_ylim(low - pad, high + pad)
