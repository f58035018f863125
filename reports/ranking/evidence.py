"""From the results table to what is compared: cells, contestants, and how sure their order is.

Only confirmed rows are ranked. A confirmed run that has no finite value counts as the worst value
there is; a cell that has no confirmed run is missing, and whoever misses a dataset is not ranked
across datasets.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from ...datasets.errors import UsageError
from ...studies.cell import Cell
from ..text import listed
from .cell_results import CellResults, losses
from .rank_intervals import beats, common, probability_best, rank_intervals
from .robust import Middle, interquartile_mean
from .statistics import Array, Comparison, Estimate, compare, estimate

REFERENCES = ("truth", "exact", "untrained")


@dataclass(frozen=True)
class Contestant:
    """One method with one sampler across the datasets.

    Attributes:
        cells: Its cells, by dataset, missing ones included.
        missing: Datasets that others have confirmed and it has not.
        rank: Best and worst rank that the seeds leave open; ``None`` if it is not ranked.
        best: Probability that its true mean score is the smallest.
        tied: Labels of the ranked contestants it cannot be told from.
    """

    method: str
    sampler: str
    label: str
    cells: dict[str, CellResults]
    missing: tuple[str, ...] = ()
    rank: tuple[int, int] | None = None
    best: float = math.nan
    tied: tuple[str, ...] = ()

    @cached_property
    def score(self) -> Estimate:
        """Mean normalised loss over the datasets, each counting the same."""
        present = [cell for cell in self.cells.values() if not cell.missing]
        if self.missing or not present:
            return estimate([])
        return estimate([cell.normalised for cell in present])

    @cached_property
    def middle(self) -> Middle:
        """Interquartile mean of the normalised losses; only of who is ranked."""
        if math.isnan(self.score.value):
            return Middle(math.nan)
        present = [cell for cell in self.cells.values() if not cell.missing]
        return interquartile_mean([cell.normalised for cell in present])


@dataclass(frozen=True)
class Evidence:
    """Everything the tables, figures and sentences are made from.

    Attributes:
        objective: The metric that ranks.
        datasets: Names, sorted.
        compared: Those on which somebody is confirmed: the set that a ranking is over.
        cells: All cells, by dataset and mean loss, missing ones last.
        contestants: By score, those that are not ranked last.
        notes: Why something is not ranked, one sentence each.
    """

    objective: str
    datasets: tuple[str, ...]
    compared: tuple[str, ...]
    cells: tuple[CellResults, ...]
    contestants: tuple[Contestant, ...]
    notes: tuple[str, ...]

    def on(self, dataset: str) -> list[CellResults]:
        """Cells of a dataset, best first."""
        return [cell for cell in self.cells if cell.dataset == dataset]

    def pair(self, first: Contestant, second: Contestant) -> Comparison:
        """Scores of two ranked contestants, seed by seed."""
        return compare(*common(_scores(first, self.compared), _scores(second, self.compared)))


def gather(results: pd.DataFrame, objective: str, expected: Iterable[Cell] = ()) -> Evidence:
    """Sort the rows of a study into cells and contestants, and rank them.

    Args:
        results: One row per run, as a run directory holds them.
        objective: Column to rank by.
        expected: Cells (method, dataset, sampler) that the study plans; those that have no rows
            yet are missing cells, like every gap in the grid of what has been seen.

    Raises:
        UsageError: The table has no such column, or two configurations of a cell are confirmed.
    """
    needed = {"phase", "method", "dataset", "sampler", "state", "replicate", objective}
    if lacking := sorted(needed - set(results.columns)):
        raise UsageError(f"the results have no column {', '.join(map(repr, lacking))}: not a study")
    ours = results[results["phase"] != "reference"]
    planned = list(expected)
    seen = [*zip(ours["method"], ours["dataset"], ours["sampler"], strict=True), *planned]
    pairs = sorted({(method, sampler) for method, _, sampler in seen})
    datasets = tuple(sorted({dataset for _, dataset, _ in seen} | set(results["dataset"])))
    several = len({sampler for _, sampler in pairs}) > 1
    labels = {(m, s): f"{m} · {s}" if several else m for m, s in pairs}
    raw = {
        cell: _cell(results, objective, cell, labels[cell.method, cell.sampler])
        for dataset in datasets
        for method, sampler in pairs
        for cell in [Cell(method, dataset, sampler)]
    }
    cells = [cell for dataset in datasets for cell in _ranked_cells(raw, dataset)]
    compared = tuple(d for d in datasets if any(c.dataset == d and not c.missing for c in cells))
    contestants = [
        Contestant(
            method,
            sampler,
            labels[method, sampler],
            own := {c.dataset: c for c in cells if (c.method, c.sampler) == (method, sampler)},
            tuple(d for d in compared if own[d].missing),
        )
        for method, sampler in pairs
    ]
    contestants = _ranked_contestants(contestants, compared)
    notes = _notes(contestants, cells, compared, datasets)
    return Evidence(objective, datasets, compared, tuple(cells), tuple(contestants), notes)


def _cell(results: pd.DataFrame, objective: str, cell: Cell, label: str) -> CellResults:
    method, dataset, sampler = cell
    here = results[results["dataset"] == dataset]
    own = here[(here["method"] == method) & (here["sampler"] == sampler)]
    confirm = own[own["phase"] == "confirm"].sort_values("replicate", kind="stable")
    if "trial" in confirm and confirm["trial"].nunique() > 1:
        raise UsageError(
            f"{method} on {dataset} has confirmed runs of several configurations: "
            "one winner per cell is ranked"
        )
    reference = here[here["phase"] == "reference"]
    same = reference[reference["sampler"] == sampler]
    truth = losses(reference[reference["method"] == "truth"], objective)
    every = losses(reference[reference["method"] == "untrained"], objective)
    scale = math.nan
    if len(every) and len(truth):
        # One scale per dataset, whatever the sampler, keeps samplers comparable.
        gap = float(every.mean()) - float(truth.mean())
        scale = gap if 0 < gap < math.inf else math.nan
    return CellResults(
        cell, label, objective,
        search=own[own["phase"] == "search"],
        confirm=confirm,
        truth=truth,
        oracle=losses(same[same["method"] == "exact"], objective),
        untrained=losses(same[same["method"] == "untrained"], objective),
        others={
            str(name): losses(rows, objective)
            for name, rows in same.groupby("method")
            if name not in REFERENCES
        },
        scale=scale,
    )  # fmt: skip


def _ranked_cells(raw: dict[Cell, CellResults], dataset: str) -> list[CellResults]:
    here = [cell for (_, where, _), cell in raw.items() if where == dataset]
    present = sorted((c for c in here if not c.missing), key=lambda c: (c.loss.value, c.cell))
    ranks = rank_intervals(beats([[(c.replicates, c.losses)] for c in present]))
    ranked = [replace(cell, rank=rank) for cell, rank in zip(present, ranks, strict=True)]
    return ranked + [cell for cell in here if cell.missing]


def _scores(contestant: Contestant, datasets: Sequence[str]) -> list[tuple[Array, Array]]:
    chosen = [contestant.cells[name] for name in datasets]
    return [(cell.replicates, cell.normalised) for cell in chosen]


def _ranked_contestants(
    contestants: Sequence[Contestant], datasets: Sequence[str]
) -> list[Contestant]:
    complete = [c for c in contestants if not math.isnan(c.score.value)]
    complete.sort(key=lambda c: (c.score.value, c.label))
    others = [c for c in contestants if math.isnan(c.score.value)]
    table = [_scores(c, datasets) for c in complete]
    better = beats(table)
    ranks, chances = rank_intervals(better), probability_best(table)
    ranked = [
        replace(
            contestant,
            rank=ranks[i],
            best=float(chances[i]),
            tied=tuple(
                other.label
                for j, other in enumerate(complete)
                if j != i and not better[i, j] and not better[j, i]
            ),
        )
        for i, contestant in enumerate(complete)
    ]
    return ranked + others


def _notes(
    contestants: Sequence[Contestant],
    cells: Sequence[CellResults],
    compared: Sequence[str],
    datasets: Sequence[str],
) -> tuple[str, ...]:
    notes = [
        f"{c.label} is not ranked: nothing is confirmed on {listed(list(c.missing))}, and "
        "methods are never compared over different sets of datasets."
        for c in contestants
        if c.missing
    ]
    if unknown := [
        d for d in compared if any(c.dataset == d and math.isnan(c.scale) for c in cells)
    ]:
        notes.append(
            f"No score across datasets: on {', '.join(unknown)} there is no untrained network "
            "above the floor to normalise by."
        )
    if waiting := [d for d in datasets if d not in compared]:
        notes.append(f"Nothing is confirmed yet on {', '.join(waiting)}.")
    return tuple(notes)
