"""Sequential comparison: adding restarts in rounds until every pair is decided, and their number.

Testing after every round and stopping at the first winner would find one among equal methods
sooner or later. So each look spends a part of the 5 % (alpha spending; Lan and DeMets 1983,
*Biometrika* 70(3), with the power family of Kim and DeMets 1987, *Biometrika* 74(1)): after k of at
most m restarts (k/m)² of it is spent, and a look tests at the level of its own part. The parts add
up by Bonferroni's inequality, so no joint distribution of the looks is needed, and t tests of
moderated variances may be used. The joint normal distribution would detect two to four more of a
hundred differences. An e-process, which allows any number of looks (Wang and Ramdas 2023,
arXiv:2310.03722), cannot decide one of six pairs before the sixth restart on one dataset, whatever
the difference, if its prior has unit width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from .. import text
from .restarts import Comparisons, compare, favoured, still_possible
from .statistics import LEVEL, Array

_QUANTILES = 24
"""Quantiles of the unknown spread over which the chance of a decision is averaged."""


def rounds(most: int, first: int = 3) -> tuple[int, ...]:
    """Return the restarts after which to test, each about 60 % more: 3, 5, 8, 13, …, ``most``."""
    looks = [min(first, most)]
    while looks[-1] < most:
        step = max(looks[-1] + 1, round(1.6 * looks[-1]))
        # A small last round is merged with the one before.
        looks.append(most if step * 1.2 > most else step)
    return tuple(looks)


def parts(looks: Sequence[int], most: int, share: float = 1 - LEVEL) -> Array:
    """Return the probability of a false claim that each look may spend, shape (looks,).

    Args:
        looks: Restarts at each look, increasing.
        most: Restarts after which the study ends.
        share: Probability of a false claim over all looks.

    Raises:
        ValueError: Looks do not increase, or exceed ``most``.
    """
    restarts = np.array(looks, dtype=np.float64)
    if (np.diff(restarts, prepend=0.0) <= 0).any() or (restarts > most).any():
        raise ValueError(f"looks {tuple(looks)} must increase up to at most {most}")
    spent: Array = np.diff((restarts / most) ** 2, prepend=0.0) * share
    return spent


@dataclass(frozen=True)
class Decision:
    """State of all pairs after the last look; arrays of shape (..., pairs).

    Attributes:
        last: The comparisons at the last look.
        direction: -1 where the first was shown to be better, 1 where the second was, else 0.
        small: Whether the difference was shown to be too small to matter.
        settled_at: Restarts at the look that settled the pair, 0 where it is open.
    """

    last: Comparisons
    direction: Array
    small: NDArray[np.bool_]
    settled_at: NDArray[np.int64]

    @property
    def open(self) -> NDArray[np.bool_]:
        """Whether the pair is neither decided nor shown to be practically equal."""
        unsettled: NDArray[np.bool_] = (self.direction == 0) & ~self.small
        return unsettled


def decide(
    losses: Array,
    looks: Sequence[int],
    most: int,
    smallest: float | None = None,
    share: float = 1 - LEVEL,
    over: slice = slice(None),
) -> Decision:
    """Settle pairs at each look; claims made at a look are final.

    Over all looks, a study claims a difference that does not exist with probability ``share``.
    The tests step down as in ``Comparisons.adjusted``: decided pairs are no longer counted. A
    difference is small if its interval, joint over all pairs and looks, lies within ±``smallest``.
    That a large one is called small adds at most half of ``share``; simulations show under 1 %.

    Args:
        losses: Shape (..., methods, datasets, restarts), those of all looks.
        looks: Restarts at each look so far; ``rounds`` proposes them.
        most: Restarts after which the study ends; the same at every look.
        smallest: Smallest difference of scores that matters, or ``None``.
        share: Probability of a false claim over all looks.
        over: Datasets that are averaged.
    """
    for look, part in zip(looks, parts(looks, most, share), strict=True):
        comparisons = compare(losses[..., :look], over)
        if look == looks[0]:
            direction = np.zeros_like(comparisons.p_value)
            small = np.zeros(direction.shape, dtype=np.bool_)
            settled = np.zeros(direction.shape, dtype=np.int64)
        possible = still_possible(comparisons.methods)
        for _ in possible:
            decided = (direction != 0).sum(-1, keepdims=True)
            factor = possible[np.minimum(decided, len(possible) - 1)]
            new = (comparisons.p_value * factor <= part) & (direction == 0)
            new &= comparisons.direction != 0
            if not new.any():
                break
            direction = np.where(new, comparisons.direction, direction)
        if smallest is not None:
            low, high = comparisons.interval(part)
            small |= (low > -smallest) & (high < smallest)
        settled = np.where((settled == 0) & ((direction != 0) | small), look, settled)
    return Decision(comparisons, direction, small, settled)


def restarts_needed(
    comparisons: Comparisons, power: float = 0.8, share: float = 1 - LEVEL, most: int = 1000
) -> Array:
    """Return the further restarts that would decide each pair, given its present difference.

    The probability of a decision is averaged over the uncertainty of the spread.

    Args:
        comparisons: Comparisons over the restarts so far.
        power: Probability of the decision.
        share: Probability of a false claim in the enlarged study; with looks, that of the last.
        most: Larger totals are returned as ``inf``.

    Returns:
        Shape (..., pairs); at least 1. ``nan`` where the pair is decided, or no estimate exists.
    """
    now, spread = comparisons.difference, comparisons.forecast
    claims = comparisons.adjusted() <= share
    possible = still_possible(comparisons.methods)
    level = share / possible[np.minimum(claims.sum(-1, keepdims=True), len(possible) - 1)]
    counts = spread.counts.max(-1)
    quantiles = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = np.where(np.isfinite(now.freedom), now.freedom, 1e6)[..., None]
        factor = np.sqrt(stats.chi2.ppf(quantiles, freedom) / freedom)

    def chance(restarts: Array) -> Array:
        means = spread.means(now.value, np.broadcast_to(restarts[..., None], spread.counts.shape))
        bound = (stats.t.isf(level / 2, means.freedom) * favoured(means))[..., None]
        with np.errstate(invalid="ignore", divide="ignore"):
            shift = np.abs(now.value / means.error)[..., None] * factor
            decided = 1 - special.nctdtr(means.freedom[..., None], shift, bound)
            certain = shift > bound + 10
        chances: Array = np.where(certain, 1.0, np.where(np.isnan(decided), 0.0, decided)).mean(-1)
        return chances

    low, high = counts + 1, np.full_like(counts, most)
    enough = chance(high) >= power
    while (low < high).any():
        middle = (low + high) // 2
        reached = chance(middle) >= power
        low, high = (
            np.where(reached, low, np.minimum(middle + 1, high)),
            np.where(reached, middle, high),
        )
    needed = np.where(enough, np.maximum(1.0, low - counts), np.inf)
    unknown = ~np.isfinite(now.error) | ~np.isfinite(now.value) | claims
    return np.where(unknown, np.nan, needed)


def look(
    pairs: Sequence[tuple[str, str]], most: int, restarts: int, seconds: float
) -> tuple[str, bool]:
    """Say what is open after a round and what the next one costs; whether nothing is left to do.

    Args:
        pairs: Methods that are not yet told apart.
        most: Number of restarts after which to stop.
        restarts: Number of restarts so far.
        seconds: Time of the round.
    """
    further = [n for n in rounds(most) if n > restarts]
    if not pairs:
        return f"{restarts} restarts: every pair is settled", True
    names = text.listed([" and ".join(pair) for pair in pairs[:3]])
    more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
    sentence = f"{restarts} restarts: {text.plural(len(pairs), 'pair')} open ({names}{more})"
    if not further:
        return f"{sentence}; decide.restarts reached", True
    cost = text.seconds(seconds / restarts * (further[0] - restarts))
    return f"{sentence}; the next look is at {further[0]} restarts, in about {cost}", False
