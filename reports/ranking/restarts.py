"""Comparisons, scores and probabilities to be best, from a few restarts.

A restart is one search with its confirmation, so it varies with the search and with the seeds. Its
value is the mean loss of its confirmation runs, normalised per dataset. Datasets are fixed and
restarts are random. Restart r of every method shares data and noise, so methods are compared by
their differences within a restart. Losses have the shape (..., methods, datasets, restarts):
``nan`` is a restart that was not run, ``inf`` one that failed; leading axes are separate studies.

``docs/statistics.md`` tells how often this errs, and what it detects.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .moderated import Means, Spreads, skewness, spreads, variances, widening
from .statistics import LEVEL, Array


@dataclass(frozen=True)
class Comparisons:
    """All pairs of methods, over the same datasets and restarts.

    Attributes:
        first: Row of the first method of each pair, shape (pairs,).
        second: Row of the second.
        difference: Score of the first minus that of the second, with its error, shape
            (..., pairs). The error is ``nan`` where a restart failed, or there is only one.
        p_value: P-value of "they are equal", for this pair alone; ``nan`` where it is unknown.
        direction: -1 where the first looks better, 1 where the second does, 0 where neither does.
        forecast: Best estimate of the spreads of the differences, for ``restarts_needed``.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    difference: Means
    p_value: Array
    direction: Array
    forecast: Spreads

    @property
    def methods(self) -> int:
        """Number of methods."""
        return int(self.second.max(initial=0)) + 1

    def interval(self, share: float = 1 - LEVEL) -> tuple[Array, Array]:
        """Return lower and upper limits of joint intervals of the differences (Bonferroni).

        Args:
            share: Share of studies in which any interval may miss its difference.
        """
        now = self.difference
        half = stats.t.isf(share / (2 * max(1, len(self.first))), now.freedom) * now.error
        above, below = half * widening(now.skew)
        return now.value - below, now.value + above

    def adjusted(self) -> Array:
        """Return p-values adjusted for all pairs, by Shaffer's step-down procedure.

        Shaffer 1986, *Journal of the American Statistical Association* 81(395), procedure 1: each
        step counts only the hypotheses that can be true together once the earlier ones are false.
        The probability of any false claim in a study is then at most the level.
        """
        p_values = np.where(np.isnan(self.p_value), 2.0, self.p_value)
        order = np.argsort(p_values, -1, kind="stable")
        steps = np.take_along_axis(p_values, order, -1) * still_possible(self.methods)
        adjusted = np.empty_like(steps)
        np.put_along_axis(adjusted, order, np.maximum.accumulate(steps, -1), -1)
        return np.where(np.isnan(self.p_value), math.nan, np.minimum(adjusted, 1.0))

    def better(self, share: float = 1 - LEVEL) -> NDArray[np.bool_]:
        """Return whether method i was shown to be better than method j, shape (..., i, j).

        Args:
            share: Probability of any false claim.
        """
        return self.matrix((self.adjusted() <= share) * self.direction)

    def matrix(self, direction: Array) -> NDArray[np.bool_]:
        """Return claims by pair (-1: the first is better) as a table, shape (..., i, j)."""
        better = np.zeros((*direction.shape[:-1], self.methods, self.methods), dtype=np.bool_)
        better[..., self.first, self.second] = direction < 0
        better[..., self.second, self.first] = direction > 0
        return better


@lru_cache
def still_possible(methods: int) -> Array:
    """Count the hypotheses "a equals b" that can be true once 0, 1, 2, … are false, (pairs,)."""
    possible: list[set[int]] = [{0}]
    for count in range(1, methods + 1):
        sizes = range(1, count + 1)
        possible.append({math.comb(j, 2) + true for j in sizes for true in possible[count - j]})
    pairs = math.comb(methods, 2)
    most = [max(t for t in possible[methods] if t <= pairs - false) for false in range(pairs)]
    return np.array(most, dtype=np.float64)


