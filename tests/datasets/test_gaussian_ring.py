import math

import pytest
import torch
from scorebench.datasets import UsageError, get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.quadrature import monte_carlo
from scorebench.datasets.testing import DatasetConformance


class TestPlane(DatasetConformance):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("gaussian_ring", modes=5, noise=0.3, weights=[1, 2, 3, 4, 5])


class TestTenDimensions(DatasetConformance):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("gaussian_ring", dim=10)


def test_in_the_plane_it_is_8gaussians():
    ring, eight = get_dataset("gaussian_ring"), get_dataset("8gaussians")
    x = 8 * torch.rand(50, 2, dtype=torch.float64) - 4
    assert torch.equal(ring.log_prob(x, 0.2), eight.log_prob(x, 0.2))
    assert ring.entropy(0.2) == eight.entropy(0.2)
    assert ring.extent == eight.extent


@pytest.mark.parametrize("dim", [3, 100])
def test_other_coordinates_are_normal(dim):
    ring, plane = get_dataset("gaussian_ring", dim=dim), get_dataset("gaussian_ring")
    x = torch.randn(20, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for sigma in (0.0, 0.3):
        scale = torch.tensor(math.sqrt(1 / 8 + sigma**2), dtype=torch.float64)
        others = torch.distributions.Normal(0 * scale, scale).log_prob(x[:, 2:]).sum(1)
        expected = plane.log_prob(x[:, :2], sigma) + others
        torch.testing.assert_close(ring.log_prob(x, sigma), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dim", "sigma"), [(3, 0.0), (10, 0.3), (100, 0.1)])
def test_entropy_and_fisher_information_by_random_points(dim, sigma):
    """Five of the standard errors that the mean over random points promises."""
    ring = get_dataset("gaussian_ring", dim=dim)
    entropy, fisher = monte_carlo(ring, sigma)
    assert ring.entropy(sigma) == pytest.approx(entropy, abs=5e-3 * (1 + abs(entropy)))
    assert ring.fisher_information(sigma) == pytest.approx(fisher, abs=5e-3 * (1 + fisher))


def test_samples_in_a_hundred_dimensions():
    ring = get_dataset("gaussian_ring", dim=100, weights=range(1, 9))
    x = ring.sample(50_000, torch.Generator().manual_seed(0))
    share = torch.bincount(ring.assign(x), minlength=8) / 50_000
    expected = torch.arange(1, 9).double() / 36
    torch.testing.assert_close(ring.weights, expected)
    assert bool(((share - expected).abs() < 5 * (expected / 50_000).sqrt() + 1e-3).all())
    variance = x[:, 2:].var(0)
    assert bool(((8 * variance - 1).abs() < 6 * math.sqrt(2 / 50_000)).all())
    assert (x.abs() <= ring.extent).all(1).double().mean() > 0.99


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 1}, "dim = 1: it must be an integer from 2 to 100"),
        ({"dim": 101}, "dim = 101: it must be an integer from 2 to 100"),
        ({"dim": "x"}, "dim = 'x': it must be an integer"),
        ({"dim": 2.0}, "dim = 2.0: it must be an integer"),
        ({"dim": True}, "dim = True: it must be an integer"),
        ({"modes": 0}, "modes = 0: it must be an integer from 1 to 100"),
        ({"noise": 0}, "noise = 0: it must be a number from 0.1 to 1"),
        ({"noise": "0.3"}, "noise = '0.3': it must be a number"),
        ({"noise": math.nan}, "noise = nan"),
        ({"weights": [1, 2]}, "8 centres need 8 positive weights"),
        ({"weights": [1, 2, 3, 4, 5, 6, 7, -8]}, "positive weights"),
        ({"weights": "equal"}, "weights = 'equal': it must be a list of 8 positive numbers"),
        ({"dims": 3}, "did you mean 'dim'"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message) as caught:
        get_dataset("gaussian_ring", **options)
    assert "\n" not in str(caught.value)
