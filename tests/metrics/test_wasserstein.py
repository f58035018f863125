"""The exact Wasserstein distance against permutations, closed forms and another library."""

from itertools import permutations

import pytest
import torch
from scorebench.bench.metrics.sliced_wasserstein import W2
from scorebench.datasets import UsageError

from .normal import Normal


def test_equals_the_best_of_all_permutations(generator):
    dataset = Normal(3)
    x, y = 2 * dataset.sample(6, generator), dataset.sample(6, generator)
    wanted = min(float((x[list(order)] - y).square().sum()) / 6 for order in permutations(range(6)))
    assert W2(dataset, y)(x) == pytest.approx(wanted**0.5, abs=1e-12)


def test_on_the_line_it_sorts(generator):
    dataset = Normal(1)
    x, y = 2 * dataset.sample(500, generator) + 1, dataset.sample(500, generator)
    wanted = float((x.sort(0).values - y.sort(0).values).square().mean().sqrt())
    assert W2(dataset, y)(x) == pytest.approx(wanted, abs=1e-12)


def test_a_shift_is_its_length(generator):
    dataset = Normal(2)
    x = dataset.sample(300, generator)
    assert W2(dataset, x)(x + torch.tensor([3.0, 4.0])) == pytest.approx(5, abs=1e-12)


def test_equals_another_library(generator):
    ot = pytest.importorskip("ot")
    dataset = Normal(4)
    x, y = 1.3 * dataset.sample(400, generator), dataset.sample(400, generator)
    weight = torch.full((400,), 1 / 400, dtype=torch.float64).numpy()
    wanted = ot.emd2(weight, weight, torch.cdist(x, y).square().numpy()) ** 0.5
    assert W2(dataset, y)(x) == pytest.approx(wanted, rel=1e-6)


def test_large_samples_are_thinned_evenly(generator):
    dataset = Normal(2)
    x, y = dataset.sample(90, generator), dataset.sample(45, generator)
    thinned = W2(dataset, y[torch.arange(30) * 45 // 30])(x[::3])
    assert W2(dataset, y, points=30)(x) == thinned


@pytest.mark.parametrize("points", [1, 10_001, 50.0, True])
def test_impossible_numbers_of_points_are_refused(points, generator):
    dataset = Normal(2)
    with pytest.raises(UsageError, match=r"must be an integer from 2 to 10000"):
        W2(dataset, dataset.sample(5, generator), points=points)
