"""Learning error and sampling error of models that were also sampled exactly."""

import math
from dataclasses import dataclass
from functools import cached_property

from .. import text
from .cell_results import CellResults
from .columns import Columns
from .evidence import Evidence
from .statistics import LEVEL, Estimate, compare, estimate


@dataclass(frozen=True)
class Split:
    """A cell whose model was also sampled exactly; values are losses.

    Attributes:
        cell: Which.
    """

    cell: CellResults

    @property
    def label(self) -> str:
        """Name of the contestant."""
        return self.cell.label

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
    return [Split(cell) for cell in evidence.on(dataset) if len(cell.learned)]


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


def _shown(known: Estimate) -> str:
    return text.measured(known.value, known.half_width())


@_on_split("floor", "neither: floor", show=lambda one: _shown(one.floor))
def _floor(one: Split) -> float:
    """Fresh samples of the truth."""
    return one.floor.value


@_on_split("learning", "learning only", show=lambda one: _shown(one.learning))
def _learning(one: Split) -> float:
    """The trained model, sampled exactly on a grid."""
    return one.learning.value


@_on_split("sampling", "sampling only", show=lambda one: _shown(one.sampling))
def _sampling(one: Split) -> float:
    """The exact score, with the sampler."""
    return one.sampling.value


@_on_split("both", "both", show=lambda one: _shown(one.cell.loss))
def _both(one: Split) -> float:
    """The trained model with the sampler: what is ranked."""
    return one.cell.mean


@_on_split("larger", "larger error", show=lambda one: one.larger or "open")
def _larger(one: Split) -> str:
    """Of learning or of sampling, where the seeds decide it at 95 %."""
    return one.larger
