import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.special import log_ndtr, logsumexp
from scorebench.datasets import UsageError, get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.testing import DatasetConformance, fits


class TestCheckerboard(DatasetConformance):
    # Found by an independent grid quadrature.
    entropy: ClassVar = {0.0: math.log(32), 0.05: 3.55429, 0.1: 3.63930, 0.2: 3.79870, 0.3: 3.94391}
    fisher: ClassVar = {0.05: 34.7119, 0.1: 16.6480, 0.2: 7.6160, 0.3: 4.6017}
    digits = 3e-5
    straying = 0.0

    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("checkerboard")


def reference(x: np.ndarray, sigma: float) -> np.ndarray:
    """Log density from scipy's normal distribution, square by square."""
    dark = [(i, j) for i in range(4) for j in range(4) if (i + j) % 2 == 0]
    total = [_edge(x[:, 0], 2 * i - 4, sigma) + _edge(x[:, 1], 2 * j - 4, sigma) for i, j in dark]
    return logsumexp(total, axis=0) - math.log(32)


def _edge(t: np.ndarray, a: float, sigma: float) -> np.ndarray:
    """log(Φ((a + 2 - t)/σ) - Φ((a - t)/σ)), on the side where it does not cancel."""
    high, low = (a + 2 - t) / sigma, (a - t) / sigma
    high, low = np.where(low > 0, -low, high), np.where(low > 0, -high, low)
    return log_ndtr(high) + np.log(-np.expm1(log_ndtr(low) - log_ndtr(high)))


@pytest.mark.parametrize("sigma", [0.01, 0.05, 0.5, 3.0])
def test_formula_also_far_out(sigma):
    x = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    for size in (4, 8, 20):
        mine = get_dataset("checkerboard").log_prob(torch.from_numpy(size * x), sigma)
        np.testing.assert_allclose(mine, reference(size * x, sigma), rtol=1e-12, atol=1e-11)


def test_far_out_the_score_points_to_the_nearest_corner():
    """At |x| = 20 and sigma = 0.05 the density is e^-52000; its score is still (corner - x)/σ²."""
    x = torch.tensor([[14.1, 14.1], [-20.0, -1.0], [15.0, -13.0]], dtype=torch.float64)
    score = get_dataset("checkerboard").score(x, 0.05)
    assert bool(get_dataset("checkerboard").log_prob(x, 0.05).isfinite().all())
    home = torch.tensor([[4.0, 4.0], [-4.0, -1.0], [4.0, -2.0]], dtype=torch.float64)
    torch.testing.assert_close(score, (home - x) / 0.05**2, rtol=2e-3, atol=20.0)


def test_without_noise():
    board = get_dataset("checkerboard")
    x = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -3.0], [-4.0, -4.0], [1.0, -1.0], [5.0, 1.0]])
    inside = -math.log(32)
    expected = torch.tensor([inside] * 4 + [-math.inf] * 2, dtype=torch.float64)
    torch.testing.assert_close(board.log_prob(x), expected)
    with pytest.raises(UsageError, match=r"no score at sigma = 0 .*use sigma >= 0\.001"):
        board.score(x)


def test_divergence_from_the_smoothed_board():
    """KL(p, p_sigma), whose integrand jumps at the edges, by Gauss-Legendre between them."""
    node, weight = np.polynomial.legendre.leggauss(60)
    side = torch.from_numpy(np.concatenate([node + c for c in (-3, -1, 1, 3)]))
    x = torch.cartesian_prod(side, side)
    board = get_dataset("checkerboard")
    w = torch.from_numpy(np.outer(np.tile(weight, 4), np.tile(weight, 4)).ravel())
    log_p = board.log_prob(x)
    p = log_p.exp() * w
    # A brute-force mean over millions of points gives the same to four digits.
    for sigma, known in {0.05: 0.047323, 0.1: 0.093783, 0.2: 0.184118}.items():
        difference = (log_p - board.log_prob(x, sigma)).where(p > 0, 0.0)
        assert (p * difference).sum().item() == pytest.approx(known, abs=2e-6)


def test_recipe():
    """The recipe of the normalising-flow literature, drawn with numpy, fits the density."""
    rng = np.random.default_rng(3)
    x1 = rng.uniform(-2, 2, 100_000)
    x2 = rng.uniform(0, 1, 100_000) - 2 * rng.integers(0, 2, 100_000) + np.floor(x1) % 2
    x = torch.from_numpy(2 * np.stack((x1, x2), 1))
    assert fits(get_dataset("checkerboard"), x, 0.0) > 1e-5
