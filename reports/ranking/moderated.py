"""Variances and skewness from a few restarts, estimated jointly over all cells of a study.

Two or three restarts hardly determine a variance, so the variances of all cells of a dataset (all
methods, or all pairs of methods) are moderated (Smyth 2004, *Statistical Applications in Genetics
and Molecular Biology* 3(1)): a variance s² with f degrees of freedom becomes
(d s₀² + f s²) / (d + f) with d + f degrees. s₀² is the centre of the variances of the dataset; d
measures how similar the cells are, over all datasets. Smyth's rule makes a noisy method among
quiet ones look too precise. Two changes prevent this: no variance is reduced, and a cell noisier
than the centre borrows that many times fewer degrees of freedom. Fewer than three cells borrow
nothing.

Losses have long upper tails. A few values of a long-tailed distribution are often both too low and
too similar, so that t statistics are too large towards low values (Cressie 1980, *Australian
Journal of Statistics* 22(2)). The critical values of t are therefore multiplied by 1 + 2 γ in that
direction, where γ is the skewness of the mean: for means of 3 to 10 exponential values the factor
that keeps levels of 0.2 to 2.5 % is 1 + 1.3 γ to 1 + 2 γ. One cell has too few restarts to estimate
γ, so one skewness of restarts is used for the whole study.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from .statistics import Array

_CAUTION = 0.3
"""Standard errors added to the variation of variances between cells, so that cells borrow less."""
_LEAST_VARIATION = 1e-3
"""Least variance of log variances between cells, so that d is at most about 2,000."""
_FEWEST_CELLS = 3
_WIDENING = 2.0
"""Relative increase of critical values of t per unit of skewness of the mean."""


@dataclass(frozen=True)
class Means:
    """Means over datasets of the means over restarts; all arrays are of shape (..., cells).

    Attributes:
        value: The means.
        error: Their standard errors; ``nan`` where they are unknown.
        freedom: Degrees of freedom of the errors.
        skew: Skewness of the means, from the skewness of single restarts. For differences, shape
            (2, ..., pairs): the skewness in favour of the first and of the second method.
    """

    value: Array
    error: Array
    freedom: Array
    skew: Array

    def interval(self, tail: float) -> tuple[Array, Array]:
        """Return the interval of scores with probability ``tail`` on each side.

        It is that of Hall 1992, *Journal of the Royal Statistical Society B* 54(1), at least as
        long as Student's with the widened critical value towards the long tail.
        """
        quantile: Array = np.asarray(stats.t.isf(tail, self.freedom))
        low, high = (
            self.value - _invert_hall(sign * quantile, self.skew) * self.error for sign in (1, -1)
        )
        reach = quantile * widening(np.abs(self.skew)) * self.error
        return (
            np.where(self.skew < 0, np.minimum(low, self.value - reach), low),
            np.where(self.skew < 0, high, np.maximum(high, self.value + reach)),
        )


def widening(skew: Array) -> Array:
    """Return the factor of critical values of t, given the skewness of the mean."""
    return 1 + _WIDENING * np.maximum(skew, 0.0)


def _invert_hall(statistic: Array, skew: Array) -> Array:
    """Return the t statistic of which Hall's cubic is ``statistic``."""
    negligible = np.abs(skew) < 1e-4
    divisor = np.where(negligible, 1.0, skew)
    t = 3 / divisor * (np.cbrt(1 + divisor * (statistic - divisor / 6)) - 1)
    return np.where(negligible, statistic, t)


@dataclass(frozen=True)
class Spreads:
    """Moderated variances of single restarts; arrays of shape (..., cells, datasets).

    Attributes:
        variance: The variances; ``nan`` where they are unknown.
        borrowed: Degrees of freedom that come from other cells.
        counts: Number of restarts of each cell.
        third: Third cumulants of single restarts; for differences, shape (2, ..., pairs, datasets).
        likely: Variances that may be smaller than those of the sample, for forecasts.
    """

    variance: Array
    borrowed: Array
    counts: Array
    third: Array
    likely: Array

    def on(self, datasets: slice) -> "Spreads":
        """Return the spreads on some datasets."""
        arrays = (self.variance, self.borrowed, self.counts, self.third, self.likely)
        return Spreads(*(array[..., datasets] for array in arrays))

    def means(self, value: Array, counts: Array | None = None) -> Means:
        """Add errors to means over the datasets (Satterthwaite 1946, *Biometrics Bulletin* 2(6)).

        Args:
            value: The means, shape (..., cells).
            counts: Number of restarts, to forecast an error (default: those that were run).
        """
        counts = self.counts if counts is None else counts
        with np.errstate(divide="ignore", invalid="ignore"):
            variances = self.variance / counts
            total = variances.sum(-1)
            freedom = total**2 / (variances**2 / (self.borrowed + counts - 1)).sum(-1)
            skew = (self.third / counts**2).sum(-1) / total**1.5
        freedom = np.where(total == 0, np.inf, freedom)
        skew = np.where(np.isfinite(skew), skew, 0.0)
        return Means(value, np.sqrt(total) / variances.shape[-1], freedom, skew)


