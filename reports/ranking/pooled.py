"""Estimates and ranks of cells and contestants in studies of several restarts.

Variances are estimated jointly over all cells (``moderated.py``), so cells and contestants are
estimated and compared together (``restarts.py``).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...studies.specs.tables import Decide
from . import restarts
from .cell_results import CellResults
from .moderated import Means
from .rank_intervals import closure, rank_intervals
from .statistics import Array, Comparison, Estimate
from .until_decided import decide, restarts_needed, rounds

if TYPE_CHECKING:
    from .evidence import Contestant

Comparisons = dict[tuple[str | None, str, str], Comparison]
"""Comparisons by dataset (``None``: across all) and labels of the two contestants."""


def pooled_cells(
    cells: Iterable[CellResults],
    datasets: Sequence[str],
    comparisons: Comparisons,
    rule: Decide | None = None,
) -> list[CellResults]:
    """Estimate and rank the cells of each dataset; sorted by mean, missing cells last.

    Args:
        cells: All cells.
        datasets: Labels of the datasets.
        comparisons: Receives the comparisons of each dataset.
        rule: Rule of a study that adds restarts until it is decided.
    """
    by_label = {(cell.label, cell.dataset): cell for cell in cells}
    labels = sorted({label for label, _ in by_label})
    table = _table([[by_label[label, name].losses for name in datasets] for label in labels])
    ordered: list[CellResults] = []
    for number, name in enumerate(datasets):
        rows = [i for i, label in enumerate(labels) if not by_label[label, name].missing]
        confirmed = [labels[i] for i in rows]
        dataset = slice(number, number + 1)
        estimates = _estimates(restarts.scores(table[rows][:, dataset]))
        ranks = _compare(table[rows], dataset, name, confirmed, comparisons, rule)
        ranked = [
            replace(by_label[label, name], pooled=pooled, rank=rank)
            for label, pooled, rank in zip(confirmed, estimates, ranks, strict=True)
        ]
        ordered += sorted(ranked, key=lambda cell: (cell.mean, cell.cell))
        ordered += [by_label[label, name] for label in labels if by_label[label, name].missing]
    return ordered


def pooled_contestants(
    contestants: Sequence["Contestant"],
    datasets: Sequence[str],
    comparisons: Comparisons,
    rule: Decide | None = None,
) -> list["Contestant"]:
    """Estimate and rank contestants across datasets; those that miss a dataset come last.

    Args:
        contestants: Contestants in any order.
        datasets: Labels of the compared datasets.
        comparisons: Receives the comparisons across the datasets.
        rule: Rule of a study that adds restarts until it is decided.
    """
    complete = [
        contestant
        for contestant in contestants
        if not contestant.missing
        and not any(math.isnan(contestant.cells[name].scale) for name in datasets)
    ]
    others = [contestant for contestant in contestants if contestant not in complete]
    if not complete or not datasets:
        return [*complete, *others]
    table = _table([[c.cells[name].normalised for name in datasets] for c in complete])
    estimates = _estimates(restarts.scores(table))
    labels = [contestant.label for contestant in complete]
    ranks = _compare(table, slice(None), None, labels, comparisons, rule)
    probabilities = restarts.probability_best(table)
    ranked = [
        replace(
            contestant,
            rank=rank,
            best=float(probability),
            pooled=pooled,
            tied=tuple(
                label
                for label in labels
                if label != contestant.label
                and not comparisons[None, contestant.label, label].decided
            ),
        )
        for contestant, rank, probability, pooled in zip(
            complete, ranks, probabilities, estimates, strict=True
        )
    ]
    return sorted(ranked, key=lambda c: (c.score.value, c.label)) + others


def _table(values: Sequence[Sequence[Array]]) -> Array:
    """Return losses, shape (methods, datasets, restarts), padded with ``nan``."""
    most = max((len(losses) for row in values for losses in row), default=0)
    return np.array(
        [[[*losses, *[math.nan] * (most - len(losses))] for losses in row] for row in values]
    )


def _estimates(means: Means) -> list[Estimate]:
    """Return the mean of each method, with intervals that allow for skewness."""

    def limits(method: int, level: float) -> tuple[float, float]:
        low, high = means.interval((1 - level) / 2)
        return float(low[method]), float(high[method])

    return [
        Estimate(float(value), float(error), float(freedom), partial(limits, method))
        for method, (value, error, freedom) in enumerate(
            zip(means.value, means.error, means.freedom, strict=True)
        )
    ]


def _compare(
    table: Array,
    over: slice,
    dataset: str | None,
    labels: Sequence[str],
    comparisons: Comparisons,
    rule: Decide | None,
) -> list[tuple[int, int]]:
    """Compare all pairs and return the best and worst rank of each method.

    Args:
        table: Losses, shape (methods, datasets, restarts).
        over: Datasets that are averaged; variances are moderated over all datasets.
        dataset: Label of the dataset in ``comparisons``, or ``None``.
        labels: Labels of the methods.
        comparisons: Receives the comparisons, in both orders of a pair.
        rule: Rule of a study that adds restarts until it is decided: each look at its results
            spends a part of the probability of a false claim.
    """
    if len(labels) < 2:
        return [(1, 1)] * len(labels)
    outcome = restarts.compare(table, over)
    needed = restarts_needed(outcome)
    better, small = outcome.better(), np.zeros(len(outcome.first), dtype=np.bool_)
    if rule is not None:
        looks = [look for look in rounds(rule.restarts) if look <= table.shape[-1]]
        better = np.zeros_like(better)
        if looks:
            decision = decide(table, looks, rule.restarts, rule.difference, rule.error, over)
            better, small = outcome.matrix(decision.direction), decision.small
    losses = table[:, over]
    for pair, (i, j) in enumerate(zip(outcome.first, outcome.second, strict=True)):
        for a, b, sign in ((i, j, 1.0), (j, i, -1.0)):
            common = ~np.isnan(losses[a]) & ~np.isnan(losses[b])
            first, second = losses[a][common], losses[b][common]
            wins = (first < second).mean() + 0.5 * (first == second).mean()
            comparisons[dataset, labels[a], labels[b]] = Comparison(
                _difference(outcome, pair, sign),
                float(wins),
                int(common.sum(-1).min()),
                float(outcome.p_value[pair]),
                decided=int(better[b, a]) - int(better[a, b]),
                small=bool(small[pair]),
                needed=float(needed[pair]),
            )
    return rank_intervals(closure(better))


def _difference(outcome: restarts.Comparisons, pair: int, sign: float) -> Estimate:
    """Return the difference of a pair, or with sign -1 of the reversed pair."""
    means = outcome.difference

    def limits(level: float) -> tuple[float, float]:
        # ``level`` is that of a single pair; ``interval`` divides its share among all pairs.
        low, high = outcome.interval((1 - level) * len(outcome.first))
        lower, upper = sorted((sign * float(low[pair]), sign * float(high[pair])))
        return lower, upper

    return Estimate(
        sign * float(means.value[pair]),
        float(means.error[pair]),
        float(means.freedom[pair]),
        limits,
    )
