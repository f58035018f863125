"""Noise of sliced objectives against closed forms."""

import pytest
import torch
from scorebench.bench.streams import generator
from scorebench.methods.random import MemberRandom
from scorebench.reports.findings.variance import direction_variance

# Exponents then have standard errors of 0.05, gradient variances of 2 % (d = 2) to 5 % (d = 10).
SETTINGS = {"counts": (1, 2, 8), "repeats": 40, "dims": (1, 2, 10), "draws": 20_000}


@pytest.mark.slow
def test_sliced_noise_is_what_the_closed_forms_say(reduced):
    result = reduced("variance", **SETTINGS)
    assert result.holds, result.claims[~result.claims["holds"]]
    assert {"A1", "A2", "A3"} == set(result.claims["id"])
    ratio = result.claims[result.claims["claim"].str.startswith("d = 10, gaussian")]
    assert ratio["measured"].item() == pytest.approx(6, rel=0.25)


@pytest.mark.parametrize("kind", ["gaussian", "rademacher", "sphere"])
@pytest.mark.parametrize("dim", [2, 3])
def test_variance_of_a_quadratic_form(kind, dim):
    stream = MemberRandom([generator(1, kind, dim)], dtype=torch.float64)
    half = stream.normal(dim, dim)[0]
    matrix = half + half.T
    v = stream.slices(kind, 1, torch.zeros(1, 200_000, dim, dtype=torch.float64))[0, 0]
    values = ((v @ matrix) * v).sum(1)
    expected = float(direction_variance(matrix, kind))
    # Fourth moments of quadratic forms: a standard error of 1.5 % at most.
    assert float(values.var()) == pytest.approx(expected, rel=0.06)
