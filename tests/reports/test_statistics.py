"""Statistics against scipy where it has them, and against simulation where it has not."""

import math

import numpy as np
import pytest
from scipy import stats
from scorebench.reports.ranking.statistics import (
    Comparison,
    Estimate,
    compare,
    estimate,
    same_as_floor,
    seeds_needed,
)


def test_one_block_gives_the_t_interval():
    values = np.random.default_rng(0).normal(3, 2, size=7)
    expected = stats.ttest_1samp(values, 0)
    found = estimate([values])
    assert found.value == pytest.approx(values.mean(), rel=1e-14)
    assert found.interval(0.9) == pytest.approx(tuple(expected.confidence_interval(0.9)), rel=1e-12)
    assert found.p_value() == pytest.approx(expected.pvalue, rel=1e-12)


def test_two_blocks_agree_with_welch():
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 1, size=4), rng.normal(0.5, 3, size=9)
    welch = stats.ttest_ind(a, -b, equal_var=False)
    found = estimate([a, b])
    assert found.value == pytest.approx((a.mean() + b.mean()) / 2, rel=1e-12)
    assert found.freedom == pytest.approx(welch.df, rel=1e-12)
    assert found.p_value() == pytest.approx(welch.pvalue, rel=1e-12)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("datasets", [1, 4])
def test_intervals_cover_what_they_promise(seeds: int, datasets: int):
    rng = np.random.default_rng(100 * seeds + datasets)
    spreads = np.array([1.0, 0.5, 0.2, 2.0])[:datasets, None]
    studies = 5000
    hits = 0
    for values in rng.normal(size=(studies, datasets, seeds)) * spreads:
        low, high = estimate(list(values)).interval()
        hits += low <= 0 <= high
    assert 0.93 <= hits / studies <= 0.97


def test_what_cannot_be_known_is_nan():
    single = estimate([np.array([2.0])])
    assert single.value == 2.0
    assert math.isnan(single.half_width())
    failed = estimate([np.array([1.0, math.inf, 2.0])])
    assert failed.value == math.inf
    assert math.isnan(failed.half_width())
    assert math.isnan(estimate([]).value)
    assert math.isnan(estimate([np.array([1.0, 2.0]), np.array([])]).value)


def test_equal_values_leave_no_doubt():
    same = estimate([np.full(4, 0.25)])
    assert same.interval() == (0.25, 0.25)
    assert same.p_value() == 0.0
    assert estimate([np.zeros(4)]).p_value() == 1.0


def test_comparison_is_the_paired_t_test():
    rng = np.random.default_rng(2)
    shared = rng.normal(0, 5, size=6)
    a, b = shared + rng.normal(0, 0.1, size=6), shared + 0.3 + rng.normal(0, 0.1, size=6)
    outcome = compare([a], [b])
    assert outcome.p_value == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-10)
    assert outcome.first_is_better(0.95)
    assert not outcome.second_is_better(0.95)
    assert compare([b], [a]).second_is_better(0.95)
    assert stats.ttest_ind(a, b).pvalue > 0.5, "the pairing is what decides"


def test_improvement_counts_wins_and_half_of_ties():
    outcome = compare([np.array([1.0, 2.0, 3.0, math.inf])], [np.array([2.0, 2.0, 1.0, 5.0])])
    assert outcome.improvement == pytest.approx(1.5 / 4)


def test_a_failure_is_worst_and_decides_only_with_enough_evidence():
    fine = np.linspace(1, 2, 10)
    once = fine - 0.5
    once[3] = math.inf
    outcome = compare([once], [fine])
    assert outcome.difference.value == math.inf
    assert not outcome.first_is_better(0.95), "nine wins do not outweigh an infinite mean"
    assert not outcome.second_is_better(0.95)
    worse = fine + 0.5
    worse[3] = math.inf
    assert compare([worse], [fine]).second_is_better(0.99)
    assert compare([worse], [fine]).p_value == pytest.approx(2 * 0.5**10)


def test_who_always_fails_is_behind_who_never_does():
    fine, dead = np.array([1.0, 2.0, 3.0]), np.full(3, math.inf)
    assert compare([fine], [dead]).first_is_better(0.9999)
    assert compare([dead], [fine]).second_is_better(0.9999)
    assert compare([fine, fine], [fine, dead]).first_is_better(0.9999)
    both = compare([dead], [dead])
    assert not both.first_is_better(0.5)
    assert not both.second_is_better(0.5)
    two = compare([fine[:2]], [dead[:2]])
    assert not two.first_is_better(0.95), "two seeds are too few for that"


def test_no_common_seed_says_nothing():
    outcome = compare([np.array([])], [np.array([])])
    assert outcome.seeds == 0
    assert not outcome.first_is_better(0.5)


def test_seeds_needed_gives_the_promised_power():
    rng = np.random.default_rng(3)
    pilot = Comparison(Estimate(0.5, 1 / math.sqrt(4), 3), 0.5, 4, 0.4)
    n = int(seeds_needed(pilot, power=0.8))
    known = stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, 0.5 * math.sqrt(n))
    assert known >= 0.8
    draws = rng.normal(0.5, 1, size=(4000, n))
    assert (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(
        0.8, abs=0.03
    )
    fewer = draws[:, : n - 3]
    assert (stats.ttest_1samp(fewer, 0, axis=1).pvalue < 0.05).mean() < 0.8


def test_seeds_needed_where_nothing_can_be_said():
    assert math.isinf(seeds_needed(Comparison(Estimate(0.0, 1.0, 3), 0.5, 4, 1.0)))
    assert math.isinf(seeds_needed(Comparison(Estimate(1e-6, 1.0, 3), 0.5, 4, 1.0)))
    assert math.isnan(seeds_needed(Comparison(Estimate(1.0, math.nan, 0), 0.5, 1, math.nan)))


def test_truth_is_taken_for_truth_and_worse_is_not():
    rng = np.random.default_rng(4)
    said = [same_as_floor(rng.normal(size=5), rng.normal(size=20)) for _ in range(2000)]
    assert 0.92 <= np.mean(said) <= 0.98
    floor = rng.normal(size=20)
    assert not same_as_floor(floor[:5] + 3, floor)
    wild = np.array([-30.0, 40.0, 2.0, 35.0, -20.0])
    assert wild.mean() > np.quantile(floor, 0.95)
    assert not same_as_floor(wild, floor), "scatter is not quality"
    assert not same_as_floor(np.array([0.0, math.inf]), floor)
    assert not same_as_floor(np.array([]), floor)
    assert not same_as_floor(np.zeros(3), np.zeros(0))
