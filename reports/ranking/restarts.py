"""What a few restarts carry: methods compared, their scores, and which is probably the best.

A restart is one search with its confirmation, so it holds the luck of the search and that of the
seeds; its value is the mean loss of its confirmed seeds, normalised per dataset. Datasets are
fixed and restarts are random. Restart r of every method shares data and noise, so methods are
compared by their differences within a restart. Losses have the shape
(..., methods, datasets, restarts): ``nan`` stands for a restart that was not run, ``inf`` for one
that failed, and leading axes are studies of their own.

Measured by ``python -m tests.calibration.restarts`` for four methods (800 simulated
studies a figure). Studies of identical methods with a claim, and pairs 3.9 standard errors apart
that are told apart, in %; in brackets the paired t test with Bonferroni:

| luck of restarts, 4 datasets | error, R = 3 | 5 | 10 | power, R = 3 | 5 | 10 |
|---|---|---|---|---|---|---|
| normal | 2.9 (4.0) | 3.6 (5.4) | 3.9 (4.8) | 49 (31) | 74 (57) | 85 (76) |
| exponential | 1.5 (3.1) | 1.8 (2.6) | 2.9 (3.0) | 54 (38) | 70 (60) | 79 (79) |
| normal, one method 5× noisier | 2.1 (2.9) | 3.2 (5.4) | 2.9 (4.4) | 27 (31) | 56 (57) | 79 (76) |
| exponential, one 5× | 4.8 (6.5) | 3.1 (6.5) | 3.9 (5.8) | 40 (38) | 61 (60) | 74 (79) |
| log-normal, σ = 1, one 5× | 4.1 (7.4) | 6.0 (8.6) | 5.0 (9.0) | 47 (49) | 66 (74) | 73 (82) |

It fails where one dataset is all there is and one method is both skewed and five times noisier:
errors are 8 and 9 % (7 and 9 %) for exponential and log-normal luck at R = 3.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .moderated import Means, Spreads, skewness, spreads, variances
from .statistics import LEVEL, Array


@dataclass(frozen=True)
class Comparisons:
    """All pairs of methods, over the same datasets and restarts.

    Attributes:
        first: Row of the first method of each pair, shape (pairs,).
        second: Row of the second.
        difference: Score of the first minus that of the second, with its error, shape
            (..., pairs). The error is ``nan`` where a restart failed, or there is only one.
        p_value: Of "they are the same", for this pair alone; ``nan`` where nothing can be said.
        direction: -1 where the first looks better, 1 where the second does, 0 where neither.
        likely: Spreads of the differences within a restart as they probably are, for forecasts.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    difference: Means
    p_value: Array
    direction: Array
    likely: Spreads

    @property
    def methods(self) -> int:
        """How many methods are compared."""
        return int(self.second.max(initial=0)) + 1

    def interval(self, share: float = 1 - LEVEL) -> tuple[Array, Array]:
        """Ends of intervals that all hold together but for ``share`` of studies (Bonferroni).

        Each reaches as far as Student's t or Hall's interval does, whichever is longer on its side.
        """
        tail = share / (2 * max(1, len(self.first)))
        ends = zip(self.difference.student(tail), self.difference.hall(tail), strict=True)
        (a, b), (c, d) = ends
        return np.minimum(a, b), np.maximum(c, d)

    def adjusted(self) -> Array:
        """p-values that hold together: a study has a false one below 5 % with chance 5 %.

        Shaffer 1986, *Journal of the American Statistical Association* 81(395), procedure 1: each
        step counts only the hypotheses that can be true together once the earlier ones are false.
        """
        p_values = np.where(np.isnan(self.p_value), 2.0, self.p_value)
        order = np.argsort(p_values, -1, kind="stable")
        steps = np.take_along_axis(p_values, order, -1) * still_possible(self.methods)
        adjusted = np.empty_like(steps)
        np.put_along_axis(adjusted, order, np.maximum.accumulate(steps, -1), -1)
        return np.where(np.isnan(self.p_value), math.nan, np.minimum(adjusted, 1.0))

    def better(self, share: float = 1 - LEVEL) -> NDArray[np.bool_]:
        """Who was shown to be better than whom, shape (..., methods, methods)."""
        return self.matrix((self.adjusted() <= share) * self.direction)

    def matrix(self, direction: Array) -> NDArray[np.bool_]:
        """Claims by pair (-1: the first is better, 1: the second) as a table of methods."""
        known = np.zeros((*direction.shape[:-1], self.methods, self.methods), dtype=np.bool_)
        known[..., self.first, self.second] = direction < 0
        known[..., self.second, self.first] = direction > 0
        return known


