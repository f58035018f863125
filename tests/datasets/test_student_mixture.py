import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from scipy.special import i0e
from scorebench.datasets import UsageError, get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.quadrature import grid
from scorebench.datasets.testing import DatasetConformance

CENTRES = np.array([[-2.5, -2.5], [-2.5, 2.5], [2.5, -2.5], [2.5, 2.5]])


class TestThree(DatasetConformance):
    straying = 0.05
    looks_like_a_point_from_afar = False

    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("student_mixture")


@pytest.mark.parametrize("dof", [2, 3, 30])
def test_formula_with_scipy(dof):
    x = 30 * np.random.default_rng(0).standard_t(2, (100, 2))
    parts = [stats.multivariate_t(c, 0.25 * np.eye(2), dof).pdf(x) for c in CENTRES]
    expected = np.log(np.array([0.1, 0.2, 0.3, 0.4]) @ parts)
    mine = get_dataset("student_mixture", dof=dof).log_prob(torch.from_numpy(x))
    np.testing.assert_allclose(mine, expected, rtol=1e-12)


@pytest.mark.parametrize("dof", [2, 3, 30])
@pytest.mark.parametrize("sigma", [1e-3, 0.1, 3.0])
def test_smoothing_by_adaptive_quadrature(dof, sigma):
    """A radial density convolved with a Gaussian of the plane: Rice's law, by scipy."""

    def component(square):
        r = math.sqrt(square)

        def integrand(rho):
            t = stats.multivariate_t([0, 0], 0.25 * np.eye(2), dof).pdf([rho, 0])
            rice = math.exp(-((r - rho) ** 2) / (2 * sigma**2)) * i0e(r * rho / sigma**2)
            return t * rho / sigma**2 * rice

        ends = max(0.0, r - 9 * sigma), r + 9 * sigma
        return quad(integrand, *ends, epsabs=0, epsrel=1e-9, points=[r])[0]

    x = np.array([[-2.5, -2.4], [0.3, -0.2], [9.0, -7.0]])
    squares = np.square(x[:, None] - CENTRES).sum(2)
    expected = np.log(np.vectorize(component)(squares) @ [0.1, 0.2, 0.3, 0.4])
    mine = get_dataset("student_mixture", dof=dof).log_prob(torch.from_numpy(x), sigma)
    np.testing.assert_allclose(mine, expected, atol=1e-8)


@pytest.mark.parametrize("dof", [2, 30])
def test_other_degrees_of_freedom_integrate_to_one_as_well(dof):
    for sigma in (0.0, 0.3):
        whole = grid(get_dataset("student_mixture", dof=dof), sigma, 0.6)
        assert whole.mass == pytest.approx(1, abs=1e-9)


def test_noise_vanishes_continuously():
    data = get_dataset("student_mixture")
    x = data.sample(200, torch.Generator().manual_seed(0))
    torch.testing.assert_close(data.log_prob(x, 1e-7), data.log_prob(x), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(data.score(x, 1e-7), data.score(x), rtol=1e-10, atol=1e-10)


def test_tails_fall_as_a_power():
    data = get_dataset("student_mixture", dof=4)
    x = torch.tensor([[1e3, 0.0], [1e4, 0.0]], dtype=torch.float64)
    for sigma in (0.0, 1.0):
        near, far = data.log_prob(x, sigma).tolist()
        assert near - far == pytest.approx(6 * math.log(10), abs=1e-2)


@pytest.mark.parametrize("dof", [1, 31, 2.5, True, "3"])
def test_impossible_degrees_of_freedom_are_refused(dof):
    with pytest.raises(UsageError, match="must be an integer from 2 to 30"):
        get_dataset("student_mixture", dof=dof)
