"""Requirements: limits that a configuration must keep to be chosen, as in ``mmd <= 0.1``."""

import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from ...datasets.errors import UsageError

WORST = 1e9
"""What Optuna gets for a failed run, as value and as violation; its samplers ignore FAIL."""

_FORM = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(<=|>=)\s*(\S+)\s*")


class Requirement(NamedTuple):
    """A limit on a number of a run.

    Attributes:
        text: The requirement as it was written; the name of Optuna's constraint.
        name: Name of a metric, or of a count of network evaluations.
        upper: Whether the limit is the largest value, not the smallest.
        limit: The limit.
    """

    text: str
    name: str
    upper: bool
    limit: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``NAME <= NUMBER`` or ``NAME >= NUMBER``.

        Raises:
            UsageError: It is of another form.
        """
        found = _FORM.fullmatch(text)
        try:
            limit = float(found[3]) if found else math.nan
        except ValueError:
            limit = math.nan
        if found is None or not math.isfinite(limit):
            raise UsageError(
                f"search.require: {text!r} is not of the form NAME <= NUMBER or NAME >= NUMBER, "
                'for example "train_evaluations <= 1e7"'
            )
        return cls(text, found[1], found[2] == "<=", limit)

    def violation(self, value: float) -> float:
        """Return by which part of the limit a value exceeds it; at most 0 if it keeps it.

        Parts of limits can be added up, as Optuna's samplers do. A value that is not finite, as of
        a failed run, violates it by ``WORST``.
        """
        if not math.isfinite(value):
            return WORST
        excess = value - self.limit if self.upper else self.limit - value
        return max(-WORST, min(excess / (abs(self.limit) or 1.0), WORST))


def met(requirements: Sequence[Requirement], value: Callable[[str], float]) -> bool:
    """Return whether a run, or a configuration, keeps every limit; ``value`` gives its numbers."""
    return all(one.violation(value(one.name)) <= 0 for one in requirements)
