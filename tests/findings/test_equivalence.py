"""DEEN is DSM, and limits of other objectives: exact, so short training is enough."""

import pytest

SETTINGS = {
    "sigmas": (0.01, 0.1, 0.5), "steps": 150, "seeds": 2, "width": 32, "exact_steps": 40,
    "radii": (0.001, 0.01, 0.03, 0.1), "small": (0.003, 0.03, 0.1),
}  # fmt: skip


@pytest.mark.slow
def test_deen_is_dsm_up_to_adams_epsilon(reduced):
    result = reduced("equivalence", **SETTINGS)
    # How much worse DEEN ends at small noise needs longer training to show.
    claims = result.claims[~result.claims["claim"].str.contains("excess loss over")]
    assert len(claims) == len(result.claims) - 1
    assert claims["holds"].all(), claims[~claims["holds"]]
    found = result.table.query("experiment == 'training' and quantity == 'path distance'")
    apart = found.groupby("sigma")["value"].mean()
    assert apart[0.01] > apart[0.1] > apart[0.5]
