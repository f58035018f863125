"""Quality against cost: the Pareto front of a study with several objectives.

The search picks finalists along the front of its trials. Their fresh runs, on seeds that did not
make them finalists, say what the points are worth, and these are shown: the front of the trials
themselves is flattered by luck. Still, few runs leave wide intervals, and fresh runs are scored on
the validation truth; on the test truth only the winner of each cell is confirmed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ...studies.front import front
from .. import text
from .cell_results import CellResults, losses
from .columns import Columns
from .evidence import Evidence
from .statistics import Estimate, estimate


@dataclass(frozen=True)
class Point:
    """A configuration that was trained again.

    Attributes:
        cell: Whose search found it.
        trial: Its number.
        parameters: What was searched.
        quality: Loss of its fresh runs: the first objective, smaller is better.
        costs: Mean of each further objective over them, by name, as it is tabulated.
        runs: Fresh runs.
        winner: Whether it was confirmed.
        own: Whether no other point of its cell is better in every respect, by the means.
        overall: The same among all points of the dataset.
    """

    cell: CellResults
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
        """Name of the contestant."""
        return self.cell.label


def points(evidence: Evidence, costs: Sequence[str], dataset: str) -> list[Point]:
    """Configurations of a dataset that were trained again, best first; none with one objective.

    Args:
        evidence: The gathered results.
        costs: The study's further objectives.
        dataset: Label of the dataset.
    """
    if not costs:
        return []
    found = [point for cell in evidence.on(dataset) for point in _of_cell(cell, costs)]
    best = _front(found)
    own = {
        id(one)
        for cell in {point.cell.cell for point in found}
        for one in _front([p for p in found if p.cell.cell == cell])
    }
    marked = [
        Point(**{**vars(p), "own": id(p) in own, "overall": any(p is one for one in best)})
        for p in found
    ]
    return sorted(marked, key=lambda p: (p.quality.value, p.label, p.trial))


def _of_cell(cell: CellResults, costs: Sequence[str]) -> list[Point]:
    again = cell.search[cell.search["replicate"] > 0]
    winners = set(cell.confirm["trial"])
    searched = [
        str(name)
        for name in cell.search.columns
        if str(name).startswith("params.") and cell.search[name].nunique() > 1
    ]
    found = []
    for trial, rows in again.groupby("trial"):
        good = rows[rows["state"] == "ok"]
        means = {name: float(good[name].mean()) if len(good) else math.nan for name in costs}
        quality = estimate([losses(rows, cell.objective)])
        number, settings = int(str(trial)), _parameters(rows.iloc[0], searched)
        won = number in winners
        found.append(Point(cell, number, settings, quality, means, len(rows), won))
    return found


def _parameters(row: "pd.Series[Any]", searched: Sequence[str]) -> dict[str, str]:
    return {
        name.removeprefix("params."): text.number(row[name])
        for name in searched
        if not pd.isna(row[name]) and row[name] != ""
    }


def _front(found: Sequence[Point]) -> list[Point]:
    """Those that no other one beats, by the means."""
    values = [[point.quality.value, *point.costs.values()] for point in found]
    return [found[i] for i in front(values)]


front_columns: Columns[Point] = Columns()
_on_front = front_columns.add


@_on_front("dataset")
def _dataset(point: Point) -> str:
    """What was to be learned."""
    return point.cell.dataset


@_on_front("method", "method")
def _method(point: Point) -> str:
    """What was trained, and the sampler where there are several."""
    return point.label


@_on_front("trial", "trial")
def _trial(point: Point) -> int:
    """Number of the configuration in its search."""
    return point.trial


@_on_front("quality", "objective", show=lambda point: _measured(point))
def _quality(point: Point) -> float:
    """Mean of fresh runs on the validation truth, ± 95 %."""
    return point.quality.value


@_on_front("half_width")
def _half(point: Point) -> float:
    """Half the length of that interval."""
    return point.quality.half_width()


@_on_front("runs", "runs")
def _runs(point: Point) -> int:
    """Fresh runs behind it."""
    return point.runs


@_on_front("cost", "cost")
def _cost(point: Point) -> str:
    """Means of the further objectives."""
    return ", ".join(f"{name} {text.number(value)}" for name, value in point.costs.items())


@_on_front("front", "front")
def _on(point: Point) -> str:
    """``all`` if no other point of the dataset is better in every respect, ``own`` if none of its
    method is, by the means; where intervals overlap that may be luck.
    """  # noqa: D205
    return "all" if point.overall else "own" if point.own else ""


@_on_front("winner", "confirmed", show=lambda point: _confirmed(point))
def _winner(point: Point) -> float:
    """Mean of the confirmed runs on the test truth, of the winner of its cell."""
    return point.cell.mean if point.winner else math.nan


@_on_front("parameters", "hyperparameters")
def _settings(point: Point) -> str:
    """What was searched."""
    return ", ".join(f"{name} {value}" for name, value in point.parameters.items())


def _measured(point: Point) -> str:
    half = point.quality.half_width()
    return text.measured(point.quality.value, half)


def _confirmed(point: Point) -> str:
    if not point.winner:
        return ""
    return text.measured(point.cell.mean, point.cell.loss.half_width())


def front_frame(evidence: Evidence, costs: Sequence[str]) -> pd.DataFrame:
    """All points with every digit, and a column for each cost."""
    every = [point for dataset in evidence.datasets for point in points(evidence, costs, dataset)]
    rows = [{**front_columns.values(point), **point.costs} for point in every]
    names = list(front_columns.meanings)
    return pd.DataFrame(rows, columns=[*names, *costs])


def front_sentence(found: list[Point], objective: str) -> str:
    """What the front of a dataset says, in words.

    Args:
        found: Its points.
        objective: The first objective.
    """
    best = [point for point in found if point.overall]
    names = text.listed(sorted({point.label for point in best}))
    return (
        f"{objective.upper()} against cost: small dots are trials, marks the means of fresh runs "
        f"with 95 % intervals, on the validation truth; filled ones are on the front, which has "
        f"{text.plural(len(best), 'point')} of {names}. Where intervals overlap the front may be "
        "luck. Only winners are confirmed on the test truth."
    )
