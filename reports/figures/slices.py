"""Trials of a search: by hyperparameter, over the two that matter most, and as lines."""

import math

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.tri import Triangulation
from scipy import stats
from scipy.spatial import Delaunay

from ..ranking.sensitivity import Slice
from ..ranking.statistics import Array
from .style import LIGHT, Theme, decades, drawing, fit, fitting, grid_lines, short

_PER_ROW = 3
_FEWEST_FOR_CONTOURS = 8


def slice_figure(
    slices: list[Slice], quantity: str, theme: Theme = LIGHT, width: float = 4.6
) -> Figure:
    """Draw one panel per hyperparameter of a cell, and contours over the two that matter most.

    ``quantity`` is the name of the score of the trials.
    """
    numbers = [hyperparameter for hyperparameter in slices if hyperparameter.is_number]
    has_map = len(numbers) > 1 and len(numbers[0].losses) == len(numbers[1].losses)
    panels = len(slices) + has_map
    columns = min(_PER_ROW, panels)
    rows = math.ceil(panels / columns)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, rows * (0.3 * width + 0.45)), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for i, axis in enumerate(axes.flat):
            if i < len(slices):
                _slice(axis, slices[i], theme)
                if i % columns == 0:
                    axis.set_ylabel(quantity)
                else:
                    axis.tick_params(axis="y", labelleft=False)
            elif i < panels:
                _map(axis, numbers[0], numbers[1], theme)
            else:
                axis.set_axis_off()
    return figure


def _slice(axis: Axes, hyperparameter: Slice, theme: Theme) -> None:
    at, losses = _positions(axis, hyperparameter), hyperparameter.losses
    finite = np.isfinite(losses)
    axis.scatter(
        at[finite], losses[finite], c=np.flatnonzero(finite), cmap="viridis", s=14,
        linewidths=0.4, edgecolors=theme.paper, zorder=3,
    )  # fmt: skip
    _limits(axis, losses[finite])
    if not finite.all():
        top = np.full(int((~finite).sum()), axis.get_ylim()[1])
        colour = theme.palette[1]
        axis.plot(at[~finite], top, "x", color=colour, ms=5, mew=1.4, clip_on=False, zorder=4)
    winners = [i for i in hyperparameter.winners if finite[i]]
    x, y = at[winners], losses[winners]
    axis.plot(x, y, "o", ms=9, mfc="none", mec=theme.ink, mew=1.1, zorder=5)
    importance, error = hyperparameter.importance, hyperparameter.error
    share = "" if math.isnan(importance) else f" · {100 * importance:.0f} %"
    if not math.isnan(error):
        share = f" · {100 * importance:.0f} ± {100 * error:.0f} %"
    axis.set_xlabel(f"{hyperparameter.name}{share}")
    grid_lines(axis, theme)


def _map(axis: Axes, first: Slice, second: Slice, theme: Theme) -> None:
    """Draw contours of the loss over two hyperparameters, and a cross for each failed run."""
    x, y = _positions(axis, first), _positions(axis, second, vertical=True)
    failed = np.isinf(first.losses)
    if len({*zip(x[~failed], y[~failed], strict=True)}) >= _FEWEST_FOR_CONTOURS:
        # Triangles are those of the drawn positions: on a logarithmic scale others are neighbours.
        places = [np.log(at) if part.logarithmic else at for at, part in ((x, first), (y, second))]
        low, high = np.transpose([(at[~failed].min(), at[~failed].max()) for at in places])
        unit = (np.transpose(places)[~failed] - low) / (high - low)
        triangles = Delaunay(unit, qhull_options="QJ").simplices
        ranks = stats.rankdata(first.losses[~failed])
        grid = Triangulation(x[~failed], y[~failed], triangles)
        axis.tricontourf(grid, ranks, levels=8, cmap="viridis", alpha=0.55)
    axis.plot(x[~failed], y[~failed], "o", color=theme.ink, markersize=2)
    axis.plot(x[failed], y[failed], "x", color=theme.palette[1], ms=5, mew=1.4)
    axis.plot(x[list(first.winners)], y[list(first.winners)], "o", ms=8, mfc="none",
              mec=theme.ink, mew=1.1)  # fmt: skip
    axis.set_xlabel(f"{first.name}, ✕ failed" if failed.any() else f"{first.name}, dark is best")
    axis.set_ylabel(second.name)


