"""From the results table to what is compared: cells, contestants, and how sure their order is.

Only confirmed rows are ranked. A confirmed run that has no finite value counts as the worst value
there is; a cell that has no confirmed run is missing, and whoever misses a dataset is not ranked
across datasets.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ..datasets.errors import UsageError
from .statistics import (
    Array,
    Comparison,
    Estimate,
    beats,
    common,
    compare,
    estimate,
    probability_best,
    rank_intervals,
    same_as_floor,
)

REFERENCES = ("truth", "exact", "untrained")
DIRECTIONS = {"mmd": "min", "sw1": "min", "sw2": "min"}
Place = tuple[str, str, str]


def sign_of(objective: str) -> int:
    """1 if smaller values of the metric are better, -1 if larger ones are."""
    if objective not in DIRECTIONS:
        from ..bench.metrics import metrics

        direction = getattr(metrics.get(objective), "direction", "min")
        return -1 if direction == "max" else 1
    return 1


def losses(rows: pd.DataFrame, objective: str) -> Array:
    """Values with the better ones smaller, shape (rows,); ``inf`` for every failed run."""
    values = sign_of(objective) * rows[objective].to_numpy(dtype=np.float64)
    bad = (rows["state"] != "ok").to_numpy() | ~np.isfinite(values)
    return np.where(bad, math.inf, values)


@dataclass(frozen=True)
class Cell:
    """One method with one sampler on one dataset, and the references beside it.

    Arrays hold losses (better is smaller, ``inf`` is a failed run).

    Attributes:
        objective: The metric.
        sign: 1 if smaller values of the metric are better, -1 otherwise.
        search: Its rows of the search.
        confirm: Its confirmed rows, by replicate.
        truth: Fresh truth samples, shape (repetitions,): the noise floor.
        oracle: Exact score with the same sampler, shape (repetitions,).
        untrained: The network as it was initialised, with the same sampler.
        scale: Loss on this dataset that separates an untrained network from the floor.
        rank: Best and worst rank within the dataset that the seeds leave open.
    """

    dataset: str
    method: str
    sampler: str
    objective: str
    sign: int
    search: pd.DataFrame = field(repr=False)
    confirm: pd.DataFrame = field(repr=False)
    truth: Array = field(repr=False)
    oracle: Array = field(repr=False)
    untrained: Array = field(repr=False)
    scale: float = math.nan
    rank: tuple[int, int] | None = None

    @property
    def place(self) -> Place:
        """What the cell is called: method, dataset, sampler."""
        return self.method, self.dataset, self.sampler

    @cached_property
    def losses(self) -> Array:
        """Confirmed losses, shape (seeds,)."""
        return losses(self.confirm, self.objective)

    @cached_property
    def replicates(self) -> Array:
        """Numbers of the confirmed seeds, shape (seeds,)."""
        return self.confirm["replicate"].to_numpy(dtype=np.float64)

    @property
    def missing(self) -> bool:
        """Whether nothing is confirmed."""
        return len(self.confirm) == 0

    @property
    def failed(self) -> int:
        """Confirmed runs without a value."""
        return int(np.isinf(self.losses).sum())

    @cached_property
    def loss(self) -> Estimate:
        """Mean of the confirmed losses."""
        return estimate([self.losses])

    @property
    def mean(self) -> float:
        """Mean of the confirmed values of the metric."""
        return self.sign * self.loss.value

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval."""
        low, high = self.loss.interval()
        return (low, high) if self.sign > 0 else (-high, -low)

    @property
    def floor(self) -> float:
        """Mean loss between two samples of the truth."""
        return estimate([self.truth]).value

    @property
    def floor_is_positive(self) -> bool:
        """Whether the floor is clearly above zero, so that ratios to it mean something.

        Unbiased metrics scatter around zero there.
        """
        values = self.sign * self.truth
        if len(values) < 2 or not np.isfinite(values).all():
            return False
        return bool(values.mean() > 2 * values.std(ddof=1) / math.sqrt(len(values)))

    @property
    def at_floor(self) -> bool:
        """Whether the samples cannot be told from the truth."""
        return same_as_floor(self.losses, self.truth)

    @property
    def normalised(self) -> Array:
        """Confirmed losses with 0 at the floor and 1 at an untrained network, shape (seeds,)."""
        return (self.losses - self.floor) / self.scale

    @property
    def search_best(self) -> float:
        """Smallest loss of the search's trials, ``nan`` without a search."""
        trials = self.search[self.search["replicate"] == 0]
        return float(losses(trials, self.objective).min()) if len(trials) else math.nan

    @property
    def runs(self) -> pd.DataFrame:
        """Rows of the search and of the confirmation."""
        return pd.concat([self.search, self.confirm])

    @property
    def parameters(self) -> dict[str, Any]:
        """Hyperparameters of the confirmed configuration."""
        if self.missing:
            return {}
        row = self.confirm.iloc[0]
        names = [name for name in self.confirm.columns if name.startswith("params.")]
        return {n.removeprefix("params."): row[n] for n in names if not _absent(row[n])}


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
    cells: dict[str, Cell]
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
    cells: tuple[Cell, ...]
    contestants: tuple[Contestant, ...]
    notes: tuple[str, ...]

    def on(self, dataset: str) -> list[Cell]:
        """Cells of a dataset, best first."""
        return [cell for cell in self.cells if cell.dataset == dataset]

    def pair(self, first: Contestant, second: Contestant) -> Comparison:
        """Scores of two ranked contestants, seed by seed."""
        return compare(*common(_scores(first, self.compared), _scores(second, self.compared)))


