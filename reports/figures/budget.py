"""Search curves: best value of each method's search by trials and by seconds."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..ranking.budget import SearchPath, path
from ..ranking.cell_results import CellResults
from ..ranking.evidence import Evidence
from ..ranking.statistics import Array, Estimate
from .style import LIGHT, Theme, colours, drawing, fit, fitting, grid_lines


def budget_curves(
    evidence: Evidence, dataset: str, independent: bool, theme: Theme = LIGHT, width: float = 4.6
) -> Figure:
    """Draw the best value so far on a dataset, and the confirmed mean of each winner.

    Bands are 95 % intervals, explained in ``ranking.budget``; ``independent`` says whether the
    trials were drawn at random.
    """
    shades = colours((c.label for c in evidence.contestants), theme)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, 0.55 * width + 0.3), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for contestant in evidence.contestants:
            cell = contestant.cells[dataset]
            search = path(cell, independent)
            if len(search.losses):
                _search(list(axes), search, cell, shades[contestant.label], theme)
        axes[0].set_xlabel("trials")
        axes[0].xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes[1].set_xlabel("seconds of computing")
        axes[0].set_ylabel(f"{evidence.objective.upper()}, best so far")
        for axis in axes:
            grid_lines(axis, theme)
        lines = [np.asarray(line.get_ydata(), float) for line in axes[0].lines]
        fit(axes[0], np.concatenate([np.zeros(0), *lines]), below=1.5, above=1.5, pad=0.12)
        _legend(figure, axes[0], width)
    return figure


def _search(
    axes: list[Axes], search: SearchPath, cell: CellResults, shade: tuple[str, str], theme: Theme
) -> None:
    """Draw one search by trials and by seconds, with its confirmed mean at the end."""
    colour, marker = shade
    trials = np.arange(1.0, len(search.losses) + 1)
    best = [search.after(int(count)) for count in trials]
    _curve(axes[0], trials, best, colour, cell.label)
    _curve(axes[1], _times(search), best, colour, "")
    if np.isfinite(cell.mean):
        for axis, end in zip(axes, (len(trials), search.seconds.sum()), strict=True):
            mean, paper = [cell.mean], theme.paper
            axis.plot([end], mean, marker, color=colour, ms=4.5, mec=paper, mew=0.5, zorder=4)


def _times(search: SearchPath) -> Array:
    """Return the seconds after which each trial ends, shape (trials,)."""
    if search.independent:
        return np.linspace(search.seconds.mean(), search.seconds.sum(), len(search.losses))
    times: Array = np.cumsum(search.seconds)
    return times


def _curve(axis: Axes, at: Array, best: list[Estimate], colour: str, label: str) -> None:
    values = np.array([estimate.value for estimate in best])
    half = np.nan_to_num([estimate.half_width() for estimate in best])
    shown = np.isfinite(values)
    low, high = (values - half)[shown], (values + half)[shown]
    axis.step(at[shown], values[shown], where="post", color=colour, linewidth=1.4, label=label)
    axis.fill_between(at[shown], low, high, step="post", color=colour, alpha=0.10, linewidth=0)


def _legend(figure: Figure, axis: Axes, width: float) -> None:
    """Add a legend above the axes with as many columns as fit."""
    handles, labels = axis.get_legend_handles_labels()
    if not handles:
        return
    size = fitting(width) - 0.5
    letters = width * 72 / (0.62 * size)
    columns = min(max(int(letters / (max(map(len, labels)) + 5)), 1), len(labels))
    figure.legend(
        handles, labels, loc="outside upper left", ncols=columns, fontsize=size,
        handlelength=1.4, columnspacing=1.2,
    )  # fmt: skip
