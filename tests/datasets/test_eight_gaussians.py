import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from scorebench.datasets import get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.testing import DatasetConformance, fits


class TestEightGaussians(DatasetConformance):
    # Entropies, Fisher informations and divergences found by an independent grid quadrature.
    entropy: ClassVar = {0.0: 2.83158, 0.05: 2.85073, 0.1: 2.90568, 0.2: 3.09393, 0.3: 3.32662}
    fisher: ClassVar = {0.0: 15.4918, 0.05: 15.1464, 0.1: 14.1787, 0.2: 11.1062, 0.3: 7.7930}
    kl: ClassVar = {0.05: 0.00019, 0.1: 0.00285, 0.2: 0.03468, 0.3: 0.12118}

    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("8gaussians")


def test_formula_with_torch_distributions():
    """The eight components, written out with torch's own mixture."""
    corners = [(1, 0), (-1, 0), (0, 1), (0, -1)]
    corners += [(a / math.sqrt(2), b / math.sqrt(2)) for a in (1, -1) for b in (1, -1)]
    means = torch.tensor(corners, dtype=torch.float64) * 4 / math.sqrt(2)
    x = 8 * torch.rand(100, 2, dtype=torch.float64) - 4
    for sigma in (0.0, 0.4):
        scale = torch.full((8, 2), math.sqrt(0.125 + sigma**2), dtype=torch.float64)
        components = torch.distributions.Independent(torch.distributions.Normal(means, scale), 1)
        mixing = torch.distributions.Categorical(torch.ones(8, dtype=torch.float64))
        expected = torch.distributions.MixtureSameFamily(mixing, components).log_prob(x)
        torch.testing.assert_close(get_dataset("8gaussians").log_prob(x, sigma), expected)


def test_recipe():
    """The recipe of the normalising-flow literature, drawn with numpy, fits the density."""
    rng = np.random.default_rng(1)
    angle = rng.integers(0, 8, 100_000) * np.pi / 4
    centre = 4 * np.stack((np.cos(angle), np.sin(angle)), 1)
    x = (0.5 * rng.standard_normal((100_000, 2)) + centre) / np.sqrt(2)
    assert fits(get_dataset("8gaussians"), torch.from_numpy(x), 0.0) > 1e-5
