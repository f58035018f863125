"""Learning against sampling: where the error of a cell comes from.

With ``reference.split`` confirmed models are also sampled exactly, on a grid. What is left then is
the error of learning alone; the exact score with the study's sampler has the error of sampling
alone; the confirmed value has both, and fresh truth neither. The parts need not add up: chains that
never change modes hide wrong weights of the modes.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from .. import text
from ..ranking.cell import Cell
from ..ranking.columns import Columns
from ..ranking.evidence import Evidence
from ..ranking.statistics import LEVEL, Array, Estimate, compare, estimate
from .style import LIGHT, Theme, colours, drawing, fitting


@dataclass(frozen=True)
class Split:
    """A cell whose model was also sampled exactly; values are losses.

    Attributes:
        label: Of the contestant.
        cell: Which.
    """

    label: str
    cell: Cell

    @cached_property
    def floor(self) -> Estimate:
        """Neither error: fresh truth."""
        return estimate([self.cell.truth])

    @cached_property
    def learning(self) -> Estimate:
        """The model, sampled exactly."""
        return estimate([self.cell.learned])

    @cached_property
    def sampling(self) -> Estimate:
        """The exact score, with the sampler."""
        return estimate([self.cell.oracle])

    @property
    def larger(self) -> str:
        """``learning`` or ``sampling``, whichever error is larger; empty where that is open."""
        if math.isinf(self.sampling.value) != math.isinf(self.learning.value):
            return "sampling" if math.isinf(self.sampling.value) else "learning"
        apart = estimate([self.cell.learned, -self.cell.oracle])
        if not apart.p_value() <= 1 - LEVEL:
            return ""
        return "learning" if apart.value > 0 else "sampling"

    @property
    def hidden(self) -> bool:
        """Whether the sampler's points are better than exact ones: it hides errors of learning."""
        return compare([self.cell.losses], [self.cell.learned]).first_is_better(LEVEL)


def splits(evidence: Evidence, dataset: str) -> list[Split]:
    """Cells of a dataset whose models were also sampled exactly, best first.

    Args:
        evidence: The gathered results.
        dataset: Which.
    """
    labels = {(c.method, c.sampler): c.label for c in evidence.contestants}
    return [
        Split(labels[cell.method, cell.sampler], cell)
        for cell in evidence.on(dataset)
        if len(cell.learned)
    ]


def split_sentence(found: list[Split]) -> str:
    """Which of the two errors is larger for whom.

    Args:
        found: Cells of one dataset.
    """
    parts = []
    for kind, words in (("learning", "learning"), ("sampling", "the sampler")):
        if labels := [one.label for one in found if one.larger == kind]:
            parts.append(f"{words} makes the larger error for {text.listed(labels)}")
    if labels := [one.label for one in found if not one.larger]:
        parts.append(f"for {text.listed(labels)} that is open")
    said = "; ".join(parts)
    hiding = [one.label for one in found if one.hidden]
    hidden = (
        f" With {text.listed(hiding)} the sampler hides errors of learning: its points are better "
        "than exact ones, as when chains stay in the mode where they start."
    )
    return f"{said[:1].upper()}{said[1:]}." + (hidden if hiding else "")


split_columns: Columns[Split] = Columns()
_on_split = split_columns.add


@_on_split("dataset")
def _dataset(one: Split) -> str:
    """What was to be learned."""
    return one.cell.dataset


@_on_split("label", "method")
def _label(one: Split) -> str:
    """What was trained, and the sampler where there are several."""
    return one.label


def _shown(one: Split, known: Estimate) -> str:
    return text.measured(one.cell.sign * known.value, known.half_width())


@_on_split("floor", "neither: floor", show=lambda one: _shown(one, one.floor))
def _floor(one: Split) -> float:
    """Fresh samples of the truth."""
    return one.cell.sign * one.floor.value