def spreads(values: Array, independent: int, shared: float = 0.0) -> Spreads:
    """Estimate variances, each moderated by the other cells of its dataset.

    Args:
        values: Shape (..., cells, datasets, restarts), ``nan`` where a restart was not run. A cell
            with an infinite value has no variance.
        independent: Number of linearly independent cells of a dataset.
        shared: Mean correlation of the sample variances of two cells.
    """
    sample, counts = variances(values)
    third = np.zeros_like(sample)
    cells = values.shape[-3]
    if cells < _FEWEST_CELLS:
        return Spreads(sample, np.zeros_like(sample), counts, third, sample)
    with np.errstate(invalid="ignore", divide="ignore"):
        lending = np.isfinite(sample) & (sample > 0)
        half = np.where(lending, (counts - 1) / 2, 1.0)
        log = np.where(lending, np.log(sample) - special.digamma(half) + np.log(half), 0.0)
        lenders = lending.sum(-2, keepdims=True)
        centre = log.sum(-2, keepdims=True) / lenders
        squares = np.where(lending, (log - centre) ** 2, 0.0).sum((-2, -1))
        # Variance and fourth cumulant that log sample variances have if all variances are equal.
        expected, fourth = (
            np.where(lending, special.polygamma(order, half), 0.0).sum((-2, -1))
            / lending.sum((-2, -1))
            for order in (1, 3)
        )
        freedom = np.maximum(lenders - 1, 0).sum((-2, -1))
        error = np.sqrt((2 * expected**2 + fourth) * (cells - 1) / (freedom * (independent - 1)))
        variation = squares / (freedom * (1 - shared)) - expected + _CAUTION * error
        prior = 2 * _inverse_trigamma(np.maximum(variation, _LEAST_VARIATION))[..., None, None]
        prior_variance = np.exp(centre + special.digamma(prior / 2) - np.log(prior / 2))
        # The centre is an estimate too, from the other independent cells.
        most = 1 / (1 / prior + 1 / ((independent - 1) * 2 * half))
        borrowed = most * np.minimum(1.0, prior_variance / sample)
        weight = borrowed / (borrowed + counts - 1)
        likely = weight * prior_variance + (1 - weight) * sample
    # Nothing can be borrowed if all variances are 0 or unknown, or no dataset has two.
    known = np.isfinite(likely)
    likely = np.where(known, likely, sample)
    borrowed = np.where(known, borrowed, 0.0)
    return Spreads(np.fmax(sample, likely), borrowed, counts, third, likely)


def variances(values: Array) -> tuple[Array, Array]:
    """Return sample variances and counts of the last axis.

    A variance is ``nan`` if there is one value only, or an infinite one.
    """
    counts = np.asarray((~np.isnan(values)).sum(-1), dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(values, -1, keepdims=True) / counts[..., None]
        variance: Array = np.nansum((values - mean) ** 2, -1) / (counts - 1)
    return np.where((counts > 1) & np.isfinite(mean[..., 0]), variance, np.nan), counts


def skewness(losses: Array) -> Array:
    """Return the skewness of single restarts, Σ third cumulant / Σ σ³ over all cells, shape (...).

    Args:
        losses: Shape (..., methods, datasets, restarts); cells with failures, or with fewer than
            three restarts, are left out.
    """
    variance, counts = variances(losses)
    usable = (counts > 2) & np.isfinite(variance)
    with np.errstate(invalid="ignore", divide="ignore"):
        deviations = losses - np.nansum(losses, -1, keepdims=True) / counts[..., None]
        third = np.nansum(deviations**3, -1) * counts / ((counts - 1) * (counts - 2))
        total = np.where(usable, variance**1.5, 0.0).sum((-2, -1))
        skew = np.where(usable, third, 0.0).sum((-2, -1)) / total
    return np.where(total > 0, skew, 0.0)


def _inverse_trigamma(values: Array) -> Array:
    """Solve trigamma(x) = value by Newton's method, as Smyth 2004 does."""
    x = 0.5 + 1 / values
    for _ in range(30):
        trigamma = special.polygamma(1, x)
        x = x + trigamma * (1 - trigamma / values) / special.polygamma(2, x)
    return np.asarray(x)
