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
from .columns import Columns
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
    """Return the finalists of a dataset, best first; none if the study has one objective.

    Args:
        evidence: The gathered results.
        costs: The study's further objectives.
        dataset: Label of the dataset.
    """
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
    for place, rows in search[search["replicate"] > 0].groupby(["restart", "trial"]):
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
_on_front = front_columns.add


@_on_front("dataset")
def _dataset(point: Point) -> str:
    """Dataset."""
    return point.results.dataset


@_on_front("method", "method")
def _method(point: Point) -> str:
    """Method, and sampler if there are several."""
    return point.label


@_on_front("trial", "trial")
def _trial(point: Point) -> int:
    """Number of the configuration in its search."""
    return point.trial


@_on_front("quality", "objective", show=lambda point: _measured(point))
def _quality(point: Point) -> float:
    """Mean of the repeat runs on the validation sample, ± 95 %."""
    return point.quality.value


@_on_front("half_width")
def _half(point: Point) -> float:
    """Half the length of that interval."""
    return point.quality.half_width()


@_on_front("runs", "runs")
def _runs(point: Point) -> int:
    """Number of repeat runs."""
    return point.runs


@_on_front("cost", "cost")
def _cost(point: Point) -> str:
    """Means of the further objectives."""
    return ", ".join(f"{name} {text.number(value)}" for name, value in point.costs.items())


@_on_front("front", "front")
def _on(point: Point) -> str:
    """``all`` if no point of the dataset dominates it, ``own`` if none of its method does.

    By the means; if intervals overlap, the order is uncertain.
    """
    return "all" if point.overall else "own" if point.own else ""


@_on_front("winner", "confirmed", show=lambda point: _confirmed(point))
def _winner(point: Point) -> float:
    """Mean of the confirmation runs on the test sample, for the winner of its cell."""
    return point.results.mean if point.winner else math.nan


@_on_front("parameters", "hyperparameters")
def _settings(point: Point) -> str:
    """Searched hyperparameters."""
    return ", ".join(f"{name} {value}" for name, value in point.parameters.items())


def _measured(point: Point) -> str:
    return text.measured(point.quality.value, point.quality.half_width())


def _confirmed(point: Point) -> str:
    if not point.winner:
        return ""
    return text.measured(point.results.mean, point.results.loss.half_width())


def front_frame(finalists: Sequence[Point], costs: Sequence[str]) -> pd.DataFrame:
    """Return points with all digits, and a column for each cost."""
    rows = [{**front_columns.values(point), **point.costs} for point in finalists]
    names = list(front_columns.meanings)
    return pd.DataFrame(rows, columns=[*names, *costs])


def front_sentence(finalists: list[Point], objective: str) -> str:
    """Describe the front of a dataset.

    Args:
        finalists: Its points.
        objective: The first objective.
    """
    best = [point for point in finalists if point.overall]
    names = text.listed(sorted({point.label for point in best}))
    return (
        f"{objective.upper()} against cost: small dots are trials, marks are means of repeat runs "
        "with 95 % intervals, on the validation sample; filled marks are on the front, which has "
        f"{text.plural(len(best), 'point')} of {names}. If intervals overlap, the front is "
        "uncertain. Only winners are confirmed on the test sample."
    )
