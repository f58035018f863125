"""From the results table to ranked cells and contestants.

Only confirmed rows are ranked. A confirmed run without a finite value counts as the worst possible
value; a cell without confirmed runs is missing, and a contestant that misses a dataset is not
ranked across datasets.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations

import pandas as pd

from ...datasets.errors import UsageError
from ...studies.cell import Cell
from ...studies.specs.tables import Decide
from ..text import listed
from .cell_results import STAGES, CellResults, losses
from .pooled import Comparisons, pooled_cells, pooled_contestants
from .rank_intervals import beats, common, probability_best, rank_intervals
from .robust import Middle, interquartile_mean
from .statistics import Array, Comparison, Estimate, compare, estimate

REFERENCES = ("truth", "exact", "untrained")


@dataclass(frozen=True)
class Contestant:
    """A method with a sampler, across the datasets.

    Attributes:
        method: Label of the method.
        sampler: Label of the sampler.
        label: Label of the method or, if there is only one, of the sampler; of both if there are
            several of either.
        cells: Results by dataset, missing cells included.
        missing: Datasets confirmed for other contestants but not for this one.
        rank: Best and worst rank compatible with the data; ``None`` if it is not ranked.
        best: Probability that its true mean score is the smallest.
        tied: Labels of the ranked contestants that cannot be distinguished from it.
        pooled: Its score over several restarts, with an error from all restarts of the study.
    """

    method: str
    sampler: str
    label: str
    cells: dict[str, CellResults]
    missing: tuple[str, ...] = ()
    rank: tuple[int, int] | None = None
    best: float = math.nan
    tied: tuple[str, ...] = ()
    pooled: Estimate | None = None

    @cached_property
    def score(self) -> Estimate:
        """Mean normalised loss over the datasets; each has the same weight."""
        if self.pooled is not None:
            return self.pooled
        if self.missing:
            return estimate([])
        return estimate(self._normalised)

    @cached_property
    def middle(self) -> Middle:
        """Interquartile mean of the normalised losses; ``nan`` if the contestant is not ranked."""
        if math.isnan(self.score.value):
            return Middle(math.nan)
        return interquartile_mean(self._normalised)

    @property
    def _normalised(self) -> list[Array]:
        return [results.normalised for results in self.cells.values() if not results.missing]


@dataclass(frozen=True)
class Evidence:
    """The ranked results of a study: the input of tables, figures and sentences.

    Attributes:
        objective: The ranking metric.
        datasets: Labels of the datasets, sorted.
        compared: Datasets with a confirmed run, over which the ranking is made.
        cells: Results of all cells, by dataset and mean loss, missing ones last.
        contestants: Contestants by score; those that are not ranked are last.
        notes: Why something is not ranked, one sentence each.
        comparisons: Comparisons over restarts, by dataset (``None``: across all) and labels;
            empty in a study of one restart, whose seeds are compared instead.
    """

    objective: str
    datasets: tuple[str, ...]
    compared: tuple[str, ...]
    cells: tuple[CellResults, ...]
    contestants: tuple[Contestant, ...]
    notes: tuple[str, ...]
    comparisons: Comparisons = field(default_factory=dict)

    @property
    def open(self) -> list[tuple[str, str]]:
        """Pairs of ranked contestants that are neither decided nor shown to be as good as equal."""
        ranked = [c.label for c in self.contestants if c.rank is not None]
        outcomes = {pair: self.comparisons.get((None, *pair)) for pair in combinations(ranked, 2)}
        return [
            pair
            for pair, outcome in outcomes.items()
            if outcome is None or not (outcome.decided or outcome.small)
        ]

    @property
    def nouns(self) -> str:
        """The plural of what contestants are."""
        methods, samplers = {c.method for c in self.cells}, {c.sampler for c in self.cells}
        if len(samplers) < 2:
            return "methods"
        return "samplers" if len(methods) < 2 else "pairs of method and sampler"

    @property
    def restarts(self) -> int:
        """Largest number of restarts of a cell; a single one only compares configurations."""
        return max((len(c.losses) if c.several else 1 for c in self.cells), default=1)

    @property
    def searched(self) -> bool:
        """Whether configurations were searched for, not given."""
        return any(len(results.search) for results in self.cells)

    @property
    def restart_seconds(self) -> float:
        """Seconds of one core that a restart of all cells takes."""
        runs = [rows for cell in self.cells for rows in (cell.search, cell.confirm) if len(rows)]
        return float(sum(rows[list(STAGES)].sum().sum() for rows in runs)) / self.restarts

    def on(self, dataset: str) -> list[CellResults]:
        """Return the cells of a dataset, best first."""
        return [results for results in self.cells if results.dataset == dataset]

    def pair(self, first: Contestant, second: Contestant) -> Comparison:
        """Compare the scores of two ranked contestants, restart by restart or seed by seed."""
        if self.comparisons:
            return self.comparisons[None, first.label, second.label]
        return compare(*common(_scores(first, self.compared), _scores(second, self.compared)))

    def pair_on(self, first: CellResults, second: CellResults) -> Comparison:
        """Compare two confirmed cells of a dataset, restart by restart or seed by seed."""
        if self.comparisons:
            return self.comparisons[first.dataset, first.label, second.label]
        return compare(*common(*([(c.replicates, c.losses)] for c in (first, second))))


def gather(
    results: pd.DataFrame,
    objective: str,
    expected: Iterable[Cell] = (),
    rule: Decide | None = None,
) -> Evidence:
    """Sort the rows of a study into cells and contestants, and rank them.

    Args:
        results: One row per run; the results table of a run directory.
        objective: Column of the ranking metric.
        expected: Planned cells; those without rows are missing cells, as are all combinations of
            method, dataset and sampler without rows.
        rule: Of a study that adds restarts until it is decided.

    Raises:
        UsageError: A column is missing, or two configurations of a cell are confirmed.
    """
    results = _checked(results, objective)
    rows, reference = _by_cell(results), results[results["phase"] == "reference"]
    tuned = [labels for labels, own in rows.items() if (own["phase"] != "reference").any()]
    seen = [*tuned, *(cell.labels for cell in expected)]
    pairs = sorted({(method, sampler) for method, _, sampler in seen})
    datasets = tuple(sorted({dataset for _, dataset, _ in seen} | set(results["dataset"].unique())))
    labels = _labels(pairs)
    several_restarts = results.loc[results["phase"] == "confirm", "restart"].nunique() > 1
    none = results.iloc[:0]
    raw = {
        cell: _cell(rows.get(cell.labels, none), beside, objective, cell, label, several_restarts)
        for dataset in datasets
        for beside in [reference[reference["dataset"] == dataset]]
        for (method, sampler), label in labels.items()
        for cell in [Cell(method, dataset, sampler)]
    }
    comparisons: Comparisons = {}
    if several_restarts:
        cells = pooled_cells(raw.values(), datasets, comparisons, rule)
    else:
        cells = [cell for dataset in datasets for cell in _ranked_cells(raw, dataset)]
    compared = tuple(d for d in datasets if any(c.dataset == d and not c.missing for c in cells))
    contestants = [_contestant(*pair, label, cells, compared) for pair, label in labels.items()]
    if several_restarts:
        contestants = pooled_contestants(contestants, compared, comparisons, rule)
    else:
        contestants = _ranked_contestants(contestants, compared)
    notes = _notes(contestants, cells, compared, datasets)
    return Evidence(
        objective, datasets, compared, tuple(cells), tuple(contestants), notes, comparisons
    )


def _labels(pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Name methods, samplers of one method, or pairs of both, by what tells them apart."""
    methods, samplers = ({pair[axis] for pair in pairs} for axis in (0, 1))
    if len(samplers) < 2:
        return {pair: pair[0] for pair in pairs}
    return {(m, s): s if len(methods) < 2 else f"{m} · {s}" for m, s in pairs}


