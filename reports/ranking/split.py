"""Learning error and sampling error of models that were also sampled exactly."""

import math
from dataclasses import dataclass
from functools import cached_property

from .. import text
from .cell_results import CellResults
from .columns import Column, Columns, estimated
from .evidence import Evidence
from .statistics import LEVEL, Estimate, compare, estimate


@dataclass(frozen=True)
class Split:
    """A cell whose model was also sampled exactly; values are losses.

    Attributes:
        cell: The results of the cell.
    """

    cell: CellResults

    @property
    def label(self) -> str:
        """Label of the contestant."""
        return self.cell.label

    @cached_property
    def floor(self) -> Estimate:
        """Neither error: the noise floor."""
        return estimate([self.cell.truth])

    @cached_property
    def learning(self) -> Estimate:
        """Learning error only: the model, sampled exactly."""
        return estimate([self.cell.learned])

    @cached_property
    def sampling(self) -> Estimate:
        """Sampling error only: the exact score with the sampler."""
        return estimate([self.cell.oracle])

    @property
    def larger(self) -> str:
        """The larger error, ``learning`` or ``sampling``; empty if undecided."""
        if math.isinf(self.sampling.value) != math.isinf(self.learning.value):
            return "sampling" if math.isinf(self.sampling.value) else "learning"
        difference = estimate([self.cell.learned, -self.cell.oracle])
        if not difference.p_value() <= 1 - LEVEL:
            return ""
        return "learning" if difference.value > 0 else "sampling"

    @property
    def hidden(self) -> bool:
        """Whether the sampler's points are better than exact ones: it hides learning error."""
        return compare([self.cell.losses], [self.cell.learned]).first_is_better(LEVEL)


def splits(evidence: Evidence, dataset: str) -> list[Split]:
    """Return the cells of a dataset whose models were also sampled exactly, best first."""
    return [Split(cell) for cell in evidence.on(dataset) if len(cell.learned)]


def split_sentence(cells: list[Split]) -> str:
    """Say which of the two errors is larger for each contestant."""
    words = {"learning": "learning error is larger", "sampling": "sampling error is larger"}
    labels = {
        phrase: [split.label for split in cells if split.larger == kind]
        for kind, phrase in (words | {"": "undecided"}).items()
    }
    sentence = "; ".join(f"{phrase} for {text.listed(of)}" for phrase, of in labels.items() if of)
    hiding = [split.label for split in cells if split.hidden]
    hidden = (
        f" With {text.listed(hiding)} the sampler hides learning error: its points are better "
        "than exact ones, as when chains stay in the mode where they start."
    )
    return f"{sentence[:1].upper()}{sentence[1:]}." + (hidden if hiding else "")


split_columns: Columns[Split] = Columns()
split_columns["dataset", ""] = Column("Dataset.", lambda split: split.cell.dataset)
split_columns["label", "method"] = Column(
    "Method, sampler, or both: what tells it from the others.", lambda split: split.label
)
split_columns["floor", "neither: floor"] = estimated(
    "Noise floor: samples of the truth.", lambda split: split.floor
)
split_columns["learning", "learning only"] = estimated(
    "The trained model, sampled exactly on a grid.", lambda split: split.learning
)
split_columns["sampling", "sampling only"] = estimated(
    "The exact score, with the sampler.", lambda split: split.sampling
)
split_columns["both", "both"] = estimated(
    "The trained model with the sampler; ranked.", lambda split: split.cell.loss
)
split_columns["larger", "larger error"] = Column(
    "The larger error, learning or sampling, if the seeds decide it at 95 %.",
    lambda split: split.larger,
    lambda split: split.larger or "open",
)
