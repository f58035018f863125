"""Intervals and comparisons from a few seeds.

Datasets are fixed and seeds are random: every quantity is a mean over datasets ("blocks") of means
over seeds, and its uncertainty comes only from the seeds within each dataset. With three to ten
seeds the intervals of a percentile bootstrap are much too short, so intervals are Student's t, with
the degrees of freedom of Welch and Satterthwaite if several datasets are averaged (Satterthwaite
1946, *Biometrics Bulletin* 2(6)); one dataset gives the ordinary t interval. Smaller is better;
``inf`` stands for a failed run, and no run is dropped.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
LEVEL = 0.95
_FEWEST_ALWAYS_FAILING = 3


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error.

    Attributes:
        value: The mean; ``inf`` if a run failed, ``nan`` without runs.
        error: Standard error; ``nan`` if it is unknown (one seed, a failure).
        freedom: Degrees of freedom of the error.
        limits: Gives the interval at a level where it is not Student's, as with skewed restarts.
    """

    value: float
    error: float
    freedom: float
    limits: Callable[[float], tuple[float, float]] | None = None

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the lower and upper limit of the interval, ``nan`` if there is none."""
        if not math.isfinite(self.error) or not math.isfinite(self.value):
            return math.nan, math.nan
        if self.error == 0.0:
            return self.value, self.value
        if self.limits is not None:
            return self.limits(level)
        half = float(stats.t.ppf(0.5 + level / 2, self.freedom)) * self.error
        return self.value - half, self.value + half

    def half_width(self, level: float = LEVEL) -> float:
        """Return the distance of the value from the farther limit, ``nan`` if there is none."""
        low, high = self.interval(level)
        return max(self.value - low, high - self.value)

    def p_value(self) -> float:
        """Return the two-sided p-value of "the mean is zero", ``nan`` if there is none."""
        if not math.isfinite(self.error) or not math.isfinite(self.value):
            return math.nan
        if self.error == 0.0:
            return 1.0 if self.value == 0.0 else 0.0
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.freedom))


def estimate(blocks: Sequence[Array]) -> Estimate:
    """Average the means of several blocks.

    Args:
        blocks: One array of values, shape (seeds,), per dataset; lengths may differ.
    """
    if not blocks or any(len(block) == 0 for block in blocks):
        return Estimate(math.nan, math.nan, math.nan)
    value = _mean([_mean(block) for block in blocks])
    if not math.isfinite(value) or any(len(block) < 2 for block in blocks):
        return Estimate(value, math.nan, math.nan)
    variances = [float(np.var(block, ddof=1)) / len(block) for block in blocks]
    total = welch(value, variances, [len(block) - 1 for block in blocks])
    return Estimate(value, total.error / len(blocks), total.freedom)


def welch(value: float, variances: Sequence[float], freedoms: Sequence[float]) -> Estimate:
    """Return an estimate with the error of a sum of independent means.

    Args:
        value: The sum.
        variances: Squared standard error of each mean.
        freedoms: Degrees of freedom of each.
    """
    total = float(np.sum(variances))
    if not total > 0:
        return Estimate(value, total, math.inf)
    return Estimate(value, math.sqrt(total), satterthwaite(np.array(variances) / total, freedoms))


def satterthwaite(shares: Array, freedoms: Sequence[float]) -> float:
    """Return the degrees of freedom of a variance that is a sum of independent ones.

    Args:
        shares: Share of each part in the variance, shape (parts,); their sum is 1.
        freedoms: Degrees of freedom of each part.
    """
    return 1.0 / float((shares**2 / np.array(freedoms)).sum())


@dataclass(frozen=True)
class Comparison:
    """The comparison of two contestants, seed by seed.

    Attributes:
        difference: First minus second, over their common seeds.
        improvement: Share of the common seeds in which the first is better; ties count half.
        seeds: Number of common seeds of the dataset with the fewest.
        p_value: P-value of "they are equal"; ``nan`` if the seeds do not allow a test.
        decided: -1 if the first was shown to be better, 1 if the second was, 0 if neither, all
            claims of the study together; ``None`` where ``p_value`` decides.
        small: Whether the difference was shown to be smaller than what matters.
        needed: Further restarts that would decide it; ``nan`` if it is decided or unknown.
    """

    difference: Estimate
    improvement: float
    seeds: int
    p_value: float
    decided: int | None = None
    small: bool = False
    needed: float = math.nan

    def first_is_better(self, level: float) -> bool:
        """Whether the seeds support "the first is better" at a level."""
        if self.decided is not None:
            return self.decided < 0
        return self.p_value <= 1 - level and self.difference.value < 0

    def second_is_better(self, level: float) -> bool:
        """Whether the seeds support "the second is better" at a level."""
        if self.decided is not None:
            return self.decided > 0
        return self.p_value <= 1 - level and self.difference.value > 0


def compare(first: Sequence[Array], second: Sequence[Array]) -> Comparison:
    """Compare two contestants seed by seed.

    Without failures this is the paired t test (Satterthwaite's over several datasets). A failed
    run makes the mean infinite, so that no t test exists; then the exact sign test over all common
    seeds decides, if it has the same direction as the means. One convention goes further: a
    contestant that failed in all of at least three seeds of a dataset is worse than one that never
    failed there.

    Args:
        first: Values of the common seeds per dataset, shape (seeds,).
        second: The same for the other contestant.
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
    """Estimate the seeds per dataset that would decide a pair, given its present difference.

    Args:
        comparison: An undecided comparison without failures.
        level: Level of the decision.
        power: Probability of a decision.
        most: Larger answers are returned as ``inf``.

    Returns:
        ``nan`` if no estimate is possible.
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
    """Return whether a contestant cannot be distinguished from the noise floor.

    Two conditions must hold: its mean is below the 95 % quantile of the floor, and Welch's
    one-sided test does not find it larger than the floor's at 5 %. Wide scatter alone is therefore
    not mistaken for quality.

    Args:
        values: Confirmed values, shape (seeds,).
        floor: Values between samples of the truth, shape (repetitions,).
    """
    if len(values) < 2 or len(floor) < 2 or not np.isfinite(values).all():
        return False
    if values.mean() > np.quantile(floor, LEVEL):
        return False
    if np.ptp(values) == 0.0 and np.ptp(floor) == 0.0:
        return True
    with warnings.catch_warnings():
        # Values that agree to the last digits are as good as equal.
        warnings.simplefilter("ignore", RuntimeWarning)
        test = stats.ttest_ind(values, floor, equal_var=False, alternative="greater")
    return bool(test.pvalue > 1 - LEVEL)


def _mean(values: Sequence[float] | Array) -> float:
    """Return the mean; infinite, not undefined, if there are failures among the values."""
    with np.errstate(invalid="ignore"):  # inf - inf is nan, as intended
        return float(np.mean(np.asarray(values, dtype=np.float64)))


def _always_fails(blocks: Sequence[Array], others: Sequence[Array]) -> bool:
    """Return whether all runs of a dataset failed where none of the other contestant did."""
    return any(
        len(block) >= _FEWEST_ALWAYS_FAILING and np.isinf(block).all() and np.isfinite(other).all()
        for block, other in zip(blocks, others, strict=True)
    )
