import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from scorebench.datasets import UsageError
from scorebench.datasets.base import Dataset
from scorebench.datasets.kernel import bump, log_bump
from scorebench.datasets.mixture import GaussianMixture, Mixture
from scorebench.datasets.testing import DatasetConformance


class TestUnevenGaussiansInThreeDimensions(DatasetConformance):
    @pytest.fixture
    def dataset(self) -> Dataset:
        centres = torch.tensor([[0.0, 2, 0], [2, 0, 0], [-2, 0, 1]])
        return GaussianMixture(centres, 0.3, weights=(1, 2, 5))


def test_one_gaussian_in_many_dimensions():
    centre = torch.linspace(-1, 1, 50, dtype=torch.float64)
    one = GaussianMixture(centre[None], 0.5)
    x = torch.randn(7, 50, dtype=torch.float64)
    exact = torch.distributions.Normal(centre, math.sqrt(0.25 + 0.04)).log_prob(x).sum(1)
    torch.testing.assert_close(one.log_prob(x, 0.2), exact)
    torch.testing.assert_close(one.score(x, 0.2), (centre - x) / 0.29)


@pytest.mark.parametrize(("width", "tau"), [(0.0, 0.3), (2.0, 0.05), (1 / 6, 0.1), (0.5, 7.0)])
def test_bump_is_the_box_convolved(width, tau):
    t = np.linspace(-width - 4 * tau, width + 4 * tau, 21)
    for place, value in zip(t, log_bump(torch.from_numpy(t), width, tau)[0].exp(), strict=True):
        if width:
            convolved = quad(
                lambda s, at: norm.pdf(at - s, scale=tau) / width,
                -width / 2,
                width / 2,
                args=(place,),
                points=[min(max(place, -width / 2), width / 2)],
                epsabs=0,
                epsrel=1e-12,
            )[0]
        else:
            convolved = norm.pdf(place, scale=tau)
        assert value.item() == pytest.approx(convolved, rel=1e-10)


@pytest.mark.parametrize(("width", "tau"), [(0.0, 0.3), (1 / 6, 0.1), (2.0, 0.5)])
def test_derivatives_of_the_bump(width, tau):
    t = torch.linspace(-2, 2, 41, dtype=torch.float64, requires_grad=True)
    f, first, second = bump(t, width, tau)
    (by_autograd,) = torch.autograd.grad(f.sum(), t, retain_graph=True)
    torch.testing.assert_close(first, by_autograd)
    (twice,) = torch.autograd.grad(first.sum(), t)
    torch.testing.assert_close(second, twice)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"centres": torch.zeros(2), "noise": 1.0}, "shape"),
        ({"centres": torch.zeros(0, 2), "noise": 1.0}, "shape"),
        ({"centres": torch.zeros(2, 2), "noise": 1.0, "weights": (1.0,)}, "2 centres"),
        ({"centres": torch.zeros(2, 2), "noise": 1.0, "weights": (1.0, -1.0)}, "positive"),
        ({"centres": torch.zeros(2, 2)}, "one of them > 0"),
        ({"centres": torch.zeros(2, 2), "noise": -1.0, "width": 3.0}, "both must be >= 0"),
    ],
)
def test_impossible_mixtures_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        Mixture(**arguments)


def test_gaussians_need_noise():
    with pytest.raises(UsageError, match="standard deviation must be > 0"):
        GaussianMixture(torch.zeros(1, 2), 0.0)
