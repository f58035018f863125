"""Adding restarts in rounds until every pair of methods is decided, and what that will cost.

Looking at every round and stopping at will would find a winner among equals sooner or later. So
each look spends its own part of the 5 % (alpha spending; Lan and DeMets 1983, *Biometrika* 70(3),
with the power family of Kim and DeMets 1987, *Biometrika* 74(1)): after k of at most m restarts
(k/m)² of it is spent. A look may claim what its own part carries. That the parts add up to the
whole needs no joint law of the looks, so it holds with t tests of moderated variances as they are.
The joint normal law of the looks would find two to four more of a hundred differences. An
e-process, which allows any number of looks (Wang and Ramdas 2023, arXiv:2310.03722), cannot
decide one of six pairs before the sixth restart on one dataset, whatever the difference, when its
prior has unit width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from .restarts import Comparisons, compare, still_possible
from .statistics import LEVEL, Array

_POINTS = 24


def rounds(most: int, first: int = 3) -> tuple[int, ...]:
    """Restarts at which to look, each round adding about 60 %: 3, 5, 8, 13, ..., ``most``."""
    looks = [min(first, most)]
    while looks[-1] < most:
        step = max(looks[-1] + 1, round(1.6 * looks[-1]))
        # A last round of one or two is no round: it joins the one before.
        looks.append(most if step * 1.2 > most else step)
    return tuple(looks)


def parts(looks: Sequence[int], most: int, share: float = 1 - LEVEL) -> Array:
    """Chance of a false claim that each look may spend, shape (looks,).

    Args:
        looks: Restarts at each look, increasing.
        most: Restarts after which the study ends.
        share: Chance of a false claim at any look.

    Raises:
        ValueError: The looks do not increase, or go beyond ``most``.
    """
    at = np.array(looks, dtype=np.float64)
    if (np.diff(at, prepend=0.0) <= 0).any() or (at > most).any():
        raise ValueError(f"looks {tuple(looks)} must increase up to at most {most}")
    spent: Array = np.diff((at / most) ** 2, prepend=0.0) * share
    return spent


@dataclass(frozen=True)
class Decision:
    """What was settled by the last look; arrays of shape (..., pairs).

    Attributes:
        last: The comparisons at the last look.
        direction: -1 where the first was shown to be better, 1 where the second was, else 0.
        small: Whether the difference was shown to be smaller than what matters.
        settled_at: Restarts at the look that settled the pair, 0 where it is open.
    """

    last: Comparisons
    direction: Array
    small: NDArray[np.bool_]
    settled_at: NDArray[np.int64]

    @property
    def open(self) -> NDArray[np.bool_]:
        """Pairs that are neither decided nor shown to be as good as equal."""
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
    """Settle the pairs that the looks so far carry; claims once made stand.

    At all looks together, a study claims a difference that is not there with chance ``share``.
    Steps down as ``Comparisons.adjusted`` does: what is decided no longer counts. A difference is
    small when its interval, those of all pairs and looks together, lies within ``smallest``; that
    a large one is called small adds at most half of ``share``, and happens in under 1 % of studies.

    Args:
        losses: Shape (..., methods, datasets, restarts), those of all looks.
        looks: Restarts at each look so far; ``rounds`` proposes them.
        most: Restarts at which the study ends; the same at every look.
        smallest: Smallest difference of scores that matters, or ``None``.
        share: Chance of a false claim.
        over: Datasets that the difference is over.
    """
    for look, part in zip(looks, parts(looks, most, share), strict=True):
        found = compare(losses[..., :look], over)
        if look == looks[0]:
            direction = np.zeros_like(found.p_value)
            small = np.zeros(direction.shape, dtype=np.bool_)
            settled = np.zeros(direction.shape, dtype=np.int64)
        for _ in range(len(found.first)):
            count = (direction != 0).sum(-1, keepdims=True)
            possible = still_possible(found.methods)[np.minimum(count, len(found.first) - 1)]
            new = (found.p_value * possible <= part) & (direction == 0) & (found.direction != 0)
            if not new.any():
                break
            direction = np.where(new, found.direction, direction)
        if smallest is not None:
            low, high = found.interval(part)
            small |= (low > -smallest) & (high < smallest)
        settled = np.where((settled == 0) & ((direction != 0) | small), look, settled)
    return Decision(found, direction, small, settled)


def restarts_needed(
    comparisons: Comparisons, power: float = 0.8, share: float = 1 - LEVEL, most: int = 1000
) -> Array:
    """Further restarts that would decide each pair, if its difference is as it looks now.

    The chance of a decision is averaged over what is not known of the spread.

    Args:
        comparisons: Those of the restarts so far.
        power: Chance of the decision.
        share: Chance of a false claim in the study that is foreseen; with looks, the last one's.
        most: Larger answers are given as ``inf``.

    Returns:
        Shape (..., pairs); at least 1. ``nan`` where the pair is decided, or nothing can be said.
    """
    now, found = comparisons.difference, comparisons.likely
    decided = (comparisons.adjusted() <= share).sum(-1, keepdims=True)
    steps = still_possible(comparisons.methods)
    level = share / steps[np.minimum(decided, len(steps) - 1)]
    counts = found.counts.max(-1)
    middles = (np.arange(_POINTS) + 0.5) / _POINTS
    with np.errstate(invalid="ignore", divide="ignore"):
        known = np.where(np.isfinite(now.freedom), now.freedom, 1e6)[..., None]
        doubt = np.sqrt(stats.chi2.ppf(middles, known) / known)

    def chance(restarts: Array) -> Array:
        then = found.means(now.value, np.broadcast_to(restarts[..., None], found.counts.shape))
        bound = np.asarray(stats.t.isf(level / 2, then.freedom))[..., None]
        with np.errstate(invalid="ignore", divide="ignore"):
            shift = np.abs(now.value / then.error)[..., None] * doubt
            reached = 1 - special.nctdtr(then.freedom[..., None], shift, bound)
            sure = shift > bound + 10
        chances: Array = np.where(sure, 1.0, np.where(np.isnan(reached), 0.0, reached)).mean(-1)
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
    unknown = ~np.isfinite(now.error) | ~np.isfinite(now.value) | (comparisons.adjusted() <= share)
    return np.where(unknown, np.nan, needed)
