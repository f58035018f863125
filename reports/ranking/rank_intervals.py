"""Ranks that are compatible with the pairwise comparisons, and the probability to be best."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .statistics import LEVEL, Array, compare, estimate, satterthwaite


def simultaneous_level(contestants: int, level: float = LEVEL) -> float:
    """Return the level of each pair such that all hold jointly at ``level`` (Bonferroni)."""
    return 1 - (1 - level) / max(1, math.comb(contestants, 2))


def closure(better: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the transitive closure: if a is better than b, and b than c, then a than c.

    Args:
        better: Shape (n, n); ``better[i, j]``: i was shown to be better than j.
    """
    closed = better.copy()
    for k in range(len(closed)):
        closed |= closed[:, k, None] & closed[None, k, :]
    return closed


def rank_intervals(better: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the best and worst rank of each contestant that are compatible with ``better``."""
    closed = closure(better)
    count = len(closed)
    return [(1 + int(closed[:, i].sum()), count - int(closed[i, :].sum())) for i in range(count)]


def beats(contestants: Sequence[Sequence[tuple[Array, Array]]]) -> NDArray[np.bool_]:
    """Compare all pairs, jointly at 95 %.

    Args:
        contestants: For each contestant and dataset (the same datasets in the same order), the
            numbers of its seeds, shape (seeds,), and its values, shape (seeds,).

    Returns:
        Shape (n, n); ``[i, j]``: i was shown to be better than j.
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
    """Return the values of the common seeds, per dataset and in the same order."""
    left, right = [], []
    for (seeds_a, a), (seeds_b, b) in zip(first, second, strict=True):
        _, at_a, at_b = np.intersect1d(seeds_a, seeds_b, return_indices=True)
        left.append(a[at_a])
        right.append(b[at_b])
    return left, right


def probability_best(
    contestants: Sequence[Sequence[tuple[Array, Array]]], seed: int = 0, draws: int = 20_000
) -> Array:
    """Return the probability of each contestant to have the smallest true mean, shape (n,).

    Hierarchical resampling: within every dataset the seeds get random weights, the same for all
    contestants, so that effects of common seeds cancel. The weights are Gaussian, and the spread
    is widened by the chi-squared law of an estimated variance, so that a single pair agrees
    with its t test; plain resampling of three seeds would be overconfident.

    Args:
        contestants: As for ``beats``.
        seed: Seed of the resampling; equal seeds give equal probabilities.
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
    centred = spread - spread.mean(axis=1, keepdims=True)
    noise = float((centred**2).sum(axis=1).mean()) / max(1, centred.shape[1] - 1)
    if sum(traces) > 0:
        freedom = satterthwaite(np.array(traces) / sum(traces), freedoms)
        spread *= np.sqrt(freedom / generator.chisquare(freedom, size=(draws, 1)))
    totals = _pooled(means[finite], spread, noise, generator)
    smallest = totals == totals.min(axis=1, keepdims=True)
    chances = np.zeros(count)
    chances[finite] = (smallest / smallest.sum(axis=1, keepdims=True)).mean(axis=0)
    return chances


def _pooled(means: Array, spread: Array, noise: float, generator: np.random.Generator) -> Array:
    """Draw true means, shrunk towards each other as far as noise explains their differences.

    The smallest of several noisy means is optimistic. True means get a normal prior of unknown
    width, with a uniform law of the shrinkage factor (Daniels 1999, *Canadian Journal of
    Statistics* 27(3)), which is updated by the differences.

    Args:
        means: Measured means, shape (contestants,).
        spread: Draws of their errors, shape (draws, contestants).
        noise: Variance of the errors about their common part.
        generator: Generator of the shrinkage factors.
    """
    count = means.size
    if count < 2 or noise == 0.0:
        return means + spread
    centred = means - means.mean()
    rate = float((centred**2).sum()) / (2 * noise)
    shape = (count + 1) / 2
    uniform = generator.random((len(spread), 1))
    if rate < 1e-9:
        shrink = uniform ** (1 / shape)
    else:
        shrink = stats.gamma.ppf(uniform * stats.gamma.cdf(rate, shape), shape) / rate
    pulled: Array = (1 - shrink) * centred + np.sqrt(1 - shrink) * spread
    return pulled
