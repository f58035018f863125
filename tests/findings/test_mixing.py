"""Weights of far modes, at sizes whose noise is known."""

import pytest
from scorebench.reports.findings.mixing import basins

# Standard errors: 0.014 of a weight of 1200 chains, 0.006 of one of 6000; SW1 of 2000 points has a
# floor of 0.05 ± 0.01 on rings.
SETTINGS = {"chains": 400, "points": 2000, "repeats": 3}


@pytest.fixture(scope="module")
def result(reduced):
    return reduced("mixing", **SETTINGS)


@pytest.mark.slow
def test_weights_are_lost_and_found(result):
    claims = result.claims[result.claims["id"].isin(["A9", "A10", "A11", "A17", "A19"])]
    assert len(claims) == 9
    assert claims["holds"].all(), claims[~claims["holds"]]
    weights = result.table.query("experiment == 'two modes'").groupby("sampler")["value"].mean()
    assert weights["naive"] == pytest.approx(0.5, abs=0.06)
    assert weights["annealed"] == pytest.approx(0.79, abs=0.06)


@pytest.mark.slow
def test_stein_discrepancies_are_blind_to_weights_and_distances_are_not(result):
    found = result.table.query("experiment == 'blind'")
    ksd = found[found["quantity"] == "ksd"].groupby("weights")["value"].mean()
    sw1 = found[found["quantity"] == "sw1"].groupby("weights")["value"].mean()
    assert ksd.abs().max() < 0.005
    assert sw1["0.5, 0.5"] > 10 * sw1["0.8, 0.2"]
    assert sw1["1, 0"] > 10 * sw1["0.8, 0.2"]
    exact = result.claims[result.claims["source"].isin(["far modes"])]
    assert exact["holds"].all()


def test_basins_of_the_box_fill_it():
    rings = basins("rings")
    assert rings == pytest.approx([0.662, 0.166, 0.110, 0.062], abs=5e-4)
    assert sum(rings) == pytest.approx(1)
    assert sum(basins("8gaussians")) == pytest.approx(1)
    assert basins("8gaussians")[:2] == pytest.approx([0.1036, 0.1464], abs=1e-4)
