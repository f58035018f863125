import math
import time

import pytest
import torch
from scorebench.datasets import UsageError, get_dataset
from scorebench.datasets.tabulate import ScoreTable, fast_density, fast_score


def places(count: int) -> torch.Tensor:
    """Points of the data, of the box and from beyond every table."""
    generator = torch.Generator().manual_seed(6)
    data = get_dataset("2spirals").sample(count, generator)
    box = 9 * torch.rand(count, 2, dtype=torch.float64, generator=generator) - 4.5
    return torch.cat((data, box, 30 * box[: count // 10]))


@pytest.mark.parametrize("sigma", [0.0, 0.07, 0.3, 1.0, 10.0])
def test_table_equals_the_exact_score(sigma):
    spirals = get_dataset("2spirals")
    x = places(1500)
    table = fast_score(spirals, sigma)
    exact = spirals.score(x, sigma)
    error = (table(x) - exact).norm(dim=1)
    assert bool((error <= 1e-6 * (exact.norm(dim=1) + 1 / math.hypot(0.1, sigma))).all())


@pytest.mark.parametrize("sigma", [0.0, 0.3, 10.0])
def test_density_and_score_at_once_equal_the_exact_ones(sigma):
    spirals = get_dataset("2spirals")
    x = places(500)
    density, exact_score = spirals.log_prob(x, sigma), spirals.score(x, sigma)
    size = exact_score.norm(dim=1) + 1 / math.hypot(0.1, sigma)
    nearby = spirals.nearby(x, sigma)
    torch.testing.assert_close(nearby[0], density, rtol=1e-13, atol=1e-13)
    assert bool(((nearby[1] - exact_score).norm(dim=1) <= 1e-13 * size).all())
    log_density, score = fast_density(spirals, sigma)(x)
    assert (log_density - density).abs().max() < 1e-5
    assert bool(((score - exact_score).norm(dim=1) <= 1e-6 * size).all())
    assert torch.equal(spirals.nearby(x[7:9], sigma)[1], nearby[1][7:9])


def test_table_interpolates_nearly_everywhere():
    """Or it would be exact, and slow."""
    spirals = get_dataset("2spirals")
    for sigma in (0.0, 0.3):
        table = fast_score(spirals, sigma)
        assert isinstance(table, ScoreTable)
        assert table.trusted.double().mean() > 0.99


def test_table_is_quick():
    spirals = get_dataset("2spirals")
    table = fast_score(spirals, 0.1)
    x = spirals.sample(20_000, torch.Generator().manual_seed(7))
    table(x)
    started = time.perf_counter()
    table(x)
    per_point = (time.perf_counter() - started) / len(x)
    started = time.perf_counter()
    spirals.score(x[:1000], 0.1)
    exact_per_point = (time.perf_counter() - started) / 1000
    assert exact_per_point > 20 * per_point


def test_table_is_the_same_for_any_batch_and_made_once():
    spirals = get_dataset("2spirals")
    table = fast_score(spirals, 0.3)
    assert fast_score(spirals, 0.3) is table
    x = places(300)
    whole = table(x)
    for part in (slice(0, 1), slice(5, 12), slice(1, 500, 3), slice(599, 601)):
        assert torch.equal(table(x[part]), whole[part])
    assert torch.equal(ScoreTable(spirals, 0.3)(x), whole)


QUICK = [
    ("8gaussians", {}),
    ("swissroll", {}),
    ("moons", {}),
    ("funnel", {}),
    ("banana", {}),
    ("double_well", {}),
    ("many_well", {"dim": 8}),
    *(("student_mixture", {"dof": dof}) for dof in (2, 3, 30)),
]


@pytest.mark.parametrize(("name", "options"), QUICK)
@pytest.mark.parametrize("sigma", [0.0, 0.02, 0.3, 1.0, 10.0])
def test_quick_scores_equal_exact_ones(name, options, sigma):
    dataset, generator = get_dataset(name, **options), torch.Generator().manual_seed(8)
    x = dataset.sample(500, generator)
    x = x + sigma * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    x[::10] *= 3 if name in ("double_well", "many_well") else 1  # Beyond the table as well.
    box = dataset.extent * (2 * torch.rand(100, dataset.dim, generator=generator) - 1).double()
    x = torch.cat((x, box))
    log_density, at_once = fast_density(dataset, sigma)(x)
    assert (log_density - dataset.log_prob(x, sigma)).abs().max() < 1e-6
    score, exact = fast_score(dataset, sigma)(x), dataset.score(x, sigma)
    slack = 1e-6 * (exact.norm(dim=1) + 1 / math.hypot(dataset.noise, sigma))
    assert bool(((at_once - exact).norm(dim=1) <= slack).all())
    assert bool(((score - exact).norm(dim=1) <= slack).all())
    for part in (slice(0, 1), slice(3, 10), slice(1, 300, 2)):
        assert torch.equal(fast_score(dataset, sigma)(x[part]), score[part])


def test_table_at_its_border_and_on_broken_points():
    table = fast_score(get_dataset("2spirals"), 0.3)
    assert isinstance(table, ScoreTable)
    side = table.half_side
    x = torch.tensor([[side, -side], [math.nan, 0.0], [math.inf, 0.0], [-side, 0.0]]).double()
    score = table(x)
    assert bool(score[[0, 3]].isfinite().all())
    assert not bool(score[1].isfinite().any())
    assert table(x[:0]).shape == (0, 2)


def test_cheap_scores_are_exact():
    for name in ("8gaussians", "rings", "checkerboard"):
        dataset = get_dataset(name)
        x = places(20)
        assert torch.equal(fast_score(dataset, 0.2)(x), dataset.score(x, 0.2))


def test_no_table_of_a_score_that_is_not():
    with pytest.raises(UsageError, match="no score"):
        fast_score(get_dataset("checkerboard"), 0.0)
    with pytest.raises(UsageError, match="sigma"):
        fast_score(get_dataset("2spirals"), -1.0)
