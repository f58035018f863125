"""Who is better than whom, as far as the seeds carry it, and who is probably the best."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .statistics import LEVEL, Array, compare, estimate


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
    centred = spread - spread.mean(axis=1, keepdims=True)
    noise = float((centred**2).sum(axis=1).mean()) / max(1, centred.shape[1] - 1)
    if sum(traces) > 0:
        share = np.array(traces) / sum(traces)
        freedom = 1.0 / float((share**2 / np.array(freedoms)).sum())
        spread *= np.sqrt(freedom / generator.chisquare(freedom, size=(draws, 1)))
    totals = _pooled(means[finite], spread, noise, generator)
    smallest = totals == totals.min(axis=1, keepdims=True)
    chances = np.zeros(count)
    chances[finite] = (smallest / smallest.sum(axis=1, keepdims=True)).mean(axis=0)
    return chances


def _pooled(means: Array, spread: Array, noise: float, generator: np.random.Generator) -> Array:
    """Draw true means that are pulled together as far as chance explains their differences.

    Taken at face value the smallest of several noisy means looks too good. True means get a normal
    prior whose width is unknown, with a uniform law of the shrinkage factor (Daniels 1999,
    *Canadian Journal of Statistics* 27(3)), which the differences then inform.

    Args:
        means: Measured, shape (contestants,).
        spread: Draws of their errors, shape (draws, contestants).
        noise: Variance of the errors about their common part.
        generator: Of the shrinkage factors.
    """
    count = means.size
    if count < 2 or noise == 0.0:
        return means + spread
    apart = means - means.mean()
    rate = float((apart**2).sum()) / (2 * noise)
    shape = (count + 1) / 2
    chance = generator.random((len(spread), 1))
    if rate < 1e-9:
        shrink = chance ** (1 / shape)
    else:
        shrink = stats.gamma.ppf(chance * stats.gamma.cdf(rate, shape), shape) / rate
    pulled: Array = (1 - shrink) * apart + np.sqrt(1 - shrink) * spread
    return pulled