@_on_split("learning", "learning only", show=lambda one: _shown(one, one.learning))
def _learning(one: Split) -> float:
    """The trained model, sampled exactly on a grid."""
    return one.cell.sign * one.learning.value


@_on_split("sampling", "sampling only", show=lambda one: _shown(one, one.sampling))
def _sampling(one: Split) -> float:
    """The exact score, with the sampler."""
    return one.cell.sign * one.sampling.value


@_on_split("both", "both", show=lambda one: _shown(one, one.cell.loss))
def _both(one: Split) -> float:
    """The trained model with the sampler: what is ranked."""
    return one.cell.mean


@_on_split("larger", "larger error", show=lambda one: one.larger or "open")
def _larger(one: Split) -> str:
    """Of learning or of sampling, where the seeds decide it at 95 %."""
    return one.larger


def split_figure(
    evidence: Evidence, dataset: str, theme: Theme = LIGHT, width: float = 4.6
) -> Figure:
    """Neither, learning only, sampling only and both errors of every cell of a dataset.

    Args:
        evidence: The gathered results.
        dataset: Which.
        theme: Colours.
        width: Of the figure, in inches.
    """
    found = splits(evidence, dataset)
    shades = colours(sorted(c.label for c in evidence.contestants), theme)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, 0.95 + 0.36 * len(found)), layout="constrained")
        axis = figure.subplots()
        for y, one in enumerate(found):
            colour, sign = shades[one.label][0], one.cell.sign
            _mark(axis, sign, one.cell.loss, y - 0.24, "o", colour, colour)
            _mark(axis, sign, one.learning, y, "o", colour, theme.paper)
            _mark(axis, sign, one.sampling, y + 0.24, "D", theme.ink, theme.paper)
        truth = found[0].cell.sign * found[0].cell.truth
        if len(truth) and np.isfinite(truth).all():
            low, high = (float(q) for q in np.quantile(truth, [0.0, 0.95]))
            axis.axvspan(low, high, color=theme.shade, zorder=0.5)
        _scale(axis, found)
        axis.set_yticks(range(len(found)), [one.label for one in found])
        axis.set_ylim(len(found) - 0.45, -0.55)
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        axis.set_xlabel(evidence.objective.upper())
        figure.legend(
            handles=_legend(theme), loc="outside upper left", ncols=4 if width > 4 else 2,
            fontsize=fitting(width) - 1, handletextpad=0.3, columnspacing=1.0,
        )  # fmt: skip
    return figure


def _mark(
    axis: Axes, sign: int, known: Estimate, y: float, marker: str, colour: str, face: str
) -> None:
    if not math.isfinite(known.value):
        words = "failed" if math.isinf(known.value) else "not known"
        axis.text(1.0, y, words, ha="right", va="center", fontsize="x-small", color=colour,
                  transform=axis.get_yaxis_transform())  # fmt: skip
        return
    half = known.half_width()
    axis.errorbar(
        [sign * known.value], [y], xerr=None if math.isnan(half) else [[half], [half]],
        fmt=marker, color=colour, markerfacecolor=face, markersize=4.2, linewidth=1.1, capsize=2,
        zorder=3,
    )  # fmt: skip


def _scale(axis: Axes, found: list[Split]) -> None:
    kinds = [(one.floor, one.learning, one.sampling, one.cell.loss) for one in found]
    values: Array = np.array([known.value for kind in kinds for known in kind])
    values = found[0].cell.sign * values[np.isfinite(values)]
    if not values.size:
        return
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > 5 * low:
        axis.set_xscale("log")
        axis.set_xlim(low / 1.3, high * 1.4)
        subs = (1.0, 2.0, 5.0) if high < 100 * low else (1.0,)
        axis.xaxis.set_major_locator(LogLocator(subs=subs))
        axis.xaxis.set_minor_locator(NullLocator())
    else:
        pad = 0.12 * (high - low or 1.0)
        axis.set_xlim(low - pad, high + pad)
        axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


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
