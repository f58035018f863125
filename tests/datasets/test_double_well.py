import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from scipy.special import logsumexp
from scorebench.datasets import get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.testing import DatasetConformance

LOG_Z = math.log(11784.50927)  # As published with flow annealed importance sampling.
NORMAL = math.log(2 * math.pi * math.e) / 2


def log_weight(v):
    return v / 2 + 6 * v**2 - v**4


def mean(f):
    """Expectation over x1 by scipy's adaptive quadrature."""
    return quad(lambda v: f(v) * math.exp(log_weight(v) - LOG_Z), -4, 4, epsabs=1e-12, limit=200)[0]


class TestDoubleWell(DatasetConformance):
    entropy: ClassVar = {0.0: NORMAL + LOG_Z - mean(log_weight)}
    fisher: ClassVar = {0.0: 1 + mean(lambda v: (0.5 + 12 * v - 4 * v**3) ** 2)}
    looks_like_a_point_from_afar = False

    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("double_well")


def test_published_constants():
    well = get_dataset("double_well")
    assert well.log_z == pytest.approx(9.374541, abs=5e-7)
    assert well.weights[1].item() == pytest.approx(0.8443, abs=5e-5)
    assert well.weights[1].item() == pytest.approx(mean(lambda v: v > 0), abs=1e-7)
    assert mean(lambda v: 1.0) == pytest.approx(1, abs=1e-8)


def test_wells_hold_their_shares_of_the_samples():
    n = 400_000
    x = get_dataset("double_well").sample(n, torch.Generator().manual_seed(0))
    right = (x[:, 0] > 0).double().mean().item()
    assert right == pytest.approx(0.84431, abs=5 * math.sqrt(0.1314 / n))


def test_distribution_function_of_the_samples():
    """Kolmogorov's distance of 100,000 first coordinates from the integral of the density."""
    well = get_dataset("double_well")
    x = well.sample(100_000, torch.Generator().manual_seed(1))[:, 0].numpy()
    v = np.linspace(-4, 4, 400_001)
    cdf = np.cumsum(np.exp(log_weight(v) - LOG_Z)) * (v[1] - v[0])
    assert stats.kstest(x, lambda at: np.interp(at, v, cdf)).pvalue > 1e-5


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.5, 3.0])
def test_smoothing_by_a_rule_that_is_dense_everywhere(sigma):
    v = np.linspace(-5, 5, 100_001)
    x = np.random.default_rng(0).uniform(-4, 4, (60, 2))
    value = log_weight(v) - LOG_Z + stats.norm.logpdf(x[:, :1] - v, scale=sigma)
    expected = logsumexp(value, axis=1) + math.log(v[1] - v[0])
    expected += stats.norm.logpdf(x[:, 1], scale=math.hypot(1, sigma))
    mine = get_dataset("double_well").log_prob(torch.from_numpy(x), sigma)
    # The published constant has ten digits.
    np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=2e-9)


def test_without_noise():
    x = np.random.default_rng(0).uniform(-3, 3, (60, 2))
    expected = log_weight(x[:, 0]) - LOG_Z + stats.norm.logpdf(x[:, 1])
    mine = get_dataset("double_well").log_prob(torch.from_numpy(x))
    np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=2e-9)
