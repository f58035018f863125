"""The interquartile mean: a summary that is robust to one bad seed or one unusual dataset.

Agarwal et al. 2021 ("Deep Reinforcement Learning at the Edge of the Statistical Precipice") take
the mean of the middle half of all runs on all datasets, with percentiles of a bootstrap that draws
seeds with replacement within each dataset. Resampling a few seeds misses the tails of the true
spread: if the datasets differ in spread, that interval covers the true value in only six of ten
studies. Here the seeds of a dataset are taken as normal, as Student's t takes them; mean and spread
of each dataset are drawn from their distribution given its seeds, and the interval is that of the
interquartile means of the draws. Simulation tests check its 95 % coverage from three seeds on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .statistics import LEVEL, Array

_DRAWS = 1000
# A multiple of four: quarters are whole numbers.
_POINTS = 24


@dataclass(frozen=True)
class Middle:
    """An interquartile mean with its 95 % interval, which need not be symmetric.

    Attributes:
        value: The mean; ``inf`` if a quarter of the runs failed, ``nan`` without runs.
        low: Lower limit of the interval; ``nan`` if it is unknown.
        high: Upper limit.
    """

    value: float
    low: float = math.nan
    high: float = math.nan


def interquartile_mean(blocks: Sequence[Array], seed: int = 0) -> Middle:
    """Return the mean of the middle half of the runs; each dataset has the same weight.

    A failed run is ``inf``; the value is finite while the failures weigh less than a quarter.
    There is no interval if a run failed or a dataset has one seed.

    Args:
        blocks: Losses per dataset, shape (seeds,).
        seed: Seed of the draws; equal seeds give equal intervals.
    """
    if not blocks or any(len(block) == 0 for block in blocks):
        return Middle(math.nan)
    weights = np.concatenate([np.full(len(b), 1 / (len(blocks) * len(b))) for b in blocks])
    value = _middle(np.concatenate(blocks), weights)
    if any(len(block) < 2 or not np.isfinite(block).all() for block in blocks):
        return Middle(value)
    generator = np.random.default_rng(seed)
    at = stats.norm.ppf((np.arange(_POINTS) + 0.5) / _POINTS)
    at /= math.sqrt(float(np.mean(at**2)))
    drawn = []
    for block in blocks:
        n = len(block)
        spread = block.std(ddof=1) * np.sqrt((n - 1) / generator.chisquare(n - 1, (_DRAWS, 1)))
        mean = block.mean() + spread * generator.standard_normal((_DRAWS, 1)) / math.sqrt(n)
        drawn.append(mean + spread * at)
    populations = np.sort(np.concatenate(drawn, axis=1), axis=1)
    quarter = populations.shape[1] // 4
    means = populations[:, quarter : 3 * quarter].mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Middle(value, float(low), float(high))


def _middle(values: Array, weights: Array) -> float:
    """Return the mean between the quartiles of weighted values, both of shape (runs,)."""
    order = np.argsort(values, kind="stable")
    top = np.cumsum(weights[order])
    inside = np.clip(top, 0.25, 0.75) - np.clip(top - weights[order], 0.25, 0.75)
    # Rounding may leave a tiny weight on a failed run outside the quartiles: drop it.
    used = inside > 1e-12
    return float(inside[used] @ values[order][used] / inside[used].sum())
