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
from itertools import combinations

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


def simultaneous_level(contestants: int, level: float = LEVEL) -> float:
    """Level of each comparison such that all pairs hold together at ``level`` (Bonferroni)."""
    return 1 - (1 - level) / max(1, math.comb(contestants, 2))


def closure(better: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Everything that follows: a before b and b before c put a before c.

    Args:
        better: Square; ``better[i, j]`` says that i was shown to be better than j.
    """
    known = better.copy()
    for k in range(len(known)):
        known |= known[:, k, None] & known[None, k, :]
    return known


def rank_intervals(better: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Best and worst rank of each contestant that the claims in ``better`` leave open."""
    known = closure(better)
    count = len(known)
    return [
        (1 + int(known[:, i].sum()), count - int(known[i, :].sum())) for i in range(count)
    ]  # fmt: skip


def beats(contestants: Sequence[Sequence[tuple[Array, Array]]]) -> NDArray[np.bool_]:
    """Who was shown to be better than whom, all claims together at 95 %.

    Args:
        contestants: For each, per dataset (the same datasets in the same order), the numbers of
            its seeds, shape (seeds,), and its values, shape (seeds,).
    """
    count = len(contestants)
    level = simultaneous_level(count)
    better = np.zeros((count, count), dtype=np.bool_)
    for i, j in combinations(range(count), 2):
        outcome = compare(*common(contestants[i], contestants[j]))
        better[i, j] = outcome.first_is_better(level)
        better[j, i] = outcome.second_is_better(level)
    return closure(better)


def common(
    first: Sequence[tuple[Array, Array]], second: Sequence[tuple[Array, Array]]
) -> tuple[list[Array], list[Array]]:
    """Values of the seeds that both have, per dataset and in the same order."""
    left, right = [], []
    for (seeds_a, a), (seeds_b, b) in zip(first, second, strict=True):
        _, at_a, at_b = np.intersect1d(seeds_a, seeds_b, return_indices=True)
        left.append(a[at_a])
        right.append(b[at_b])
    return left, right


def probability_best(
    contestants: Sequence[Sequence[tuple[Array, Array]]], seed: int = 0, draws: int = 20_000
) -> Array:
    """Probability that each contestant has the smallest true mean, shape (contestants,).

    Hierarchical resampling: within every dataset the seeds get random weights, the same for all
    contestants, so that what common seeds share cancels. The weights are Gaussian and the spread
    is widened by the chi-squared law of an estimated variance, which makes a single pair agree
    with its t test; plain resampling of three seeds would be much too sure.

    Args:
        contestants: As for ``beats``.
        seed: Of the resampling; the same seed gives the same probabilities.
        draws: Number of resamples.
    """
    generator = np.random.default_rng(seed)
    count = len(contestants)
    means = np.array([estimate([v for _, v in blocks]).value for blocks in contestants])
    if count == 0 or np.isnan(means).any():
        return np.full(count, math.nan)
    finite = np.isfinite(means)
    if not finite.any():
        return np.full(count, 1.0 / count)
    blocks_of = [blocks for blocks, keep in zip(contestants, finite, strict=True) if keep]
    if any(len(values) < 2 for blocks in blocks_of for _, values in blocks):
        return np.full(count, math.nan)
    spread = np.zeros((draws, len(blocks_of)))
    traces, freedoms = [], []
    for block in zip(*blocks_of, strict=True):
        seeds = np.unique(np.concatenate([numbers for numbers, _ in block]))
        weights = generator.standard_normal((draws, len(seeds)))
        shifts = np.zeros((len(seeds), len(block)))
        for column, (numbers, values) in enumerate(block):
            n = len(values)
            deviations = (values - values.mean()) / math.sqrt(n * (n - 1))
            shifts[np.searchsorted(seeds, numbers), column] = deviations
        spread += weights @ shifts / len(blocks_of[0])
        traces.append(float((shifts**2).sum()))
        freedoms.append(min(len(values) for _, values in block) - 1)
    if sum(traces) > 0:
        share = np.array(traces) / sum(traces)
        freedom = 1.0 / float((share**2 / np.array(freedoms)).sum())
        spread *= np.sqrt(freedom / generator.chisquare(freedom, size=(draws, 1)))
    totals = means[finite] + spread
    smallest = totals == totals.min(axis=1, keepdims=True)
    chances = np.zeros(count)
    chances[finite] = (smallest / smallest.sum(axis=1, keepdims=True)).mean(axis=0)
    return chances


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
    return float(np.mean(np.asarray(values, dtype=np.float64)))


def _always_fails(blocks: Sequence[Array], others: Sequence[Array]) -> bool:
    return any(
        len(block) >= _FEWEST_ALWAYS_FAILING and np.isinf(block).all() and np.isfinite(other).all()
        for block, other in zip(blocks, others, strict=True)
    )
