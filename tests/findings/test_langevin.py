"""The bias of Langevin dynamics: closed forms, at sizes whose noise is known."""

import pytest

# Standard errors of the variance ratios: √(2/(2 · 3000)) ≈ 0.02; the limits end at εT = 60,
# by which the weights of the modes have mixed as far as 2500 points can tell.
SETTINGS = {
    "chains": 3000, "steps": 200, "step_sizes": (0.2, 1.0, 3.0), "points": 2500, "time": 60.0,
    "small": (0.4, 0.05), "lengths": (20, 1200),
}  # fmt: skip


@pytest.mark.slow
def test_langevin_is_biased_as_the_formula_says_and_mala_is_not(reduced):
    result = reduced("langevin", **SETTINGS)
    claims = result.claims[~result.claims["claim"].str.contains("MMD|same at the")]
    assert len(claims) == 10
    assert claims["holds"].all(), claims[~claims["holds"]]
    # What the claims cannot see if the error bars are wrong.
    rings = result.table.query("dataset == 'rings' and sampler == 'langevin'")
    assert rings["value"].item() == pytest.approx(1.64, abs=0.12)
    assert result.table["error"].max() < 0.4


@pytest.mark.slow
def test_the_bias_goes_away_with_the_step_size_and_the_start_with_time(reduced):
    table = reduced("langevin", **SETTINGS).table.query("quantity == 'mmd_z'")
    coarse, fine = table.query("experiment == 'step size'").sort_values("step_size")["value"][::-1]
    early, late = table.query("experiment == 'steps'").sort_values("steps")["value"]
    assert coarse > 4 * abs(fine)
    assert early > 4 * abs(late)
