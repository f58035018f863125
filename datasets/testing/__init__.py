"""Checks that every dataset must pass; ``scorebench check`` runs them, and so does pytest.

The author of a dataset subclasses ``DatasetConformance``::

class TestMoons(DatasetConformance):
    @pytest.fixture
    def dataset(self):
        return get_dataset("moons")
"""

from unittest import SkipTest

from ..base import Dataset, has_density
from . import density, sampling
from .conformance import Check, CheckFailedError, Conformance
from .expected import Expected
from .sampling import fits

__all__ = ["CHECKS", "Check", "CheckFailedError", "DatasetConformance", "Expected", "fits"]

CHECKS: tuple[Check, ...] = (*sampling.CHECKS, *density.CHECKS)
"""All checks, each called with the dataset and an ``Expected``."""


def checks_of(dataset: Dataset) -> tuple[Check, ...]:
    """Return the checks that a dataset must pass: those of points alone if it has no density."""
    return CHECKS if has_density(dataset) else sampling.CHECKS


class DatasetConformance(Expected, Conformance):
    """The checks of a dataset as tests; a subclass defines the fixture ``dataset``."""

    checks = CHECKS

    def test_passes(self, check: Check, dataset: Dataset) -> None:
        """Run one check."""
        if check not in checks_of(dataset):
            raise SkipTest("the data can only be drawn from")
        check(dataset, self)
