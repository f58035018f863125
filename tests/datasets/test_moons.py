import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scorebench.datasets import get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.tabulate import fast_score
from scorebench.datasets.testing import DatasetConformance, fits


class TestMoons(DatasetConformance):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("moons")


def make_moons(angle: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """scikit-learn's curves at angles of our own, scaled and moved as in FFJORD."""
    first = np.where(lower, 1 - np.cos(angle), np.cos(angle))
    second = np.where(lower, 0.5 - np.sin(angle), np.sin(angle))
    return np.stack((first, second), -1) * 2 + [-1, -0.2]


@pytest.mark.parametrize("sigma", [0.0, 0.1, 1.0])
def test_formula(sigma):
    """A plain Gauss-Legendre rule of 200 nodes in the angle."""
    node, weight = np.polynomial.legendre.leggauss(200)
    angle = (node + 1) * math.pi / 2
    centres = np.concatenate([make_moons(angle, np.full(200, arm)) for arm in (False, True)])
    x = np.random.default_rng(0).uniform(-4, 4, (60, 2))
    variance = 0.04 + sigma**2
    square = ((x[:, None] - centres) ** 2).sum(-1)
    expected = logsumexp(-square / (2 * variance), axis=1, b=np.tile(weight / 4, 2))
    expected -= math.log(2 * math.pi * variance)
    moons = get_dataset("moons")
    np.testing.assert_allclose(
        moons.log_prob(torch.from_numpy(x), sigma), expected, rtol=0, atol=1e-9
    )


def test_recipe():
    rng = np.random.default_rng(5)
    x = make_moons(rng.uniform(0, math.pi, 100_000), rng.random(100_000) < 0.5)
    x += rng.normal(0, 0.2, x.shape)
    assert fits(get_dataset("moons"), torch.from_numpy(x), 0.0) > 1e-5


@pytest.mark.parametrize("name", ["moons", "swissroll"])
@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_table_for_samplers(name, sigma):
    curve = get_dataset(name)
    x = 9 * torch.rand(1500, 2, generator=torch.Generator().manual_seed(1)).double() - 4.5
    exact = curve.score(x, sigma)
    error = (fast_score(curve, sigma)(x) - exact).norm(dim=1)
    assert bool((error <= 1e-6 * (exact.norm(dim=1) + 1 / math.hypot(0.2, sigma))).all())