def gather(results: pd.DataFrame, objective: str, expected: Iterable[Place] = ()) -> Evidence:
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
    ours = results[~results["method"].isin(REFERENCES)]
    planned = list(expected)
    seen = [*zip(ours["method"], ours["dataset"], ours["sampler"], strict=True), *planned]
    pairs = sorted({(method, sampler) for method, _, sampler in seen})
    datasets = tuple(sorted({dataset for _, dataset, _ in seen} | set(results["dataset"])))
    raw = {
        (method, dataset, sampler): _cell(results, objective, dataset, method, sampler)
        for dataset in datasets
        for method, sampler in pairs
    }
    cells = [cell for dataset in datasets for cell in _ranked_cells(raw, dataset)]
    compared = tuple(d for d in datasets if any(c.dataset == d and not c.missing for c in cells))
    several = len({sampler for _, sampler in pairs}) > 1
    contestants = [
        Contestant(
            method,
            sampler,
            f"{method} · {sampler}" if several else method,
            own := {c.dataset: c for c in cells if (c.method, c.sampler) == (method, sampler)},
            tuple(d for d in compared if own[d].missing),
        )
        for method, sampler in pairs
    ]
    contestants = _ranked_contestants(contestants, compared)
    notes = _notes(contestants, cells, compared, datasets)
    return Evidence(objective, datasets, compared, tuple(cells), tuple(contestants), notes)


def _cell(results: pd.DataFrame, objective: str, dataset: str, method: str, sampler: str) -> Cell:
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
        gap = float(every.mean() - truth.mean())
        scale = gap if 0 < gap < math.inf else math.nan
    return Cell(
        dataset, method, sampler, objective, sign_of(objective),
        search=own[own["phase"] == "search"],
        confirm=confirm,
        truth=truth,
        oracle=losses(same[same["method"] == "exact"], objective),
        untrained=losses(same[same["method"] == "untrained"], objective),
        scale=scale,
    )  # fmt: skip


def _ranked_cells(raw: dict[Place, Cell], dataset: str) -> list[Cell]:
    here = [cell for (_, where, _), cell in raw.items() if where == dataset]
    present = sorted((c for c in here if not c.missing), key=lambda c: (c.loss.value, c.place))
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
    cells: Sequence[Cell],
    compared: Sequence[str],
    datasets: Sequence[str],
) -> tuple[str, ...]:
    notes = [
        f"{c.label} is not ranked: nothing is confirmed on {', '.join(c.missing)}, and methods "
        "are never compared over different sets of datasets."
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


def _absent(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))
