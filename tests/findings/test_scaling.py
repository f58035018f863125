"""Costs by dimension are counted, and a cheap trace is held against the exact one."""

import pytest

SETTINGS = {"dims": (2, 10, 40), "repeats": 3, "width": 64, "networks": 4}


@pytest.mark.slow
def test_exact_traces_cost_a_pass_per_dimension_and_cheap_ones_are_wrong(reduced):
    result = reduced("scaling", **SETTINGS)
    # Seconds belong to a machine that may be busy with something else.
    claims = result.claims[~result.claims["claim"].str.startswith("seconds")]
    assert len(claims) == 9
    assert claims["holds"].all(), claims[~claims["holds"]]
    passes = result.table.query("quantity == 'passes'").pivot_table("value", "dim", "method")
    assert passes.loc[40, "ism"] > 10 * passes.loc[40, "ssm"]
    assert passes.loc[2, "ism"] < 3 * passes.loc[2, "ssm"]
