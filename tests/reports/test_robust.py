"""The interquartile mean against scipy, and its interval against simulation."""

import math

import numpy as np
import pytest
from scipy import stats
from scorebench.reports.ranking.robust import Middle, interquartile_mean


def test_agrees_with_scipy_where_quarters_are_whole():
    rng = np.random.default_rng(0)
    blocks = list(rng.normal(size=(4, 5)))
    expected = stats.trim_mean(np.concatenate(blocks), 0.25)
    assert interquartile_mean(blocks).value == pytest.approx(expected, rel=1e-12)


def test_every_dataset_counts_the_same_whatever_its_seeds():
    few, many = np.array([0.0, 1.0]), np.repeat([2.0, 3.0], 5)
    assert interquartile_mean([few, many]).value == pytest.approx(1.5, rel=1e-12)


def test_failures_are_bad_runs_until_they_are_a_quarter():
    fine = np.linspace(0, 1, 8)
    once = np.where(np.arange(8) == 0, math.inf, fine)
    found = interquartile_mean([once])
    assert found.value == pytest.approx(fine[3:7].mean(), rel=1e-12)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert interquartile_mean([np.where(np.arange(8) < 3, math.inf, fine)]).value == math.inf


def test_what_cannot_be_known_is_nan():
    assert math.isnan(interquartile_mean([]).value)
    assert math.isnan(interquartile_mean([np.array([1.0]), np.array([2.0, 3.0])]).low)
    assert interquartile_mean([np.full(4, 0.5)]) == Middle(0.5, 0.5, 0.5)


def test_the_same_values_give_the_same_interval():
    blocks = list(np.random.default_rng(1).normal(size=(3, 5)))
    assert interquartile_mean(blocks) == interquartile_mean(blocks)


def true_middle(at: np.ndarray, spreads: np.ndarray) -> float:
    """Interquartile mean of an equal mixture of normal laws, by quadrature."""
    ends = at.min() - 8 * spreads.max(), at.max() + 8 * spreads.max()
    grid = np.linspace(*ends, 400_001)
    below = stats.norm.cdf((grid[:, None] - at) / spreads).mean(axis=1)
    density = np.gradient(below, grid)
    inside = (below > 0.25) & (below < 0.75)
    return float((grid * density)[inside].sum() / density[inside].sum())


SITUATIONS = {
    "alike": ((0.0, 1.0, 2.0, 3.0), (1.0, 0.5, 0.7, 1.5)),
    "one is wild": ((0.0, 1.0, 2.0, 3.0), (0.1, 0.1, 0.1, 3.0)),
    "the best is wild": ((0.0, 1.0, 2.0, 3.0), (3.0, 0.1, 0.1, 0.1)),
    "a middle one is wild": ((0.0, 1.0, 2.0, 3.0), (0.1, 2.0, 0.1, 0.1)),
    "the last reaches over all": ((0.0, 5.0, 10.0, 15.0), (0.1, 0.1, 0.1, 5.0)),
}


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_intervals_cover_what_they_promise(seeds: int, situation: str):
    at, spreads = (np.array(numbers) for numbers in SITUATIONS[situation])
    truth = true_middle(at, spreads)
    rng = np.random.default_rng(seeds)
    studies, hits = 1000, 0
    for i in range(studies):
        values = at[:, None] + spreads[:, None] * rng.normal(size=(4, seeds))
        found = interquartile_mean(list(values), seed=i)
        hits += found.low <= truth <= found.high
    assert 0.93 - 0.014 <= hits / studies <= 0.97 + 0.014, "two standard errors of 1000 studies"


def test_a_wild_dataset_does_not_cost_the_promise():
    at, spreads = (np.array(numbers) for numbers in SITUATIONS["one is wild"])
    truth = true_middle(at, spreads)
    rng = np.random.default_rng(1)
    studies, hits = 300, 0
    for i in range(studies):
        values = at[:, None] + spreads[:, None] * rng.normal(size=(4, 3))
        found = interquartile_mean(list(values), seed=i)
        hits += found.low <= truth <= found.high
    assert 0.91 <= hits / studies <= 0.99, "a stratified bootstrap holds it in 78 % here"
