import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from scorebench.datasets import UsageError, get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.testing import DatasetConformance


class TestPublished(DatasetConformance):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("gmm40")


class TestOrdinarySize(DatasetConformance):
    # Two pairs of the Gaussians nearly touch, and points of one are nearer to the other.
    straying = 0.02
    within = 0.97

    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("gmm40", scale=0.1)


def published_centres():
    """Single-precision uniform numbers of the Mersenne twister of seed 0, by NumPy's code."""
    twister = np.random.RandomState(0)
    bits = twister.randint(0, 2**32, 80, dtype=np.uint32) & 0xFFFFFF
    uniform = (bits / np.float32(2**24)).astype(np.float32).reshape(40, 2)
    return (uniform - np.float32(0.5)) * 2 * 40


def test_centres_are_those_of_the_published_code():
    centres = get_dataset("gmm40").centres.numpy()
    np.testing.assert_array_equal(centres, published_centres().astype(np.float64))
    np.testing.assert_allclose(centres[0], [-0.2995, 21.4577], atol=5e-5)
    assert get_dataset("gmm40").noise == pytest.approx(math.log(1 + math.e))


@pytest.mark.parametrize("sigma", [0.0, 2.0])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_formula_with_scipy(scale, sigma):
    x = scale * np.random.default_rng(0).uniform(-60, 60, (100, 2))
    width = scale * math.hypot(math.log(1 + math.e), sigma)
    gap = x[:, None] - scale * published_centres().astype(np.float64)
    expected = logsumexp(stats.norm.logpdf(gap, scale=width).sum(2), axis=1) - math.log(40)
    mine = get_dataset("gmm40", scale=scale).log_prob(torch.from_numpy(x), scale * sigma)
    np.testing.assert_allclose(mine, expected, rtol=1e-12)


def test_scaled_data_have_shifted_entropies():
    wide, narrow = get_dataset("gmm40"), get_dataset("gmm40", scale=0.1)
    assert narrow.entropy(0.1) == pytest.approx(wide.entropy(1.0) - 2 * math.log(10), abs=2e-6)
    assert narrow.fisher_information(0.1) == pytest.approx(100 * wide.fisher_information(1.0))


@pytest.mark.parametrize("scale", [0, -1, 11, "1", True, math.nan])
def test_impossible_scales_are_refused(scale):
    with pytest.raises(UsageError, match=r"must be a number from 0\.01 to 10"):
        get_dataset("gmm40", scale=scale)
