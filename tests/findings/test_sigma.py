"""Bias and variance of denoising score matching."""

import pytest

from .small import SETTINGS


@pytest.mark.slow
def test_some_noise_is_best(reduced):
    table = reduced("sigma", **SETTINGS["sigma"]).table
    ratios = table.query("experiment == 'efficiency'").set_index("u")["value"]
    assert ratios[1.0] == pytest.approx(2, rel=0.25)
    # Rings need longer training for their bias to show.
    found = table.query("experiment == 'sweep' and quantity == 'kl' and dataset == '8gaussians'")
    by_noise = found.set_index("sigma")["value"]
    assert 2 * by_noise[0.2] < by_noise[0.01]
    assert 1.1 * by_noise[0.2] < by_noise[0.5]
