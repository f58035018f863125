"""Learning and sampling errors of each cell; ``ranking.split`` explains them."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ..ranking.evidence import Evidence
from ..ranking.split import Split, splits
from ..ranking.statistics import Array, Estimate
from .style import LIGHT, Theme, colours, decades, drawing, error_bar, fit, fitting, short


def split_figure(
    evidence: Evidence, dataset: str, theme: Theme = LIGHT, width: float = 4.6
) -> Figure:
    """Draw the floor, the learning error, the sampling error and both together, cell by cell."""
    rows = splits(evidence, dataset)
    shades = colours((c.label for c in evidence.contestants), theme)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, 0.95 + 0.36 * len(rows)), layout="constrained")
        axis = figure.subplots()
        for y, split in enumerate(rows):
            colour = shades[split.label][0]
            _mark(axis, split.cell.loss, y - 0.24, "o", colour, colour)
            _mark(axis, split.learning, y, "o", colour, theme.paper)
            _mark(axis, split.sampling, y + 0.24, "D", theme.ink, theme.paper)
        truth = rows[0].cell.truth
        if len(truth) and np.isfinite(truth).all():
            low, high = (float(q) for q in np.quantile(truth, [0.0, 0.95]))
            axis.axvspan(low, high, color=theme.shade, zorder=0.5)
        _scale(axis, rows)
        axis.set_yticks(range(len(rows)), [split.label for split in rows])
        axis.set_ylim(len(rows) - 0.45, -0.55)
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        axis.set_xlabel(evidence.objective.upper())
        figure.legend(
            handles=_legend(theme),
            loc="outside upper left",
            ncols=4 if width > 4 else 2,
            fontsize=fitting(width) - 1,
            handletextpad=0.3,
            columnspacing=1.0,
        )
    return figure


def _mark(axis: Axes, error: Estimate, y: float, marker: str, colour: str, face: str) -> None:
    if not math.isfinite(error.value):
        words = "failed" if math.isinf(error.value) else "not known"
        axis.text(1.0, y, words, ha="right", va="center", fontsize="x-small", color=colour,
                  transform=axis.get_yaxis_transform())  # fmt: skip
        return
    axis.errorbar(
        [error.value], [y], xerr=error_bar(error), fmt=marker, color=colour, markerfacecolor=face,
        markersize=4.2, linewidth=1.1, capsize=2, zorder=3,
    )  # fmt: skip


def _scale(axis: Axes, rows: list[Split]) -> None:
    errors = [e for row in rows for e in (row.floor, row.learning, row.sampling, row.cell.loss)]
    values: Array = np.array([error.value for error in errors])
    values = values[np.isfinite(values)]
    if fit(axis, values, along="x", ratio=5, above=1.4, pad=0.12):
        decades(axis.xaxis, fine=values.max() < 100 * values.min())
    elif values.size:
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter(short)


def _legend(theme: Theme) -> list[Line2D | Patch]:
    ink, paper = theme.ink, theme.paper
    kinds = [("both", "o", ink), ("learning only", "o", paper), ("sampling only", "D", paper)]
    return [
        *(
            Line2D([], [], color=ink, marker=marker, markerfacecolor=face, linestyle="", label=name)
            for name, marker, face in kinds
        ),
        Patch(facecolor=theme.shade, edgecolor=theme.faint, linewidth=1, label="floor"),
    ]