def _checked(results: pd.DataFrame, objective: str) -> pd.DataFrame:
    """Return the results with a column ``restart``, after a look at the columns."""
    needed = {"phase", "method", "dataset", "sampler", "state", "replicate", objective}
    if missing := sorted(needed - set(results.columns)):
        raise UsageError(f"the results have no column {', '.join(map(repr, missing))}: not a study")
    return results if "restart" in results else results.assign(restart=0)


def _contestant(
    method: str,
    sampler: str,
    label: str,
    cells: Iterable[CellResults],
    compared: Iterable[str],
) -> Contestant:
    own = {c.dataset: c for c in cells if (c.method, c.sampler) == (method, sampler)}
    return Contestant(method, sampler, label, own, tuple(d for d in compared if own[d].missing))


def _by_cell(rows: pd.DataFrame) -> dict[tuple[str, ...], pd.DataFrame]:
    """Sort rows by method, dataset and sampler."""
    groups = rows.groupby(["method", "dataset", "sampler"], sort=False)
    return {tuple(map(str, name)): own for name, own in groups}


def _cell(
    rows: pd.DataFrame,
    reference: pd.DataFrame,
    objective: str,
    cell: Cell,
    label: str,
    several: bool,
) -> CellResults:
    """Collect the rows of a cell and of the references on its dataset."""
    method, dataset, sampler = cell.labels
    confirm = rows[rows["phase"] == "confirm"].sort_values(["restart", "replicate"], kind="stable")
    if "trial" in confirm and (confirm.groupby("restart")["trial"].nunique() > 1).any():
        raise UsageError(
            f"{method} on {dataset} has confirmed runs of several configurations: "
            "one winner per restart is ranked"
        )
    same = reference[reference["sampler"] == sampler]
    truth = losses(reference[reference["method"] == "truth"], objective)
    untrained = losses(reference[reference["method"] == "untrained"], objective)
    scale = math.nan
    if len(untrained) and len(truth):
        # One scale per dataset for all samplers keeps samplers comparable.
        gap = float(untrained.mean()) - float(truth.mean())
        scale = gap if 0 < gap < math.inf else math.nan
    return CellResults(
        cell,
        label,
        objective,
        search=rows[rows["phase"] == "search"],
        confirm=confirm,
        truth=truth,
        exact=same[same["method"] == "exact"],
        untrained=losses(same[same["method"] == "untrained"], objective),
        others={
            str(name): losses(group, objective)
            for name, group in same.groupby("method")
            if name not in REFERENCES
        },
        scale=scale,
        several=several,
    )


def _ranked_cells(raw: dict[Cell, CellResults], dataset: str) -> list[CellResults]:
    cells = [results for cell, results in raw.items() if cell.dataset == dataset]
    present = sorted((c for c in cells if not c.missing), key=lambda c: (c.loss.value, c.cell))
    ranks = rank_intervals(beats([[(c.replicates, c.losses)] for c in present]))
    ranked = [replace(results, rank=rank) for results, rank in zip(present, ranks, strict=True)]
    return ranked + [results for results in cells if results.missing]


def _scores(contestant: Contestant, datasets: Sequence[str]) -> list[tuple[Array, Array]]:
    """Return seeds and normalised losses of a contestant, per dataset."""
    cells = [contestant.cells[name] for name in datasets]
    return [(results.replicates, results.normalised) for results in cells]


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
        "nothing is ever compared over different sets of datasets."
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
