"""A loss without a lower bound."""

import pytest

SETTINGS = {"steps": 1500, "seeds": 2, "width": 64}


@pytest.mark.slow
def test_the_loss_falls_below_any_floor_only_where_the_density_jumps(reduced):
    result = reduced("illposed", **SETTINGS)
    table = result.table.query("experiment == 'training'")
    ends = table.groupby(["method", "dataset", "data_noise"])["value"].last()
    floors = table.groupby(["method", "dataset", "data_noise"])["expected"].last()
    assert ends["ism", "checkerboard", 0.0] < 1.3 * floors["ism", "checkerboard", 0.2]
    for case in (("ism", "checkerboard", 0.2), ("ism", "8gaussians", 0.0)):
        assert floors[case] * 1.05 < ends[case] < 0
    rest = result.claims[
        ~result.claims["claim"].str.contains("checkerboard: loss at the end$|data noise")
    ]
    assert len(rest) == 3
    assert rest["holds"].all(), rest[~rest["holds"]]