def compare(losses: Array, over: slice = slice(None)) -> Comparisons:
    """Compare every pair of methods, restart by restart.

    Without failures this is the t test of the mean over datasets of the mean paired differences,
    with variances moderated over all pairs and datasets. Its critical values allow for a long upper
    tail of the better method's losses. With failed restarts no t test exists, and the exact sign
    test over the common restarts decides. The sign test cannot detect that a method always fails on
    one of several datasets, so a second test is added: the probability that of two equal methods
    one fails n times in n and the other never is at most 2·4⁻ⁿ for any failure rate (Barnard 1947,
    *Biometrika* 34). It is multiplied by the number of datasets, and by 2 for the two tests.

    Args:
        losses: Shape (..., methods, datasets, restarts).
        over: Datasets that are averaged; variances are moderated over all datasets.
    """
    methods = losses.shape[-3]
    first, second = np.triu_indices(methods, 1)
    a, b = losses[..., first, :, :], losses[..., second, :, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        common = ~np.isnan(a) & ~np.isnan(b)
        finite = np.isfinite(a) & np.isfinite(b)
        paired = np.where(common & ~finite, math.inf, a - b)
        spread = spreads(paired, methods - 1, 0.5 * (methods - 2) / max(1, len(first) - 1))
        spread = spread.on(over)
        third = _favour(losses[..., over, :], spread.variance, first, second)
        # A few values rarely contain one of the long tail, so that their skewness is too small.
        few = 1 + 2 * methods / (~np.isnan(losses)).sum((-3, -2, -1))
        spread = replace(spread, third=(few * skewness(losses))[..., None, None] * third)
        a, b, paired = a[..., over, :], b[..., over, :], paired[..., over, :]
        common, finite = common[..., over, :], finite[..., over, :]
        value = (np.where(common, paired, 0.0).sum(-1) / common.sum(-1)).mean(-1)
        difference = spread.means(value)
        p_value, direction = _t_test(difference), np.sign(value)
        failed = (common & ~finite).any((-2, -1)) & common.any(-1).all(-1)
        if failed.any():
            means = [(np.where(common, x, 0.0).sum(-1) / common.sum(-1)).mean(-1) for x in (a, b)]
            gap = np.where(means[0] == means[1], 0.0, means[0] - means[1])
            by_signs, p_signs = _sign_test(a, b, common)
            by_means = np.where(gap == 0, by_signs, np.sign(gap))
            p_signs = np.where(by_signs * by_means < 0, 1.0, p_signs)
            p_value = np.where(failed, p_signs, p_value)
            direction = np.where(failed, by_means, direction)
            difference = replace(difference, value=np.where(failed, gap, value))
    factor = _forecast(skewness(losses))[..., None, None]
    forecast = replace(spread, variance=spread.likely * factor)
    return Comparisons(first, second, difference, p_value, direction, forecast)


def _forecast(skew: Array) -> Array:
    """Return the expected variance over the estimated one, fitted to simulations.

    The sample variances of a few skewed restarts are typically too small.
    """
    return 0.75 + 0.8 * np.clip(skew, 0.0, 3.0)


def favoured(difference: Means) -> Array:
    """Return the factor of critical values of t for the claims that the differences suggest."""
    first, second = difference.skew
    return widening(np.where(difference.value < 0, first, second))


def _t_test(difference: Means) -> Array:
    """Return two-sided p-values of "the mean is zero", ``nan`` where they are unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(difference.value) / (difference.error * favoured(difference))
        p_value = 2 * stats.t.sf(t, difference.freedom)
    p_value = np.where(difference.error > 0, p_value, difference.value == 0)
    known = np.isfinite(difference.error) & np.isfinite(difference.value)
    return np.where(known, p_value, np.nan)


def _favour(
    losses: Array, variance: Array, first: NDArray[np.intp], second: NDArray[np.intp]
) -> Array:
    """Return the largest plausible third cumulants of differences in favour of one method.

    The long tails of two methods cancel if their spreads are equal. A few restarts do not show
    this, so the ratio of the spreads is moved in disfavour of the claim, to the quartile of its F
    distribution.

    Args:
        losses: Shape (..., methods, datasets, restarts).
        variance: Variances of the differences, shape (..., pairs, datasets).
        first: First methods of the pairs.
        second: Second methods of the pairs.

    Returns:
        For a skewness of 1, in favour of the first and of the second method, shape
        (2, ..., pairs, datasets).
    """
    variances_, counts = variances(losses)
    cubes = np.where(np.isfinite(variances_), variances_, 0.0) ** 1.5
    freedom = np.maximum((counts - 1).sum(-1, keepdims=True), 1.0)
    most = np.where(np.isfinite(variance), variance, 0.0) ** 1.5
    cumulants = []
    for better, worse in ((first, second), (second, first)):
        ratio = stats.f.ppf(0.75, freedom[..., better, :], freedom[..., worse, :]) ** 0.75
        gap = ratio * cubes[..., better, :] - cubes[..., worse, :] / ratio
        cumulants.append(np.clip(gap, 0.0, most))
    return np.stack(cumulants)


def _sign_test(a: Array, b: Array, common: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return directions and p-values where restarts failed, both of shape (..., pairs)."""
    wins, losses = ((common & x).sum((-2, -1)) for x in (a < b, a > b))
    p_value = np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(wins, losses), wins + losses, 0.5))
    direction = np.sign(losses - wins).astype(np.float64)
    counts, datasets = common.sum(-1), common.shape[-2]
    extreme = np.minimum(1.0, 2 * datasets * 2 * 0.25**counts)
    for worse, better, sign in ((a, b, 1.0), (b, a, -1.0)):
        always = (np.isinf(worse) & common).sum(-1) == counts
        never = (np.isfinite(better) & common).sum(-1) == counts
        smallest = np.where(always & never, extreme, 1.0).min(-1)
        direction = np.where(smallest < p_value, sign, direction)
        p_value = np.minimum(p_value, smallest)
    return direction, p_value


