import math
from typing import ClassVar

import pytest
import torch
from scorebench.datasets import get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.testing import DatasetConformance


class TestTwoModes(DatasetConformance):
    # The modes are 14 standard deviations apart: entropy of the choice and of one Gaussian.
    entropy: ClassVar = {
        0.0: math.log(2 * math.pi * math.e) - 0.8 * math.log(0.8) - 0.2 * math.log(0.2)
    }
    fisher: ClassVar = {0.0: 2.0, 0.5: 2 / 1.25}

    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("two_modes")


def test_formula_with_torch_distributions():
    means = torch.tensor([[5.0, 5.0], [-5.0, -5.0]], dtype=torch.float64)
    x = 16 * torch.rand(100, 2, dtype=torch.float64) - 8
    for sigma in (0.0, 0.4):
        scale = torch.full((2, 2), math.hypot(1, sigma), dtype=torch.float64)
        components = torch.distributions.Independent(torch.distributions.Normal(means, scale), 1)
        mixing = torch.distributions.Categorical(torch.tensor([0.8, 0.2], dtype=torch.float64))
        expected = torch.distributions.MixtureSameFamily(mixing, components).log_prob(x)
        torch.testing.assert_close(get_dataset("two_modes").log_prob(x, sigma), expected)


def test_weights():
    torch.testing.assert_close(get_dataset("two_modes").weights, torch.tensor([0.8, 0.2]).double())
