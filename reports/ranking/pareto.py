"""Quality against cost: the Pareto front of a study with several objectives.

The search picks finalists along the front of its trials. That front is optimistic, so the points
shown are means of repeat runs of the finalists, on seeds that did not select them. Few runs give
wide intervals, and repeat runs are scored on the validation sample; only the winner of each cell
is confirmed on the test sample.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ...studies.front import front
from .. import text
from .cell_results import CellResults, failed, losses
from .columns import Column, Columns, estimated, measured
from .evidence import Evidence
from .statistics import Estimate, estimate


@dataclass(frozen=True)
class Point:
    """A finalist with its repeat runs.

    Attributes:
        results: The cell.
        trial: Number of the trial.
        parameters: Searched hyperparameters.
        quality: Loss of the repeat runs: the first objective, smaller is better.
        costs: Mean of each further objective over the repeat runs, by name.
        runs: Number of repeat runs.
        winner: Whether it was confirmed.
        own: Whether no other point of its cell is better in all means.
        overall: Whether no other point of its dataset is better in all means.
    """

    results: CellResults
    trial: int
    parameters: dict[str, str]
    quality: Estimate
    costs: dict[str, float]
    runs: int
    winner: bool
    own: bool = False
    overall: bool = False

    @property
    def label(self) -> str:
        """Label of the contestant."""
        return self.results.label


def points(evidence: Evidence, costs: Sequence[str], dataset: str) -> list[Point]:
    """Return the finalists of a dataset, best first; none without further objectives (costs)."""
    if not costs:
        return []
    by_cell = [_of_cell(results, costs) for results in evidence.on(dataset)]
    every = [point for finalists in by_cell for point in finalists]
    own = {id(point) for finalists in by_cell for point in _front(finalists)}
    overall = {id(point) for point in _front(every)}
    marked = [replace(point, own=id(point) in own, overall=id(point) in overall) for point in every]
    return sorted(marked, key=lambda p: (p.quality.value, p.label, p.trial))


def _of_cell(results: CellResults, costs: Sequence[str]) -> list[Point]:
    """Return the finalists of a cell."""
    search = results.search
    winners = set(zip(results.confirm["restart"], results.confirm["trial"], strict=True))
    searched = [
        str(name)
        for name in search.columns
        if str(name).startswith("params.") and search[name].nunique() > 1
    ]
    finalists = []
    repeats = search[search["replicate"] > 0]
    # A race repeats others too, but only its finalists to the end.
    last = repeats.groupby("restart")["replicate"].transform("max")
    reached = repeats.groupby(["restart", "trial"])["replicate"].transform("max")
    for place, rows in repeats[reached == last].groupby(["restart", "trial"]):
        good = rows[~failed(rows)]
        means = {name: float(good[name].mean()) if len(good) else math.nan for name in costs}
        quality = estimate([losses(rows, results.objective)])
        number, settings = int(rows["trial"].iloc[0]), _parameters(rows.iloc[0], searched)
        won = place in winners
        finalists.append(Point(results, number, settings, quality, means, len(rows), won))
    return finalists


def _parameters(row: "pd.Series[Any]", searched: Sequence[str]) -> dict[str, str]:
    return {
        name.removeprefix("params."): text.number(row[name])
        for name in searched
        if not pd.isna(row[name]) and row[name] != ""
    }


def _front(candidates: Sequence[Point]) -> list[Point]:
    """Return the points that no other point dominates, by the means."""
    values = [[point.quality.value, *point.costs.values()] for point in candidates]
    return [candidates[i] for i in front(values)]


front_columns: Columns[Point] = Columns()
front_columns["dataset", ""] = Column("Dataset.", lambda point: point.results.dataset)
front_columns["method", "method"] = Column(
    "Method, sampler, or both: what tells it from the others.", lambda point: point.label
)
front_columns["trial", "trial"] = Column(
    "Number of the configuration in its search.", lambda point: point.trial
)
front_columns["quality", "objective"] = estimated(
    "Mean of the repeat runs on the validation sample, ± 95 %.", lambda point: point.quality
)
front_columns["half_width", ""] = Column(
    "Half the length of that interval.", lambda point: point.quality.half_width()
)
front_columns["runs", "runs"] = Column("Number of repeat runs.", lambda point: point.runs)
front_columns["cost", "cost"] = Column(
    "Means of the further objectives.",
    lambda point: ", ".join(f"{name} {text.number(v)}" for name, v in point.costs.items()),
)
front_columns["front", "front"] = Column(
    "``all`` if no point of the dataset dominates it, ``own`` if none of its method does. "
    "By the means; if intervals overlap, the order is uncertain.",
    lambda point: "all" if point.overall else "own" if point.own else "",
)
front_columns["winner", "confirmed"] = Column(
    "Mean of the confirmation runs on the test sample, for the winner of its cell.",
    lambda point: point.results.mean if point.winner else math.nan,
    lambda point: measured(point.results.loss) if point.winner else "",
)
front_columns["parameters", "hyperparameters"] = Column(
    "Searched hyperparameters.",
    lambda point: ", ".join(f"{name} {value}" for name, value in point.parameters.items()),
)


def front_frame(finalists: Sequence[Point], costs: Sequence[str]) -> pd.DataFrame:
    """Return points with all digits, and a column for each cost."""
    rows = [{**front_columns.values(point), **point.costs} for point in finalists]
    names = list(front_columns.meanings)
    return pd.DataFrame(rows, columns=[*names, *costs])


def front_sentence(finalists: list[Point], objective: str) -> str:
    """Describe the front of a dataset."""
    best = [point for point in finalists if point.overall]
    names = text.listed(sorted({point.label for point in best}))
    return (
        f"{objective.upper()} against cost: small dots are trials, marks are means of repeat runs "
        "with 95 % intervals, on the validation sample; filled marks are on the front, which has "
        f"{text.plural(len(best), 'point')} of {names}. If intervals overlap, the front is "
        "uncertain. Only winners are confirmed on the test sample."
    )
