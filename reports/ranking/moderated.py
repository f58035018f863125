"""Variances and skewness of a few restarts, with strength borrowed from the rest of the study.

Two or three restarts say little about a spread. So the spreads of all cells of a dataset (all
pairs of methods, or all methods) are taken together, after Smyth 2004, *Statistical Applications in
Genetics and Molecular Biology* 3(1): a variance s² with f degrees of freedom becomes
(d s₀² + f s²) / (d + f) with d + f degrees, where s₀² is the centre of the dataset, and d says how
alike the cells are, over all datasets. Smyth's rule trusts a noisy method too much among quiet
ones; two departures cure that. No variance is ever drawn down, and a cell noisier than the centre
borrows that many times fewer degrees of freedom. Fewer than three cells borrow nothing.

Losses have long upper tails, which bend the t statistic of a few of them. Hall 1992, *Journal of
the Royal Statistical Society B* 54(1), straightens it by the skewness of the values; no cell has
enough restarts to show its own, so there is one for the whole study.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from .statistics import Array

_CAUTION = 0.3
"""Standard errors by which spreads count as less alike than they look."""
_ALIKE = 1e-3
"""Least variance of log variances between cells, so that d is at most some 2,000."""
_FEWEST_CELLS = 3


@dataclass(frozen=True)
class Means:
    """Means over datasets of the means over restarts; all arrays are of shape (..., cells).

    Attributes:
        value: The means.
        error: Their standard errors; ``nan`` where nothing can be known.
        freedom: Degrees of freedom of the errors.
        skew: Skewness of the means, from the skewness of single restarts.
    """

    value: Array
    error: Array
    freedom: Array
    skew: Array

    def student(self, tail: float) -> tuple[Array, Array]:
        """Student's t interval that leaves out ``tail`` on each side."""
        reach = stats.t.isf(tail, self.freedom) * self.error
        return self.value - reach, self.value + reach

    def hall(self, tail: float) -> tuple[Array, Array]:
        """Hall's interval: the t interval straightened for skewness."""
        bound: Array = np.asarray(stats.t.isf(tail, self.freedom))
        low, high = (_straight(sign * bound, self.skew) * self.error for sign in (1, -1))
        return self.value - low, self.value - high

    def p_value(self) -> Array:
        """Two-sided, of "the mean is zero": the larger of Student's and Hall's."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = self.value / self.error
            g = t + self.skew * t**2 / 3 + self.skew**2 * t**3 / 27 + self.skew / 6
            nearer = np.where(t * g > 0, np.minimum(np.abs(t), np.abs(g)), 0.0)
            p_value = np.where(
                self.error > 0, 2 * stats.t.sf(nearer, self.freedom), self.value == 0
            )
        return np.where(np.isfinite(self.error) & np.isfinite(self.value), p_value, np.nan)


def _straight(bound: Array, skew: Array) -> Array:
    """Solve Hall's cubic of the t statistic for the statistic."""
    slight = np.abs(skew) < 1e-4
    safe = np.where(slight, 1.0, skew)
    bent = 3 / safe * (np.cbrt(1 + safe * (bound - safe / 6)) - 1)
    return np.where(slight, bound, bent)


@dataclass(frozen=True)
class Spreads:
    """Variances of single restarts after borrowing; arrays of shape (..., cells, datasets).

    Attributes:
        variance: ``nan`` where it is unknown.
        borrowed: Degrees of freedom that come from other cells.
        counts: Restarts behind each variance.
        third: Third cumulants of single restarts.
    """

    variance: Array
    borrowed: Array
    counts: Array
    third: Array

    def on(self, datasets: slice) -> "Spreads":
        """Those of some datasets."""
        parts = (self.variance, self.borrowed, self.counts, self.third)
        return Spreads(*(part[..., datasets] for part in parts))

    def means(self, value: Array, counts: Array | None = None) -> Means:
        """Error of a mean over the datasets (Satterthwaite 1946, *Biometrics Bulletin* 2(6)).

        Args:
            value: The means, shape (..., cells).
            counts: Restarts to foresee the error of; left out, those that were run.
        """
        counts = self.counts if counts is None else counts
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = self.variance / counts
            total = parts.sum(-1)
            freedom = total**2 / (parts**2 / (self.borrowed + counts - 1)).sum(-1)
            skew = (self.third / counts**2).sum(-1) / total**1.5
        freedom = np.where(total == 0, np.inf, freedom)
        skew = np.where(np.isfinite(skew), skew, 0.0)
        return Means(value, np.sqrt(total) / parts.shape[-1], freedom, skew)


