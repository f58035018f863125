import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from scorebench.datasets import get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.quadrature import panels
from scorebench.datasets.testing import DatasetConformance


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(20_240_101)


class TestFunnel(DatasetConformance):
    # log x2's width is x1/2, of mean 0: the entropy is that of N(0, 9) and N(0, 1). The score is
    # (-x1/9 - 1/2 + z²/2, -z exp(-x1/2)), z normal, of mean square 1/9 + 1/2 + E exp(-x1).
    entropy: ClassVar = {0.0: math.log(2 * math.pi * math.e * 3)}
    fisher: ClassVar = {0.0: 1 / 9 + 1 / 2 + math.exp(4.5)}
    within = 0.94
    looks_like_a_point_from_afar = False
    # Tests below replace these.
    skipped = (
        "distribution_does_not_depend_on_the_number",
        "histogram_of_noisy_samples_is_the_density",
        "means_of_small_samples_vary_as_they_should",
        "smoothing_composes",
    )

    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("funnel")

    def test_distribution_does_not_depend_on_the_number(self, dataset, generator):
        """No histogram resolves the neck, so both normal variables are recovered and tested."""
        for n in (1, 5, 40):
            x = torch.cat([dataset.sample(n, generator) for _ in range(4000 // n)])
            assert stats.kstest(x[:, 0] / 3, "norm").pvalue > 1e-5
            assert stats.kstest(x[:, 1] * (-x[:, 0] / 2).exp(), "norm").pvalue > 1e-5

    @pytest.mark.parametrize("sigma", [0.0, 0.2])
    def test_histogram_of_noisy_samples_is_the_density(self, dataset, generator, sigma):
        """Cells that grow away from the axis; their probabilities by a rule in each."""
        x = dataset.sample(50_000, generator)
        x = x + sigma * torch.randn(x.shape, dtype=x.dtype, generator=generator)
        first = torch.arange(-8.0, 8.1, 1.0, dtype=torch.float64)
        log_second = torch.arange(-4.0, 5.1, 0.5, dtype=torch.float64)
        along, wide = panels(first, 8)
        across, high = panels(log_second, 8)
        points = torch.cartesian_prod(along, across.exp())
        # Twice, for the mirror image; dx2 = x2 d log x2.
        density = 2 * dataset.log_prob(points, sigma).exp() * points[:, 1]
        mass = density.view(len(along), len(across)) * wide[:, None] * high
        expected = mass.view(len(first) - 1, 8, len(log_second) - 1, 8).sum((1, 3)).numpy() * len(x)
        seen, *_ = np.histogram2d(x[:, 0], x[:, 1].abs().log(), [first.numpy(), log_second.numpy()])
        full = expected > 5
        chi2 = ((seen - expected)[full] ** 2 / expected[full]).sum()
        assert full.sum() > 100
        assert stats.chi2.sf(chi2, full.sum()) > 1e-5

    def test_means_of_small_samples_vary_as_they_should(self, dataset, generator):
        """Of x1; the variance of x2's variance is too large to compare."""
        for n in (2, 7, 40):
            means = torch.stack([dataset.sample(n, generator).mean(0) for _ in range(600)])
            assert (n * means[:, 0].var() / 9 - 1).abs() < 6 * math.sqrt(2 / 600)

    def test_smoothing_composes(self, dataset):
        """p_0.5 is p_0.3 convolved with N(0, 0.4²), by Gauss-Hermite rules."""
        node, weight = np.polynomial.hermite_e.hermegauss(60)
        x = torch.tensor([[-3.0, 0.1], [0.0, -1.0], [2.0, 3.0], [-6.0, 0.5]]).double()
        step = torch.cartesian_prod(*(torch.from_numpy(0.4 * node),) * 2)
        share = torch.from_numpy(np.outer(weight, weight).ravel()) / (2 * math.pi)
        near = (x[:, None] + step).flatten(0, 1)
        convolved = (dataset.log_prob(near, 0.3).exp().view(4, -1) * share).sum(1).log()
        torch.testing.assert_close(dataset.log_prob(x, 0.5), convolved, rtol=0, atol=1e-8)


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.5, 1.0])
def test_formula_by_gauss_hermite(sigma):
    """Past values of x1 given x1 are N(9 x1/(9 + sigma²), 9 sigma²/(9 + sigma²)): 60 nodes."""
    funnel = get_dataset("funnel")
    x = funnel.sample(200, torch.Generator().manual_seed(0)).numpy()
    total = 9 + sigma**2
    node, weight = np.polynomial.hermite_e.hermegauss(60)
    past = 9 * x[:, :1] / total + node * 3 * sigma / math.sqrt(total)
    width = np.sqrt(np.exp(past) + sigma**2)
    second = logsumexp(stats.norm.logpdf(x[:, 1:], scale=width), axis=1, b=weight)
    expected = stats.norm.logpdf(x[:, 0], scale=math.sqrt(total)) + second
    expected -= math.log(2 * math.pi) / 2
    mine = funnel.log_prob(torch.from_numpy(x), sigma)
    np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("sigma", [0.03, 1.0, 4.0])
def test_smoothing_by_a_rule_that_is_dense_everywhere(sigma):
    """Also where no data is, which fixed nodes would miss."""
    v = np.linspace(-35, 35, 100_001)
    x = np.random.default_rng(0).uniform(-10, 10, (60, 2))
    value = stats.norm.logpdf(v, scale=3) + stats.norm.logpdf(x[:, :1] - v, scale=sigma)
    value += stats.norm.logpdf(x[:, 1:], scale=np.sqrt(np.exp(v) + sigma**2))
    expected = logsumexp(value, axis=1) + math.log(v[1] - v[0])
    mine = get_dataset("funnel").log_prob(torch.from_numpy(x), sigma)
    np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-10)


def test_without_noise():
    x = np.random.default_rng(0).uniform(-10, 10, (60, 2))
    expected = stats.norm.logpdf(x[:, 0], scale=3)
    expected += stats.norm.logpdf(x[:, 1], scale=np.exp(x[:, 0] / 2))
    mine = get_dataset("funnel").log_prob(torch.from_numpy(x))
    np.testing.assert_allclose(mine, expected, rtol=1e-12)
