"""Ranks that claim no more than the seeds carry, by hand and by simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats
from scorebench.reports.ranking.rank_intervals import (
    beats,
    closure,
    common,
    probability_best,
    rank_intervals,
)


def contestants(values: np.ndarray) -> list:
    """From shape (contestants, datasets, seeds)."""
    seeds = np.arange(values.shape[-1], dtype=float)
    return [[(seeds, block) for block in one] for one in values]


def test_closure_draws_every_conclusion():
    better = np.zeros((4, 4), dtype=bool)
    better[0, 1] = better[1, 2] = better[2, 3] = True
    assert np.array_equal(closure(better), np.triu(np.ones((4, 4), dtype=bool), 1))
    assert better.sum() == 3, "the input is left alone"


def test_rank_intervals_hold_every_order_that_fits():
    rng = np.random.default_rng(0)
    for _ in range(50):
        hidden = rng.permutation(5)
        better = np.triu(rng.random((5, 5)) < 0.3, 1)[np.ix_(hidden, hidden)]
        fitting = [
            order
            for order in itertools.permutations(range(5))
            if all(order.index(i) < order.index(j) for i, j in np.argwhere(better))
        ]
        for i, (low, high) in enumerate(rank_intervals(better)):
            places = [order.index(i) + 1 for order in fitting]
            assert (low, high) == (min(places), max(places))


def test_equal_values_are_ties():
    values = np.tile(np.random.default_rng(0).normal(size=(1, 2, 5)), (3, 1, 1))
    assert not beats(contestants(values)).any()


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("datasets", [1, 4])
def test_identical_methods_rarely_have_a_winner(seeds: int, datasets: int):
    rng = np.random.default_rng(10 * seeds + datasets)
    studies, claims, winners = 300, 0, 0
    for _ in range(studies):
        values = rng.normal(size=(4, datasets, seeds)) + 2 * rng.normal(size=(1, datasets, seeds))
        better = beats(contestants(values))
        claims += bool(better.any())
        winners += (1, 1) in rank_intervals(better)
    assert winners / studies <= 0.05
    assert claims / studies <= 0.088, "5 % and three standard errors of 300 studies"


def test_identical_methods_that_fail_at_random_rarely_have_a_winner():
    rng = np.random.default_rng(5)
    studies, winners = 300, 0
    for _ in range(studies):
        values = rng.normal(size=(4, 1, 5))
        values[rng.random(values.shape) < 0.4] = math.inf
        winners += (1, 1) in rank_intervals(beats(contestants(values)))
    assert winners / studies <= 0.05


def test_real_differences_are_found():
    rng = np.random.default_rng(6)
    found = 0
    for _ in range(100):
        levels = np.arange(4)[:, None, None]
        values = levels + 0.3 * rng.normal(size=(4, 4, 5)) + rng.normal(size=(1, 4, 5))
        found += rank_intervals(beats(contestants(values))) == [(i, i) for i in range(1, 5)]
    assert found >= 95


def test_only_common_seeds_are_compared():
    first = [(np.array([0.0, 1.0, 2.0]), np.array([10.0, 11.0, 12.0]))]
    second = [(np.array([2.0, 0.0, 7.0]), np.array([22.0, 20.0, 27.0]))]
    left, right = common(first, second)
    assert left[0].tolist() == [10.0, 12.0]
    assert right[0].tolist() == [20.0, 22.0]


def test_probability_of_a_pair_agrees_with_quadrature():
    rng = np.random.default_rng(7)
    values = rng.normal(size=(2, 1, 4)) + 3 * rng.normal(size=(1, 1, 4))
    values[1] += 1.5
    differences = values[0, 0] - values[1, 0]
    t = differences.mean() / (differences.std(ddof=1) / 2)

    def weight(shrink: float) -> float:
        return math.sqrt(shrink) * math.exp(-shrink * t**2 / 2)

    total = integrate.quad(weight, 0, 1)[0]
    expected = integrate.quad(
        lambda b: weight(b) / total * stats.t.cdf(-math.sqrt(1 - b) * t, 3), 0, 1
    )[0]
    chances = probability_best(contestants(values), draws=400_000)
    assert chances[0] == pytest.approx(expected, abs=0.005)
    assert chances.sum() == pytest.approx(1)
    assert 0.5 < abs(t) < 4, "a tie would not test anything"


def test_probabilities_are_repeatable_and_failures_are_never_best():
    values = np.random.default_rng(8).normal(size=(3, 2, 5))
    values[1, 0, 2] = math.inf
    chances = probability_best(contestants(values))
    assert chances[1] == 0
    assert np.array_equal(chances, probability_best(contestants(values)))
    assert probability_best(contestants(np.full((2, 1, 3), math.inf))).tolist() == [0.5, 0.5]
    assert np.isnan(probability_best(contestants(values[:, :, :1]))).all()


@pytest.mark.parametrize(("datasets", "seeds"), [(1, 5), (4, 3)])
def test_probability_best_means_what_it_says(datasets: int, seeds: int):
    rng = np.random.default_rng(9)
    said, right = [], []
    for study in range(2000):
        shrink = rng.uniform(0.02, 1)
        levels = rng.normal(size=4) * math.sqrt((1 - shrink) / shrink)
        noise = rng.normal(size=(4, datasets, seeds)) * math.sqrt(datasets * seeds)
        shared = 5 * rng.normal(size=(1, datasets, seeds))
        values = levels[:, None, None] + noise + shared
        said.append(probability_best(contestants(values), seed=study, draws=300))
        right.append(np.arange(4) == levels.argmin())
    chances, truth = np.array(said), np.array(right)
    top = chances == chances.max(axis=1, keepdims=True)
    assert chances[top].mean() == pytest.approx(truth[top].mean(), abs=0.03)
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1.01)):
        chosen = (chances >= low) & (chances < high)
        assert chances[chosen].mean() == pytest.approx(truth[chosen].mean(), abs=0.04)


def test_identical_methods_get_no_confident_favourite():
    rng = np.random.default_rng(10)
    tops = [
        probability_best(contestants(rng.normal(size=(4, 4, 3))), seed=i, draws=300).max()
        for i in range(400)
    ]
    assert np.mean(np.array(tops) > 0.95) <= 0.01
