"""Exact samples score like the truth, and worse ones do not."""

import pytest
import torch
from scorebench.reports.findings import selftest
from scorebench.reports.findings.tools import draw

# Means of standardised MMD² then have standard errors of 0.06.
SETTINGS = {"points": 200, "repeats": 40}


@pytest.mark.slow
def test_exact_samples_score_as_theory_says(reduced):
    result = reduced("selftest", **SETTINGS)
    assert result.holds, result.claims[~result.claims["holds"]]


@pytest.mark.slow
def test_a_small_error_is_noticed(reduced, monkeypatch):
    """The same with points that are moved by a tenth."""

    def moved(*given):
        return draw(*given) + 0.1 * torch.ones(2)

    monkeypatch.setattr(selftest, "draw", moved)
    result = reduced("selftest", **SETTINGS, seed=1)
    broken = result.claims[~result.claims["holds"]]
    assert not broken.empty
    assert not broken["claim"].str.contains("fresh truth:").any()
