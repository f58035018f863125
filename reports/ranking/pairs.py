"""Pairs of ranked methods: difference, probability of improvement, seeds needed."""

import math
from dataclasses import dataclass
from itertools import combinations

from scipy import stats

from .. import text
from .columns import Column, Columns
from .evidence import Contestant, Evidence
from .rank_intervals import simultaneous_level
from .statistics import LEVEL, Comparison, seeds_needed


@dataclass(frozen=True)
class Pair:
    """Two ranked contestants across the datasets.

    Attributes:
        first: The contestant with the smaller score.
        second: The contestant with the larger score.
        outcome: The comparison of their scores, seed by seed.
        level: Level of each comparison, such that those of all pairs hold jointly at 95 %.
        shared: Number of common seeds over all datasets.
    """

    first: Contestant
    second: Contestant
    outcome: Comparison
    level: float
    shared: int

    @property
    def winner(self) -> Contestant | None:
        """The contestant that was shown to be better, if any."""
        if self.outcome.first_is_better(self.level):
            return self.first
        return self.second if self.outcome.second_is_better(self.level) else None

    @property
    def improvement(self) -> tuple[float, float]:
        """Exact 95 % interval of the probability that the first is better in a run.

        Clopper and Pearson 1934 for all seeds together; it is conservative for several datasets.
        """
        if self.shared == 0:
            return math.nan, math.nan
        wins = self.outcome.improvement * self.shared
        tail = (1 - LEVEL) / 2
        losses = self.shared - wins
        low = float(stats.beta.ppf(tail, wins, losses + 1)) if wins else 0.0
        high = float(stats.beta.ppf(1 - tail, wins + 1, losses)) if losses else 1.0
        return low, high

    @property
    def more_seeds(self) -> float:
        """Further restarts, or seeds of one, that would decide it; ``nan`` if it is decided."""
        if self.outcome.decided is not None:
            return self.outcome.needed
        needed = math.nan if self.winner else seeds_needed(self.outcome, self.level)
        if math.isnan(needed):
            return math.nan
        # An undecided pair needs at least one more seed, whatever the forecast.
        return max(1.0, needed - self.outcome.seeds)


def pairs(evidence: Evidence) -> list[Pair]:
    """Return all pairs of ranked contestants, better ones first."""
    ranked = [c for c in evidence.contestants if c.rank is not None]
    level = simultaneous_level(len(ranked))
    compared = []
    for first, second in combinations(ranked, 2):
        shared = sum(
            len({*first.cells[d].replicates} & {*second.cells[d].replicates})
            for d in evidence.compared
        )
        compared.append(Pair(first, second, evidence.pair(first, second), level, shared))
    return compared


def _show_difference(pair: Pair) -> str:
    difference = pair.outcome.difference
    if difference.limits is not None:
        return text.spanned(difference.value, *difference.interval(pair.level))
    return text.measured(difference.value, difference.half_width(pair.level))


def _show_improvement(pair: Pair) -> str:
    low, high = pair.improvement
    if math.isnan(low):
        return text.MISSING
    return f"{text.percent(pair.outcome.improvement)} ({100 * low:.0f}–{100 * high:.0f})"


pair_columns: Columns[Pair] = Columns()
pair_columns["first", "first"] = Column(
    "Method with the smaller score.", lambda pair: pair.first.label
)
pair_columns["second", "second"] = Column(
    "Method with the larger score.", lambda pair: pair.second.label
)
pair_columns["difference", "first − second"] = Column(
    "Difference of the scores, restart by restart, or seed by seed in a study of one restart; "
    "the intervals of all pairs hold jointly at 95 %.",
    lambda pair: pair.outcome.difference.value,
    _show_difference,
)
pair_columns.limits(
    "difference",
    "limit of the difference (joint 95 % for all pairs)",
    lambda pair: pair.outcome.difference.interval(pair.level),
)
pair_columns["improvement", "Pr(first better)"] = Column(
    "Share of the common restarts (or seeds) in which the first is better; ties count half. "
    "In brackets its exact 95 % interval, of this pair only.",
    lambda pair: pair.outcome.improvement,
    _show_improvement,
)
pair_columns.limits(
    "improvement", "limit of the exact 95 % interval of that share", lambda pair: pair.improvement
)
pair_columns["p_value", ""] = Column(
    'P-value of "they are equal", of this pair only.', lambda pair: pair.outcome.p_value
)
pair_columns["seeds", "compared"] = Column(
    "Number of common restarts, or of one restart's seeds, of the dataset with the fewest.",
    lambda pair: pair.outcome.seeds,
)
pair_columns["more_seeds", "more needed"] = Column(
    "Further restarts (or seeds) that would decide the pair with a probability of 80 %. "
    "It assumes that the difference stays as it is; empty if the pair is decided or no estimate "
    "is possible.",
    lambda pair: pair.more_seeds,
    form=text.further,
)
pair_columns["better", "better"] = Column(
    "Method that was shown to be better (joint 95 %).",
    lambda pair: pair.winner.label if pair.winner else "",
    lambda pair: pair.winner.label if pair.winner else "undecided",
)
