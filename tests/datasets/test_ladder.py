import math

import numpy as np
import pytest
import torch
from scipy import stats
from scorebench.datasets import UsageError, get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.quadrature import monte_carlo
from scorebench.datasets.testing import DatasetConformance


class TestFirstRung(DatasetConformance):
    within = 0.98

    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("ladder", dim=2)


class TestThirdRung(DatasetConformance):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("ladder")


@pytest.mark.parametrize("dim", [2, 3, 16, 128])
def test_rungs_are_the_same_problem(dim):
    rung = get_dataset("ladder", dim=dim)
    gaps = torch.cdist(rung.centres, rung.centres)
    square = torch.tensor([[0, 4, 32**0.5, 4], [4, 0, 4, 32**0.5]], dtype=torch.float64)
    torch.testing.assert_close(gaps[:2], square, rtol=1e-12, atol=1e-12)
    # No coordinate is noise alone: each carries its share of the signal.
    signal = rung.centres.square().sum(0) * dim / rung.centres.square().sum()
    assert 0.4 < signal.min() <= signal.max() < 2.1
    beyond = rung.entropy() - dim / 2 * math.log(2 * math.pi * math.e / 4)
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    # The modes touch so little that their entropy is that of the choice of one.
    assert beyond == pytest.approx(-(weights * np.log(weights)).sum(), abs=2e-3)
    first = get_dataset("ladder", dim=2).entropy() - math.log(2 * math.pi * math.e / 4)
    assert beyond == pytest.approx(first, abs=1e-8)


@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_formula_with_scipy(sigma):
    rung = get_dataset("ladder", dim=16)
    x = rung.sample(50, torch.Generator().manual_seed(0))
    variance = (0.25 + sigma**2) * np.eye(16)
    parts = [stats.multivariate_normal(c, variance).pdf(x) for c in rung.centres.numpy()]
    expected = np.log(np.array([0.4, 0.3, 0.2, 0.1]) @ parts)
    np.testing.assert_allclose(rung.log_prob(x, sigma), expected, rtol=1e-11)


@pytest.mark.parametrize(("dim", "sigma"), [(8, 0.3), (128, 0.0)])
def test_entropy_and_fisher_information_by_random_points(dim, sigma):
    rung = get_dataset("ladder", dim=dim)
    entropy, fisher = monte_carlo(rung, sigma)
    assert rung.entropy(sigma) == pytest.approx(entropy, abs=5e-3 * (1 + abs(entropy)))
    assert rung.fisher_information(sigma) == pytest.approx(fisher, abs=5e-3 * (1 + fisher))


@pytest.mark.parametrize("dim", [1, 129, 8.0, True])
def test_impossible_dimensions_are_refused(dim):
    with pytest.raises(UsageError, match="must be an integer from 2 to 128"):
        get_dataset("ladder", dim=dim)
