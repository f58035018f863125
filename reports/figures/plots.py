"""The plots of a report beside its gallery: budgets, training, hyperparameters."""

import math
from typing import Any

from .. import text
from ..ranking.cell_results import CellResults
from ..ranking.pareto import front_sentence, points
from ..ranking.split import split_sentence, splits
from ..source import Source
from .gallery import by_theme
from .named import figures


class Plots:
    """Plots of a run directory, each as the page shows it.

    Args:
        source: The directory, read.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known = figures(source)

    def critical(self) -> dict[str, str] | None:
        """The critical-difference diagram, where there are datasets enough."""
        caption = "Mean ranks over the datasets; a bar joins what Nemenyi's test cannot tell apart."
        return self._plot("critical-difference", "Critical differences", caption, caption)

    def on(self, dataset: str) -> list[dict[str, str]]:
        """What the search of a dataset found, and how its winners learned."""
        bands = "expected best of so many, with 95 % intervals where they can be had"
        if not self._source.independent:
            bands = "best so far; bands are the luck of one training"
        searched = (
            f"{self._source.evidence.objective.upper()} on the validation truth, {bands}; marks at "
            "the end are the confirmed means."
        )
        apart = split_sentence(splits(self._source.evidence, dataset))
        front = points(self._source.evidence, self._source.study.costs, dataset)
        found = [
            self._plot(f"errors-{dataset}", "Learning against sampling", apart,
                       "Errors of learning only, of sampling only and of both, by method."),
            self._plot(f"budget-{dataset}", "What the search found", searched, f"{searched} Curves "
                       "by number of trials and by seconds of computing."),
            self._plot(f"front-{dataset}", "Quality against cost",
                       front_sentence(front, self._source.evidence.objective),
                       "Objective against cost of trials and of fresh runs, with the front."),
            self._plot(f"training-{dataset}", "How the winners learned", self._learned(dataset),
                       "Losses and gradient norms by training step, a row of panels per method."),
        ]  # fmt: skip
        return [plot for plot in found if plot is not None]

    def slices(self, cell: CellResults) -> dict[str, str] | None:
        """Every trial of a cell by each of its hyperparameters."""
        alt = f"Trials of {cell.label} on {cell.dataset} by each hyperparameter."
        return self._plot(f"slices-{cell.cell.stem}", cell.label, "", alt)

    def _plot(self, name: str, title: str, caption: str, alt: str) -> dict[str, str] | None:
        if name not in self._known:
            return None
        wide = name.startswith("training-")
        pictures = by_theme(self._known[name], dpi=140 if wide else 190)
        kind = "plot wide" if wide else "plot"
        return {"kind": kind, "title": title, "caption": caption, "alt": alt, **pictures}

    def _learned(self, dataset: str) -> str:
        learned = self._source.training(dataset)
        seeds = max((len(one.curves) for one in learned.values()), default=0)
        said = [f"{'Each confirmed run' if seeds > 1 else 'The best confirmed run'}, by step."]
        known = [
            f"{label} {text.number(one.excess, 2)}"
            for label, one in learned.items()
            if math.isfinite(one.least)
        ]
        if known:
            said.append(
                "The dashed line is the least loss there can be; above it remain, each in its own "
                f"unit: {text.listed(known)}."
            )
        if any(one.names for one in learned.values()):
            metric = self._source.evidence.objective.upper()
            said.append(f"{metric} on the way is that of a small sample.")
        return " ".join(said)


def hyperparameters(source: Source, plots: Plots, dataset: str) -> list[dict[str, Any]]:
    """Slices of every cell of a dataset.

    Args:
        source: The directory, read.
        plots: Its plots.
        dataset: Which.
    """
    found = [plots.slices(cell) for cell in source.evidence.on(dataset)]
    return [one for one in found if one is not None]
