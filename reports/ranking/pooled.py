"""Studies of several restarts, from cells to ranks: every claim rests on restarts.

Spreads of all cells inform each other (``moderated.py``), so cells and contestants are estimated
and compared together (``restarts.py``).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...studies.specs.spec import Decide
from . import restarts
from .cell_results import CellResults
from .moderated import Means
from .rank_intervals import closure, rank_intervals
from .statistics import Array, Comparison, Estimate
from .until_decided import decide, restarts_needed, rounds

if TYPE_CHECKING:
    from .evidence import Contestant

Comparisons = dict[tuple[str | None, str, str], Comparison]
"""Comparisons by dataset (``None``: across all) and the labels of both contestants."""


def pooled_cells(
    cells: Iterable[CellResults],
    datasets: Sequence[str],
    comparisons: Comparisons,
    rule: Decide | None = None,
) -> list[CellResults]:
    """Estimate and rank the cells of each dataset; cells of a dataset by mean, missing ones last.

    Args:
        cells: All cells.
        datasets: Labels of the datasets.
        comparisons: Receives the comparisons of each dataset.
        rule: Of a study that adds restarts until it is decided.
    """
    by_place = {(cell.label, cell.dataset): cell for cell in cells}
    labels = sorted({label for label, _ in by_place})
    table = _table([[by_place[label, name].losses for name in datasets] for label in labels])
    ordered: list[CellResults] = []
    for place, name in enumerate(datasets):
        here = [i for i, label in enumerate(labels) if not by_place[label, name].missing]
        only = slice(place, place + 1)
        estimates = _estimates(restarts.scores(table[here][:, only]))
        known = [
            replace(by_place[labels[i], name], pooled=pooled)
            for i, pooled in zip(here, estimates, strict=True)
        ]
        ranks = _compare(table[here], only, name, [labels[i] for i in here], comparisons, rule)
        ranked = [replace(cell, rank=rank) for cell, rank in zip(known, ranks, strict=True)]
        ordered += sorted(ranked, key=lambda cell: (cell.mean, cell.cell))
        ordered += [by_place[label, name] for label in labels if by_place[label, name].missing]
    return ordered


def pooled_contestants(
    contestants: Sequence["Contestant"],
    datasets: Sequence[str],
    comparisons: Comparisons,
    rule: Decide | None = None,
) -> list["Contestant"]:
    """Estimate and rank contestants across the datasets, those that miss one last.

    Args:
        contestants: In any order.
        datasets: Those that are compared.
        comparisons: Receives the comparisons across the datasets.
        rule: Of a study that adds restarts until it is decided.
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
    chances = restarts.probability_best(table)
    ranked = [
        replace(
            contestant,
            rank=rank,
            best=float(chance),
            pooled=pooled,
            tied=tuple(
                label
                for label in labels
                if label != contestant.label
                and not comparisons[None, contestant.label, label].decided
            ),
        )
        for contestant, rank, chance, pooled in zip(
            complete, ranks, chances, estimates, strict=True
        )
    ]
    return sorted(ranked, key=lambda c: (c.score.value, c.label)) + others


def _table(values: Sequence[Sequence[Array]]) -> Array:
    """Losses of methods on datasets as one array, padded with ``nan`` at the end of restarts."""
    most = max((len(block) for row in values for block in row), default=0)
    return np.array(
        [[[*block, *[math.nan] * (most - len(block))] for block in row] for row in values]
    )


def _estimates(means: Means) -> list[Estimate]:
    """Means of several methods, with Hall's intervals."""

    def limits(method: int, level: float) -> tuple[float, float]:
        low, high = means.hall((1 - level) / 2)
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
    """Compare all pairs and give the ranks that the claims leave open.

    Args:
        table: Losses, shape (methods, datasets, restarts).
        over: The datasets of the comparison; all of them lend their spreads.
        dataset: Its name in ``comparisons``.
        labels: Labels of the methods.
        comparisons: Receives them, in both orders.
        rule: Of a study that adds restarts until it is decided: each look at its results spends
            a part of the chance of a false claim.
    """
    if len(labels) < 2:
        return [(1, 1)] * len(labels)
    outcome = restarts.compare(table, over)
    needed = restarts_needed(outcome)
    known, small = outcome.better(), np.zeros(len(outcome.first), dtype=bool)
    looks = [] if rule is None else [n for n in rounds(rule.restarts) if n <= table.shape[-1]]
    if rule is not None:
        known = np.zeros_like(known)
    if rule is not None and looks:
        decision = decide(table, looks, rule.restarts, rule.difference, rule.error, over)
        known, small = outcome.matrix(decision.direction), decision.small
    part = table[:, over]
    for pair, (i, j) in enumerate(zip(outcome.first, outcome.second, strict=True)):
        for a, b, sign in ((i, j, 1.0), (j, i, -1.0)):
            shared = ~np.isnan(part[a]) & ~np.isnan(part[b])
            wins = (part[a] < part[b])[shared].mean() + 0.5 * (part[a] == part[b])[shared].mean()
            comparisons[dataset, labels[a], labels[b]] = Comparison(
                _difference(outcome, pair, sign),
                float(wins),
                int(shared.sum(-1).min()),
                float(outcome.p_value[pair]),
                decided=int(known[b, a]) - int(known[a, b]),
                small=bool(small[pair]),
                needed=float(needed[pair]),
            )
    return rank_intervals(closure(known))


def _difference(outcome: restarts.Comparisons, pair: int, sign: float) -> Estimate:
    """The difference of a pair, or of the pair turned round."""
    means = outcome.difference

    def limits(level: float) -> tuple[float, float]:
        # ``level`` is that of one pair of many, and ``interval`` shares among the pairs itself.
        low, high = outcome.interval((1 - level) * len(outcome.first))
        ends = sorted((sign * float(low[pair]), sign * float(high[pair])))
        return ends[0], ends[1]

    return Estimate(
        sign * float(means.value[pair]),
        float(means.error[pair]),
        float(means.freedom[pair]),
        limits,
    )
