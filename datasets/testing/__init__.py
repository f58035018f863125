"""Checks that every dataset must pass; ``scorebench check`` runs them, and so does pytest.

The author of a dataset subclasses ``DatasetConformance``::

class TestMoons(DatasetConformance):
    @pytest.fixture
    def dataset(self):
        return get_dataset("moons")
"""

from ..base import Dataset
from . import density, sampling
from .conformance import Check, CheckFailedError, Conformance
from .expected import Expected
from .sampling import fits

__all__ = ["CHECKS", "Check", "CheckFailedError", "DatasetConformance", "Expected", "fits"]

CHECKS: tuple[Check, ...] = (*sampling.CHECKS, *density.CHECKS)
"""All checks, each called with the dataset and an ``Expected``."""


class DatasetConformance(Expected, Conformance):
    """The checks of a dataset as tests; a subclass defines the fixture ``dataset``."""

    checks = CHECKS

    def test_passes(self, check: Check, dataset: Dataset) -> None:
        """Run one check."""
        check(dataset, self)
