"""Noise of sliced objectives against closed forms."""

import pytest
import torch
from scorebench.bench.streams import generator
from scorebench.methods.random import MemberRandom
from scorebench.reports.findings.variance import direction_variance


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