def parallel_figure(slices: list[Slice], theme: Theme = LIGHT, width: float = 4.6) -> Figure:
    """Draw each trial as a line through its hyperparameters, best trials dark and on top.

    Each vertical line is a range, from its lower to its upper end. Trials that lack one of the
    hyperparameters, and failed ones, are left out.
    """
    count = max(len(part.losses) for part in slices)
    slices = [part for part in slices if len(part.losses) == count]
    losses = slices[0].losses
    places = np.transpose([_share_of_range(part) for part in slices])
    order = [i for i in np.argsort(-losses) if np.isfinite(losses[i])]
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, 0.5 * width), layout="constrained")
        axis = figure.subplots()
        colours = colormaps["viridis"](np.linspace(1, 0, len(order)))
        for i, colour in zip(order, colours, strict=True):
            axis.plot(places[i], color=colour, linewidth=1, alpha=0.7)
        for winner in slices[0].winners:
            axis.plot(places[winner], color=theme.palette[1], linewidth=1.8)
        axis.set_xticks(range(len(slices)), [part.name for part in slices])
        axis.set_yticks([0, 1], ["low", "high"])
        axis.grid(axis="x", color=theme.shade, linewidth=1)
        axis.set_axisbelow(True)
    return figure


def _share_of_range(part: Slice) -> Array:
    """Return where the values lie in their range, 0 to 1; choices are spread evenly."""
    if not part.is_number:
        choices = sorted({str(value) for value in part.values})
        return np.array([choices.index(str(value)) for value in part.values]) / max(
            len(choices) - 1, 1
        )
    scale = np.log if part.logarithmic else np.asarray
    low, high = scale(part.low), scale(part.high)
    return np.asarray((scale(part.values.astype(np.float64)) - low) / (high - low))


def _positions(axis: Axes, hyperparameter: Slice, vertical: bool = False) -> Array:
    """Scale an axis and return the positions of the values on it; choices stand side by side."""
    if not hyperparameter.is_number:
        return _choices(axis, hyperparameter, vertical)
    line = axis.yaxis if vertical else axis.xaxis
    limits = axis.set_ylim if vertical else axis.set_xlim
    low, high = hyperparameter.low, hyperparameter.high
    if hyperparameter.logarithmic:
        (axis.set_yscale if vertical else axis.set_xscale)("log")
        decades(line, fine=high <= 90 * low)
        pad = (high / low) ** 0.04
        limits(low / pad, high * pad)
    else:
        pad = 0.04 * (high - low or 1.0)
        limits(low - pad, high + pad)
        line.set_major_locator(MaxNLocator(3))
        line.set_major_formatter(short)
    return hyperparameter.values.astype(np.float64)


def _choices(axis: Axes, hyperparameter: Slice, vertical: bool) -> Array:
    choices = sorted({str(value) for value in hyperparameter.values})
    set_ticks = axis.set_yticks if vertical else axis.set_xticks
    if len(choices) > 2 and not vertical:
        set_ticks(range(len(choices)), choices, fontsize="x-small", rotation=35, ha="right",
                  rotation_mode="anchor")  # fmt: skip
    else:
        length = max(2, 22 // len(choices))
        set_ticks(range(len(choices)), [name[:length] for name in choices], fontsize="x-small")
    (axis.set_ylim if vertical else axis.set_xlim)(-0.5, len(choices) - 0.5)
    return np.array([choices.index(str(value)) for value in hyperparameter.values], np.float64)


def _limits(axis: Axes, losses: Array) -> None:
    """Fit the y axis to the losses of the trials."""
    if not len(losses):
        axis.set_ylim(0.0, 1.0)
    elif not fit(axis, losses, above=1.4, pad=0.1):
        axis.yaxis.set_major_locator(MaxNLocator(4))
