import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm
from scorebench.datasets import get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.quadrature import grid
from scorebench.datasets.testing import DatasetConformance, fits


class TestTwoSpirals(DatasetConformance):
    # This quadrature's own values; test_formula checks the density by another rule.
    entropy: ClassVar = {0.3: 3.526558}
    fisher: ClassVar = {0.3: 4.923883}
    digits = 3e-6
    levels = (0.0, 0.3)
    straying = 2e-3

    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("2spirals")

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("sigma", "entropy", "fisher"), [(0.0, 2.645450, 81.41340), (0.1, 2.940361, 43.55506)]
    )
    def test_constants_of_the_sharp_density(self, dataset, sigma, entropy, fisher):
        reference = grid(dataset, sigma, 0.4)
        assert reference.entropy == pytest.approx(entropy, rel=3e-6)
        assert reference.fisher == pytest.approx(fisher, rel=3e-6)


def box(t: np.ndarray, tau: float) -> np.ndarray:
    """Density of U[0, 1/6] + N(0, tau²), from scipy's normal distribution."""
    return 6 * (norm.cdf(t / tau) - norm.cdf((t - 1 / 6) / tau))


def reference(x: np.ndarray, sigma: float, count: int = 20_000) -> np.ndarray:
    """Density by the midpoint rule in u, n = 3π√u, with the one-sided jitter of the recipe."""
    tau = math.hypot(0.1, sigma)
    n = 3 * np.pi * np.sqrt((np.arange(count) + 0.5) / count)
    total = np.zeros(len(x))
    for y in (x, -x):
        first = box(y[:, :1] + n * np.cos(n) / 3, tau)
        second = box(y[:, 1:] - n * np.sin(n) / 3, tau)
        total += (first * second).mean(1) / 2
    return total


@pytest.mark.parametrize("sigma", [0.0, 0.2, 1.0])
def test_formula(sigma):
    x = get_dataset("2spirals").sample(40, torch.Generator().manual_seed(1)).numpy()
    mine = get_dataset("2spirals").log_prob(torch.from_numpy(x), sigma).exp()
    np.testing.assert_allclose(mine, reference(x, sigma), rtol=1e-5)


@pytest.mark.parametrize(("sigma", "rtol"), [(0.0, 1e-9), (0.1, 1e-9), (1.0, 1e-9)])
def test_quadrature_has_converged(sigma, rtol):
    """Against the mean of Gaussians: the box by its own Gauss rule, the curve by a finer one."""
    spirals = get_dataset("2spirals")
    tau = spirals.tau(sigma)
    generator = torch.Generator().manual_seed(2)
    x = 12 * torch.rand(25, 2, dtype=torch.float64, generator=generator) - 6
    x = torch.cat((x, spirals.sample(15, generator)))
    # 500 panels with 8 nodes in v = n/(3π), every panel a fifth of tau or less.
    node, weight = np.polynomial.legendre.leggauss(8)
    edges = 1 - np.linspace(1, 0, 501) ** 2
    low, half = edges[:-1, None], np.diff(edges)[:, None] / 2
    v, w = (low + half * (node + 1)).ravel(), (half * weight).ravel()
    w = w * 2 * v
    n = 3 * np.pi * v
    inner, inner_weight = np.polynomial.legendre.leggauss(40)
    inner, inner_weight = (inner + 1) / 12, inner_weight / 2
    total = []
    for y in (x.numpy(), -x.numpy()):
        parts = []
        for j, c in enumerate((-n * np.cos(n) / 3, n * np.sin(n) / 3)):
            t = y[:, j, None, None] - c[:, None] - inner
            parts.append(logsumexp(-(t**2) / (2 * tau**2), axis=2, b=inner_weight))
        total.append(logsumexp(sum(parts), axis=1, b=w))
    expected = logsumexp(total, axis=0) - math.log(4 * np.pi * tau**2)
    np.testing.assert_allclose(spirals.log_prob(x, sigma), expected, rtol=0, atol=rtol)


def test_recipe():
    """The recipe of the normalising-flow literature with independent arms, drawn with numpy."""
    rng = np.random.default_rng(4)
    count = 100_000
    n = np.sqrt(rng.uniform(size=count)) * 540 * 2 * np.pi / 360
    first = -np.cos(n) * n + 0.5 * rng.uniform(size=count)
    second = np.sin(n) * n + 0.5 * rng.uniform(size=count)
    sign = rng.choice([-1, 1], count)
    x = sign[:, None] * np.stack((first, second), 1) / 3 + 0.1 * rng.standard_normal((count, 2))
    assert fits(get_dataset("2spirals"), torch.from_numpy(x), 0.0) > 1e-5