def scores(losses: Array) -> Means:
    """Return the score of each method with its error; ``interval(0.025)`` is its 95 % interval.

    Intervals need two restarts, and three to allow for skewness. A failed restart makes the score
    infinite.

    Args:
        losses: Shape (..., methods, datasets, restarts).
    """
    spread = spreads(losses, losses.shape[-3])
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (np.nansum(losses, -1) / spread.counts).mean(-1)
        third = skewness(losses)[..., None, None] * spread.variance**1.5
    return replace(spread, third=third).means(value)


_SCALES = 12
"""Points on the grid of the scale of the errors."""
_SHRINKAGES = 24
"""Points on the grid of the shrinkage factor."""


def probability_best(losses: Array, seed: int = 0, draws: int = 20_000) -> Array:
    """Return the probability that each method has the smallest true score, shape (methods,).

    The smallest of several noisy means is optimistic, so true scores have a normal prior around
    their common mean. Its width is unknown: the shrinkage factor is uniform (Daniels 1999,
    *Canadian Journal of Statistics* 27(3)). The covariance of the errors follows from the
    variances of all differences, enlarged as in the tests; its scale is uncertain as a chi-squared
    variable with their degrees of freedom.

    Args:
        losses: Shape (methods, datasets, restarts), of one study. A method with a failed restart
            has probability 0 unless all methods have one.
        seed: Seed of the draws.
        draws: Number of draws.
    """
    methods = len(losses)
    finite = ~np.isinf(losses).any((-2, -1))
    if methods == 0 or not finite.any():
        return np.full(methods, 1 / max(1, methods))
    probabilities = np.zeros(methods)
    count = int(finite.sum())
    if count == 1:
        return np.asarray(finite, dtype=np.float64)
    comparisons = compare(losses[finite])
    if not np.isfinite(comparisons.difference.error).all():
        return np.where(finite, math.nan, 0.0)
    pairs = np.zeros((count, count))
    pairs[comparisons.first, comparisons.second] = comparisons.difference.value
    means = (pairs - pairs.T).mean(1)
    widened = comparisons.difference.error * widening(comparisons.difference.skew).mean(0)
    pairs[comparisons.first, comparisons.second] = widened**2
    # The variances of all differences determine the covariance of contrasts.
    basis = np.linalg.qr(np.eye(count) - 1 / count)[0][:, : count - 1]
    noise, axes = np.linalg.eigh(-0.5 * basis.T @ (pairs + pairs.T) @ basis)
    noise, axes = np.maximum(noise, 0.0), basis @ axes
    known = comparisons.difference.freedom[np.isfinite(comparisons.difference.freedom)]
    # Differences without any variation have unlimited freedom.
    if noise.sum() == 0.0 or not len(known):
        best = np.isclose(means, means.min(), rtol=0, atol=0)
        probabilities[finite] = best / best.sum()
        return probabilities
    freedom = float(np.median(known))
    generator = np.random.default_rng(seed)
    probabilities[finite] = _smallest(means @ axes, noise, axes, freedom, generator, draws)
    return probabilities


def _smallest(
    measured: Array,
    noise: Array,
    axes: Array,
    freedom: float,
    generator: np.random.Generator,
    draws: int,
) -> Array:
    """Return how often each method is the smallest among draws of the true scores, (methods,).

    Args:
        measured: Measured scores on the axes of their errors, shape (methods - 1,).
        noise: Variances of the errors on these axes, shape (methods - 1,).
        axes: Shape (methods, methods - 1).
        freedom: Degrees of freedom of the variances.
        generator: Generator of the draws.
        draws: Number of draws.
    """
    quantiles = (np.arange(_SCALES) + 0.5) / _SCALES
    error = (freedom / stats.chi2.ppf(quantiles, freedom))[:, None, None] * noise
    shrinkage = ((np.arange(_SHRINKAGES) + 0.5) / _SHRINKAGES)[:, None]
    prior = error.mean(-1, keepdims=True) * (1 - shrinkage) / shrinkage
    total = error + prior
    likelihood = -0.5 * (np.log(total) + measured**2 / total).sum(-1).ravel()
    weights = np.exp(likelihood - likelihood.max())
    drawn = generator.choice(len(weights), draws, p=weights / weights.sum())
    mean = (prior / total * measured).reshape(-1, len(measured))[drawn]
    deviation = np.sqrt(prior * error / total).reshape(-1, len(measured))[drawn]
    true = (mean + deviation * generator.standard_normal(mean.shape)) @ axes.T
    shares: Array = np.bincount(true.argmin(1), minlength=len(axes)) / draws
    return shares
