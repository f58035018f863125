"""The bias of Langevin dynamics: what its claims cannot see if the error bars are wrong."""

import pytest

from .small import SETTINGS


@pytest.fixture(scope="module")
def table(reduced):
    return reduced("langevin", **SETTINGS["langevin"]).table


@pytest.mark.slow
def test_error_bars_are_small(table):
    rings = table.query("dataset == 'rings' and sampler == 'langevin'")
    assert rings["value"].item() == pytest.approx(1.64, abs=0.12)
    assert table["error"].max() < 0.4


@pytest.mark.slow
def test_the_bias_goes_away_with_the_step_size_and_the_start_with_time(table):
    scores = table.query("quantity == 'mmd_z'")
    coarse, fine = scores.query("experiment == 'step size'").sort_values("step_size")["value"][::-1]
    early, late = scores.query("experiment == 'steps'").sort_values("steps")["value"]
    assert coarse > 4 * abs(fine)
    assert early > 4 * abs(late)
