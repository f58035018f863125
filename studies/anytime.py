"""The best configuration so far, after part of a search.

The value that made a configuration the best is optimistic, so a study of several searchers runs it
again, on seeds that did not choose it. Thus searchers are compared after any number of trials.
"""

from collections.abc import Sequence

_FIRST = 5


def looks(trials: int) -> list[int]:
    """List the numbers of trials after which the best so far is run again: 5, 10, 20 and so on."""
    counts = [_FIRST * 2**step for step in range(max(trials, 1).bit_length())]
    return [count for count in counts if count < trials]


def best_so_far(losses: Sequence[float]) -> int:
    """Return the number of the trial with the smallest loss, the first of several."""
    return min(range(len(losses)), key=losses.__getitem__)
