import math
from itertools import product

import pytest
import torch
from scorebench.datasets import UsageError, get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.testing import DatasetConformance


class TestFourModes(DatasetConformance):
    looks_like_a_point_from_afar = False

    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("many_well")


def test_in_the_plane_it_is_the_double_well():
    many, well = get_dataset("many_well", dim=2), get_dataset("double_well")
    x = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for sigma in (0.0, 0.2):
        assert torch.equal(many.log_prob(x, sigma), well.log_prob(x, sigma))
        assert torch.equal(many.score(x, sigma), well.score(x, sigma))
        assert many.entropy(sigma) == well.entropy(sigma)
        assert many.fisher_information(sigma) == well.fisher_information(sigma)


def test_wells_are_independent():
    many, well = get_dataset("many_well", dim=6), get_dataset("double_well")
    x = torch.randn(30, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = [well.log_prob(x[:, i : i + 2], 0.4) for i in (0, 2, 4)]
    torch.testing.assert_close(many.log_prob(x, 0.4), sum(parts), rtol=1e-13, atol=1e-13)


def test_the_published_normalising_constant():
    """FAB states log Z = log 11784.50927 a well; -E is x/2 + 6x² - x⁴ - y²/2 at a point."""
    many = get_dataset("many_well", dim=32)
    x = torch.full((1, 32), 1.7, dtype=torch.float64)
    log_weight = 16 * (1.7 / 2 + 6 * 1.7**2 - 1.7**4 - 1.7**2 / 2)
    # The Gaussian of the second coordinate is part of the published constant.
    constant = 16 * (math.log(11784.50927) + 0.5 * math.log(2 * math.pi))
    assert many.log_prob(x).item() == pytest.approx(log_weight - constant, abs=1e-7)


def test_modes_are_numbered_like_binary_digits():
    many = get_dataset("many_well", dim=6)
    right = get_dataset("double_well").weights[1].item()
    for number, sides in enumerate(product((-1.7, 1.7), repeat=3)):
        x = torch.zeros(1, 6, dtype=torch.float64)
        x[0, ::2] = torch.tensor(sides, dtype=torch.float64)
        assert many.assign(x).item() == number
        count = sum(side > 0 for side in sides)
        expected = right**count * (1 - right) ** (3 - count)
        assert many.weights[number].item() == pytest.approx(expected)
    assert len(get_dataset("many_well", dim=32).weights) == 2**16


@pytest.mark.parametrize(("dim", "sigma"), [(4, 0.0), (32, 0.3)])
def test_entropy_and_fisher_information_are_means_over_points(dim, sigma):
    many, n, generator = get_dataset("many_well", dim=dim), 4000, torch.Generator().manual_seed(0)
    x = many.sample(n, generator)
    x = x + sigma * torch.randn(x.shape, dtype=x.dtype, generator=generator)
    for value, values in (
        (many.entropy(sigma), -many.log_prob(x, sigma)),
        (many.fisher_information(sigma), many.score(x, sigma).square().sum(1)),
    ):
        assert value == pytest.approx(values.mean().item(), abs=5 * values.std().item() / n**0.5)


@pytest.mark.parametrize("dim", [1, 3, 34, 4.0, True, "4"])
def test_impossible_dimensions_are_refused(dim):
    with pytest.raises(UsageError, match="must be"):
        get_dataset("many_well", dim=dim)