def spreads(values: Array, independent: int, shared: float = 0.0) -> Spreads:
    """Estimate variances, each moderated by the other cells of its dataset.

    Args:
        values: Shape (..., cells, datasets, restarts), ``nan`` where there is none. A cell with an
            infinite value has no variance.
        independent: How many of the cells of a dataset are linearly independent.
        shared: Mean correlation of the sample variances of two cells.
    """
    own, counts = variances(values)
    third = np.zeros_like(own)
    cells = values.shape[-3]
    if cells < _FEWEST_CELLS:
        return Spreads(own, np.zeros_like(own), counts, third)
    with np.errstate(invalid="ignore", divide="ignore"):
        lends = np.isfinite(own) & (own > 0)
        half = np.where(lends, (counts - 1) / 2, 1.0)
        log = np.where(lends, np.log(own) - special.digamma(half) + np.log(half), 0.0)
        lenders = lends.sum(-2, keepdims=True)
        centre = log.sum(-2, keepdims=True) / lenders
        apart = np.where(lends, (log - centre) ** 2, 0.0).sum((-2, -1))
        chance, tails = (
            np.where(lends, special.polygamma(order, half), 0.0).sum((-2, -1)) / lends.sum((-2, -1))
            for order in (1, 3)
        )
        among = np.maximum(lenders - 1, 0).sum((-2, -1))
        doubt = np.sqrt((2 * chance**2 + tails) * (cells - 1) / (among * (independent - 1)))
        unlike = apart / (among * (1 - shared)) - chance + _CAUTION * doubt
        alike = 2 * _inverse_trigamma(np.maximum(unlike, _ALIKE))[..., None, None]
        middle = np.exp(centre + special.digamma(alike / 2) - np.log(alike / 2))
        # The centre is an estimate too, from the other independent cells.
        most = 1 / (1 / alike + 1 / ((independent - 1) * 2 * half))
        borrowed = most * np.minimum(1.0, middle / own)
        weight = borrowed / (borrowed + counts - 1)
        moderated = np.maximum(own, weight * middle + (1 - weight) * own)
    # Where nothing differs from nothing, or nobody else has a spread, there is nothing to borrow.
    useful = np.isfinite(moderated)
    return Spreads(np.where(useful, moderated, own), np.where(useful, borrowed, 0.0), counts, third)


def variances(values: Array) -> tuple[Array, Array]:
    """Sample variances and counts of the last axis; ``nan`` for one value, or an infinite one."""
    counts = np.asarray((~np.isnan(values)).sum(-1), dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(values, -1, keepdims=True) / counts[..., None]
        own: Array = np.nansum((values - mean) ** 2, -1) / (counts - 1)
    return np.where((counts > 1) & np.isfinite(mean[..., 0]), own, np.nan), counts


def skewness(losses: Array) -> Array:
    """Third cumulants of all cells over the third powers of their spreads, shape (...).

    Args:
        losses: Shape (..., methods, datasets, restarts); cells with failures, or with fewer than
            three restarts, do not count.
    """
    own, counts = variances(losses)
    sound = (counts > 2) & np.isfinite(own)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = losses - np.nansum(losses, -1, keepdims=True) / counts[..., None]
        third = np.nansum(apart**3, -1) * counts / ((counts - 1) * (counts - 2))
        total = np.where(sound, own**1.5, 0.0).sum((-2, -1))
        skew = np.where(sound, third, 0.0).sum((-2, -1)) / total
    return np.where(total > 0, skew, 0.0)


def _inverse_trigamma(values: Array) -> Array:
    """Solve trigamma(x) = value by Newton's method, as Smyth 2004 does."""
    guess = 0.5 + 1 / values
    for _ in range(30):
        now = special.polygamma(1, guess)
        guess = guess + now * (1 - now / values) / special.polygamma(2, guess)
    return np.asarray(guess)