@lru_cache
def still_possible(methods: int) -> Array:
    """Hypotheses "a equals b" that can be true once 0, 1, 2, ... are false, shape (pairs,)."""
    possible: list[set[int]] = [{0}]
    for count in range(1, methods + 1):
        split = range(1, count + 1)
        possible.append({math.comb(j, 2) + x for j in split for x in possible[count - j]})
    pairs = math.comb(methods, 2)
    most = [max(x for x in possible[methods] if x <= pairs - false) for false in range(pairs)]
    return np.array(most, dtype=np.float64)


def compare(losses: Array, over: slice = slice(None)) -> Comparisons:
    """Compare every pair of methods, restart by restart.

    Without failures this is the t test of the mean over datasets of the mean paired differences,
    with variances moderated over all pairs and datasets, and it must hold for skewed losses too.
    Where a restart failed there is no t test, and the exact sign test over the common restarts
    decides. It cannot see that a method always fails on one of several datasets. For that counts
    the chance, whatever the rate of failure, that of two equal methods one fails n times in n and
    the other never: 2·4⁻ⁿ at most (Barnard 1947, *Biometrika* 34), times the number of datasets,
    and twice that since there are two tests.

    Args:
        losses: Shape (..., methods, datasets, restarts).
        over: Datasets that the difference is over; all of them lend their spreads.
    """
    methods = losses.shape[-3]
    first, second = np.triu_indices(methods, 1)
    a, b = losses[..., first, :, :], losses[..., second, :, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        run = ~np.isnan(a) & ~np.isnan(b)
        sound = np.isfinite(a) & np.isfinite(b)
        apart = np.where(run & ~sound, math.inf, a - b)
        found = spreads(apart, methods - 1, 0.5 * (methods - 2) / max(1, len(first) - 1))
        found = replace(found, third=_third(losses, found.variance, first, second)).on(over)
        a, b, apart = a[..., over, :], b[..., over, :], apart[..., over, :]
        run, sound = run[..., over, :], sound[..., over, :]
        value = (np.where(run, apart, 0.0).sum(-1) / run.sum(-1)).mean(-1)
        difference = found.means(value)
        p_value, direction = difference.p_value(), np.sign(value)
        failed = (run & ~sound).any((-2, -1)) & run.any(-1).all(-1)
        if failed.any():
            means = [(np.where(run, x, 0.0).sum(-1) / run.sum(-1)).mean(-1) for x in (a, b)]
            gap = np.where(means[0] == means[1], 0.0, means[0] - means[1])
            signs, chance = _by_signs(a, b, run)
            towards = np.where(gap == 0, signs, np.sign(gap))
            chance = np.where(signs * towards < 0, 1.0, chance)
            p_value = np.where(failed, chance, p_value)
            direction = np.where(failed, towards, direction)
            difference = replace(difference, value=np.where(failed, gap, value))
    likely = replace(found, variance=found.variance * _forecast(skewness(losses))[..., None, None])
    return Comparisons(first, second, difference, p_value, direction, likely)


def _forecast(skew: Array) -> Array:
    """Probable over moderated variance, by simulation.

    What is never drawn down is on average too large, what few skewed restarts show too small.
    """
    return 0.78 + 0.45 * np.clip(skew, 0.0, 2.0)


def _third(
    losses: Array, variance: Array, first: NDArray[np.intp], second: NDArray[np.intp]
) -> Array:
    """Third cumulants of differences: the noisier method's tail is the one that shows."""
    own, _ = variances(losses)
    cubes = np.where(np.isfinite(own), own, 0.0) ** 1.5
    most = np.where(np.isfinite(variance), variance, 0.0) ** 1.5
    apart = np.clip(cubes[..., first, :] - cubes[..., second, :], -most, most)
    third: Array = skewness(losses)[..., None, None] * apart
    return third


def _by_signs(a: Array, b: Array, run: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Direction and p-value where restarts failed, both of shape (..., pairs)."""
    wins, losses = ((run & x).sum((-2, -1)) for x in (a < b, a > b))
    chance = np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(wins, losses), wins + losses, 0.5))
    signs = np.sign(losses - wins).astype(np.float64)
    counts, datasets = run.sum(-1), run.shape[-2]
    extreme = np.minimum(1.0, 2 * datasets * 2 * 0.25**counts)
    for this, other, sign in ((a, b, 1.0), (b, a, -1.0)):
        always = (np.isinf(this) & run).sum(-1) == counts
        never = (np.isfinite(other) & run).sum(-1) == counts
        surest = np.where(always & never, extreme, 1.0).min(-1)
        signs = np.where(surest < chance, sign, signs)
        chance = np.minimum(chance, surest)
    return signs, chance


def scores(losses: Array) -> Means:
    """Score of each method, with its error; ``hall(0.025)`` is its 95 % interval.

    Student's interval of log-normal losses covers 86 to 90 %, Hall's 93 to 96 %. It exists from two
    restarts on, and allows for skewness from three. A failure makes the score infinite.

    Args:
        losses: Shape (..., methods, datasets, restarts).
    """
    found = spreads(losses, losses.shape[-3])
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (np.nansum(losses, -1) / found.counts).mean(-1)
        third = skewness(losses)[..., None, None] * found.variance**1.5
    return replace(found, third=third).means(value)


_SCALES = 12
_SHRINKS = 24


def probability_best(losses: Array, seed: int = 0, draws: int = 20_000) -> Array:
    """Probability that each method has the smallest true score, shape (methods,).

    True scores get a normal prior about their common mean, whose width is unknown, with a uniform
    law of the shrinkage factor (Daniels 1999, *Canadian Journal of Statistics* 27(3)): taken at
    face value the smallest of several noisy means looks too good. The errors and their
    correlations are those of all pairs, their scale has the chi-squared law of its degrees of
    freedom.

    Args:
        losses: Shape (methods, datasets, restarts), of one study. A method that failed cannot be
            the best unless all did.
        seed: Of the draws; the same seed gives the same probabilities.
        draws: How many.
    """
    methods = len(losses)
    sound = ~np.isinf(losses).any((-2, -1))
    if methods == 0 or not sound.any():
        return np.full(methods, 1 / max(1, methods))
    chances = np.zeros(methods)
    count = int(sound.sum())
    if count == 1:
        return np.asarray(sound, dtype=np.float64)
    found = compare(losses[sound])
    if not np.isfinite(found.difference.error).all():
        return np.where(sound, math.nan, 0.0)
    apart = np.zeros((count, count))
    apart[found.first, found.second] = found.difference.value
    means = (apart - apart.T).mean(1)
    apart[found.first, found.second] = found.difference.error**2
    # Of contrasts the covariance is fixed by the variances of all differences.
    basis = np.linalg.qr(np.eye(count) - 1 / count)[0][:, : count - 1]
    noise, axes = np.linalg.eigh(-0.5 * basis.T @ (apart + apart.T) @ basis)
    noise, axes = np.maximum(noise, 0.0), basis @ axes
    if noise.sum() == 0.0:
        best = np.isclose(means, means.min(), rtol=0, atol=0)
        chances[sound] = best / best.sum()
        return chances
    freedom = float(np.median(found.difference.freedom))
    generator = np.random.default_rng(seed)
    chances[sound] = _smallest(means @ axes, noise, axes, freedom, generator, draws)
    return chances


def _smallest(
    seen: Array,
    noise: Array,
    axes: Array,
    freedom: float,
    generator: np.random.Generator,
    draws: int,
) -> Array:
    """How often each method is the smallest among draws of the true scores.

    Args:
        seen: Measured scores on the axes of their errors, shape (methods - 1,).
        noise: Variances of the errors there.
        axes: Shape (methods, methods - 1).
        freedom: Degrees of freedom of the variances.
        generator: Of the draws.
        draws: How many.
    """
    middles = (np.arange(_SCALES) + 0.5) / _SCALES
    scale = (freedom / stats.chi2.ppf(middles, freedom))[:, None, None] * noise
    shrink = ((np.arange(_SHRINKS) + 0.5) / _SHRINKS)[:, None]
    width = scale.mean(-1, keepdims=True) * (1 - shrink) / shrink
    total = scale + width
    likelihood = -0.5 * (np.log(total) + seen**2 / total).sum(-1).ravel()
    weights = np.exp(likelihood - likelihood.max())
    drawn = generator.choice(len(weights), draws, p=weights / weights.sum())
    centre = (width / total * seen).reshape(-1, len(seen))[drawn]
    spread = np.sqrt(width * scale / total).reshape(-1, len(seen))[drawn]
    true = (centre + spread * generator.standard_normal(centre.shape)) @ axes.T
    shares: Array = np.bincount(true.argmin(1), minlength=len(axes)) / draws
    return shares
