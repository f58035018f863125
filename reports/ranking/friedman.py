"""Rank tests across datasets, if there are enough datasets for a decision."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .. import text
from .evidence import Evidence
from .statistics import LEVEL

FEWEST_DATASETS = 6
"""With fewer, no result is significant: a two-sided sign test of 5 gives at best p = 0.0625."""
_FEWEST_METHODS = 3


@dataclass(frozen=True)
class RankTest:
    """Friedman's test of mean ranks and Nemenyi's critical difference (Demšar 2006, JMLR 7).

    Attributes:
        ranks: Mean rank over the datasets by label, best first.
        p_value: P-value of "all methods are equal" (Friedman).
        critical: Difference of mean ranks that is significant at 95 % (Nemenyi).
        datasets: Number of datasets.
    """

    ranks: dict[str, float]
    p_value: float
    critical: float
    datasets: int

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """Largest sets of neighbours that the test cannot distinguish."""
        labels = list(self.ranks)
        groups: list[tuple[str, ...]] = []
        for i, first in enumerate(labels):
            near = [x for x in labels[i:] if self.ranks[x] - self.ranks[first] < self.critical]
            if len(near) > 1 and not any(set(near) <= set(group) for group in groups):
                groups.append(tuple(near))
        return groups


def critical_difference(methods: int, datasets: int) -> float:
    """Return the smallest difference of mean ranks that Nemenyi's test finds at 95 %."""
    quantile = float(stats.studentized_range.ppf(LEVEL, methods, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * datasets))


def rank_test(evidence: Evidence) -> RankTest | None:
    """Return the tests, or ``None`` if they cannot decide; ``rank_sentence`` says why."""
    ranked = [c for c in evidence.contestants if c.rank is not None]
    datasets = evidence.compared
    if len(ranked) < _FEWEST_METHODS or len(datasets) < FEWEST_DATASETS:
        return None
    losses = np.array([[c.cells[d].loss.value for c in ranked] for d in datasets])
    ranks = np.array([stats.rankdata(row) for row in losses])
    equal = bool((losses == losses[:, :1]).all())
    p_value = 1.0 if equal else float(stats.friedmanchisquare(*ranks.T).pvalue)
    order = np.argsort(ranks.mean(axis=0), kind="stable")
    means = {ranked[i].label: float(ranks[:, i].mean()) for i in order}
    critical = critical_difference(len(ranked), len(datasets))
    return RankTest(means, p_value, critical, len(datasets))


def rank_sentence(evidence: Evidence) -> str:
    """Say what the rank tests find, or why there are none."""
    count = sum(c.rank is not None for c in evidence.contestants)
    datasets = len(evidence.compared)
    if count < _FEWEST_METHODS:
        return f"No Friedman test: it needs at least three {evidence.nouns}."
    test = rank_test(evidence)
    if test is None:
        critical = critical_difference(count, max(1, datasets))
        return (
            f"No Friedman or Nemenyi test: with {text.plural(datasets, 'dataset')} two of "
            f"{count} {evidence.nouns} must differ by {critical:.2g} mean ranks, of at most "
            f"{count - 1}; such a test needs at least {FEWEST_DATASETS} datasets. The ranks "
            "above come from the runs."
        )
    if test.p_value > 1 - LEVEL:
        return (
            f"Friedman's test over {datasets} datasets finds no difference of mean ranks "
            f"(p = {test.p_value:.2g})."
        )
    return (
        f"Friedman's test over {datasets} datasets finds differences (p = {test.p_value:.2g}); "
        f"mean ranks differ if they are {test.critical:.2g} or more apart (Nemenyi)."
    )
