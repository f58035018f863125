import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scorebench.datasets import get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.testing import DatasetConformance, fits


class TestSwissRoll(DatasetConformance):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("swissroll")


def roll(u: np.ndarray) -> np.ndarray:
    """The first and third coordinate of scikit-learn's roll, divided by 5 as in FFJORD."""
    t = 1.5 * np.pi * (1 + 2 * u)
    return np.stack((t * np.cos(t), t * np.sin(t)), -1) / 5


@pytest.mark.parametrize("sigma", [0.0, 0.1, 1.0])
def test_formula(sigma):
    """A plain Gauss-Legendre rule of 600 nodes in the angle."""
    node, weight = np.polynomial.legendre.leggauss(600)
    x = np.random.default_rng(0).uniform(-4, 4, (60, 2))
    variance = 0.04 + sigma**2
    square = ((x[:, None] - roll((node + 1) / 2)) ** 2).sum(-1)
    expected = logsumexp(-square / (2 * variance), axis=1, b=weight / 2)
    expected -= math.log(2 * math.pi * variance)
    mine = get_dataset("swissroll").log_prob(torch.from_numpy(x), sigma)
    np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-9)


def test_recipe():
    rng = np.random.default_rng(6)
    x = roll(rng.random(100_000)) + rng.normal(0, 0.2, (100_000, 2))
    assert fits(get_dataset("swissroll"), torch.from_numpy(x), 0.0) > 1e-5
