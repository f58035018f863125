"""What a handful of seeds can carry: intervals, comparisons, ranks.

Datasets are fixed and seeds are random: every quantity is a mean over datasets ("blocks") of means
over seeds, and its uncertainty comes from the seeds within each dataset only. At three to ten seeds
a percentile bootstrap is far too sure of itself, so intervals are Student's t, with the degrees of
freedom of Welch and Satterthwaite when several datasets are averaged (Satterthwaite 1946,
*Biometrics Bulletin* 2(6)); one dataset gives the ordinary t interval. Smaller is better here;
``inf`` stands for a run that failed, and nothing is ever dropped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
LEVEL = 0.95
_FEWEST_ALWAYS_FAILING = 3


@dataclass(frozen=True)
class Estimate:
    """A mean with what is known of its error.

    Attributes:
        value: The mean; ``inf`` as soon as one run failed, ``nan`` without any run.
        error: Standard error; ``nan`` where it cannot be known (one seed, a failure).
        freedom: Degrees of freedom of the error.
    """

    value: float
    error: float
    freedom: float

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Lower and upper end of the t interval, ``nan`` where there is none."""
        half = self.half_width(level)
        return self.value - half, self.value + half

    def half_width(self, level: float = LEVEL) -> float:
        """Half the length of the interval, ``nan`` where there is none."""
        if not math.isfinite(self.error) or not math.isfinite(self.value):
            return math.nan
        if self.error == 0.0:
            return 0.0
        return float(stats.t.ppf(0.5 + level / 2, self.freedom)) * self.error

    def p_value(self) -> float:
        """Two-sided p-value of "the mean is zero", ``nan`` where there is none."""
        if not math.isfinite(self.error) or not math.isfinite(self.value):
            return math.nan
        if self.error == 0.0:
            return 1.0 if self.value == 0.0 else 0.0
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.freedom))


def estimate(blocks: Sequence[Array]) -> Estimate:
    """Mean over blocks of the means within them.

    Args:
        blocks: One array of values, shape (seeds,), per dataset; lengths may differ.
    """
    if not blocks or any(len(block) == 0 for block in blocks):
        return Estimate(math.nan, math.nan, math.nan)
    value = _mean([_mean(block) for block in blocks])
    if not math.isfinite(value) or any(len(block) < 2 for block in blocks):
        return Estimate(value, math.nan, math.nan)
    parts = np.array([np.var(block, ddof=1) / len(block) for block in blocks])
    total = float(parts.sum())
    if total == 0.0:
        return Estimate(value, 0.0, math.inf)
    freedoms = np.array([len(block) - 1 for block in blocks])
    share = parts / total
    freedom = 1.0 / float((share**2 / freedoms).sum())
    return Estimate(value, math.sqrt(total) / len(blocks), freedom)


@dataclass(frozen=True)
class Comparison:
    """Two contestants, run with the same seeds.

    Attributes:
        difference: First minus second, over their common seeds.
        improvement: Share of the common seeds in which the first is better, ties counting half.
        seeds: Common seeds of the dataset that has fewest.
        p_value: Of "they are the same"; ``nan`` where the seeds cannot tell.
    """

    difference: Estimate
    improvement: float
    seeds: int
    p_value: float

    def first_is_better(self, level: float) -> bool:
        """Whether the seeds carry the claim."""
        return self.p_value <= 1 - level and self.difference.value < 0

    def second_is_better(self, level: float) -> bool:
        """Whether the seeds carry the opposite claim."""
        return self.p_value <= 1 - level and self.difference.value > 0


def compare(first: Sequence[Array], second: Sequence[Array]) -> Comparison:
    """Compare two contestants seed by seed.

    Without failures this is the paired t test (Satterthwaite's over several datasets). A failed
    run makes the mean infinite, and no t test exists; then the exact sign test over all common
    seeds decides, if it points the same way as the means. One convention goes beyond it: who
    failed in every one of at least three seeds of a dataset is behind who never failed there.

    Args:
        first: Per dataset, the values of the common seeds, shape (seeds,).
        second: The same datasets and seeds for the other contestant.
    """
    seeds = min((len(block) for block in first), default=0)
    if seeds == 0:
        return Comparison(estimate([]), math.nan, 0, math.nan)
    a, b = np.concatenate(first), np.concatenate(second)
    wins, losses = int((a < b).sum()), int((a > b).sum())
    improvement = (wins + (len(a) - wins - losses) / 2) / len(a)
    if np.isfinite(a).all() and np.isfinite(b).all():
        difference = estimate([x - y for x, y in zip(first, second, strict=True)])
        return Comparison(difference, improvement, seeds, difference.p_value())
    means = [_mean([_mean(block) for block in blocks]) for blocks in (first, second)]
    gap = 0.0 if means[0] == means[1] else means[0] - means[1]
    p_value = float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    if (wins - losses) * gap > 0:
        p_value = 1.0
    if _always_fails(first, second) != _always_fails(second, first):
        p_value = 0.0
    return Comparison(Estimate(gap, math.nan, math.nan), improvement, seeds, p_value)


def seeds_needed(
    comparison: Comparison, level: float = LEVEL, power: float = 0.8, most: int = 1000
) -> float:
    """Seeds per dataset that would decide a pair whose difference is as it looks now.

    Args:
        comparison: An undecided comparison without failures.
        level: Level at which it shall be decided.
        power: Chance of the decision.
        most: Larger answers are given as ``inf``; ``nan`` if nothing can be said.
    """
    now, n = comparison.difference, comparison.seeds
    if n < 2 or not math.isfinite(now.error):
        return math.nan
    if now.value == 0.0 or now.error == 0.0:
        return math.inf if now.value == 0.0 else float(n)

    def chance(seeds: int) -> float:
        freedom = now.freedom * (seeds - 1) / (n - 1)
        bound = float(stats.t.ppf(0.5 + level / 2, freedom))
        shift = abs(now.value) / (now.error * math.sqrt(n / seeds))
        return float(stats.nct.sf(bound, freedom, shift))

    low, high = 2, most
    if not chance(high) >= power:
        return math.inf
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= power else (middle + 1, high)
    return float(low)


def same_as_floor(values: Array, floor: Array) -> bool:
    """Whether a contestant cannot be told from fresh samples of the truth.

    Both must hold: its mean lies within what 95 of 100 truth samples reach, and Welch's one-sided
    test finds it no larger than theirs at 5 %. Wide scatter alone is thus never taken for quality.

    Args:
        values: Confirmed values, shape (seeds,).
        floor: Values of truth samples, shape (repetitions,).
    """
    if len(values) < 2 or len(floor) < 2 or not np.isfinite(values).all():
        return False
    if values.mean() > np.quantile(floor, LEVEL):
        return False
    if np.ptp(values) == 0.0 and np.ptp(floor) == 0.0:
        return True
    test = stats.ttest_ind(values, floor, equal_var=False, alternative="greater")
    return bool(test.pvalue > 1 - LEVEL)


def _mean(values: Sequence[float] | Array) -> float:
    """Mean that is infinite, not undefined, when failures are among the values."""
    with np.errstate(invalid="ignore"):  # a failure minus a failure is not a number, and may be so
        return float(np.mean(np.asarray(values, dtype=np.float64)))


def _always_fails(blocks: Sequence[Array], others: Sequence[Array]) -> bool:
    return any(
        len(block) >= _FEWEST_ALWAYS_FAILING and np.isinf(block).all() and np.isfinite(other).all()
        for block, other in zip(blocks, others, strict=True)
    )
