"""DEEN is DSM: exact, so short training is enough."""

import pytest

from .small import SETTINGS


@pytest.mark.slow
def test_paths_part_as_noise_falls(reduced):
    table = reduced("equivalence", **SETTINGS["equivalence"]).table
    found = table.query("experiment == 'training' and quantity == 'path distance'")
    apart = found.groupby("sigma")["value"].mean()
    assert apart[0.01] > apart[0.1] > apart[0.5]
