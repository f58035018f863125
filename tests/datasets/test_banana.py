import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm
from scorebench.datasets import get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.testing import DatasetConformance, fits


class TestBanana(DatasetConformance):
    # Bending keeps volumes: the entropy is that of the straight Gaussian. With e the distance from
    # the parabola, the score is (-x1/4 - 0.3 x1 e/0.04, -e/0.04), of mean square
    # 1/4 + 0.09 · 4/0.04 + 1/0.04.
    entropy: ClassVar = {0.0: math.log(2 * math.pi * math.e * 2 * 0.2)}
    fisher: ClassVar = {0.0: 34.25}
    looks_like_a_point_from_afar = False

    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("banana")


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.5, 3.0])
def test_smoothing_by_a_rule_that_is_dense_everywhere(sigma):
    banana = get_dataset("banana")
    v = np.linspace(-15, 15, 100_001)
    x = np.random.default_rng(0).uniform(-6, 6, (60, 2))
    data = banana.sample(30, torch.Generator().manual_seed(0)).numpy()
    x = np.concatenate((x, data))
    value = norm.logpdf(v, scale=2) + norm.logpdf(x[:, :1] - v, scale=sigma)
    spread = math.hypot(0.2, sigma)
    value += norm.logpdf(x[:, 1:] - 0.15 * (4 - v**2), scale=spread)
    expected = logsumexp(value, axis=1) + math.log(v[1] - v[0])
    mine = banana.log_prob(torch.from_numpy(x), sigma)
    np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-10)


def test_without_noise():
    x = np.random.default_rng(0).uniform(-6, 6, (60, 2))
    expected = norm.logpdf(x[:, 0], scale=2)
    expected += norm.logpdf(x[:, 1], loc=0.6 - 0.15 * x[:, 0] ** 2, scale=0.2)
    mine = get_dataset("banana").log_prob(torch.from_numpy(x))
    np.testing.assert_allclose(mine, expected, rtol=1e-12)


def test_recipe():
    """The bent Gaussian of Haario et al. 1999 with b = 0.03, divided by 5."""
    rng = np.random.default_rng(7)
    first, second = 10 * rng.standard_normal(100_000), rng.standard_normal(100_000)
    x = np.stack((first, second - 0.03 * first**2 + 100 * 0.03), 1) / 5
    assert fits(get_dataset("banana"), torch.from_numpy(x), 0.0) > 1e-5
