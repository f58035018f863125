import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy import stats
from scorebench.datasets import get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.testing import DatasetConformance


class TestTwentyFiveGaussians(DatasetConformance):
    # The Gaussians do not touch: twenty-five times one of them.
    entropy: ClassVar = {0.0: math.log(25 * 2 * math.pi * math.e * 0.05**2)}
    fisher: ClassVar = {0.0: 800.0, 0.05: 400.0}

    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("25gaussians")


@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_formula_as_a_product(sigma):
    """Five Gaussians along either axis, with scipy's normal density."""
    x = np.random.default_rng(0).uniform(-5, 5, (100, 2))
    means = np.array([-4, -2, 0, 2, 4])
    density = stats.norm.pdf(x[:, :, None], means, math.hypot(0.05, sigma)).mean(-1).prod(1)
    mine = get_dataset("25gaussians").log_prob(torch.from_numpy(x), sigma)
    seen = density > 1e-250
    np.testing.assert_allclose(mine[seen], np.log(density[seen]), rtol=1e-12)
    assert seen.sum() > 20


def test_high_quality_samples():
    """PacGAN calls points within three standard deviations good: 1 - exp(-9/2) of all."""
    data = get_dataset("25gaussians")
    x = data.sample(50_000, torch.Generator().manual_seed(0))
    centre = 2 * (x / 2).round()
    good = ((x - centre).norm(dim=1) < 0.15).double().mean().item()
    assert good == pytest.approx(1 - math.exp(-4.5), abs=5 * math.sqrt(0.011 / 50_000))
