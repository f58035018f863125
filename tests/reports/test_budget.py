"""Expected best of m against enumeration and simulation; who leads on a budget by hand."""

import itertools
import math

import numpy as np
import pytest
from scorebench.reports.ranking.budget import (
    SearchPath,
    budget_sentences,
    budgets,
    expected_best,
    path,
)
from scorebench.reports.ranking.evidence import gather
from scorebench.reports.ranking.statistics import Estimate

from .conftest import fail, study

NOTHING = Estimate(math.nan, math.nan, math.nan)


@pytest.mark.parametrize("trials", [1, 2, 3, 6])
def test_expected_best_is_the_mean_over_all_ways_to_choose(trials: int):
    values = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.6])
    ways = [min(some) for some in itertools.combinations(values, trials)]
    assert expected_best(values, trials) == pytest.approx(np.mean(ways), rel=1e-12)


def test_failed_trials_only_matter_where_they_can_be_the_best():
    values = np.array([1.0, 2.0, math.inf])
    assert expected_best(values, 1) == math.inf
    assert expected_best(values, 2) == pytest.approx((1 + 1 + 2) / 3)


@pytest.mark.parametrize(("n", "trials"), [(20, 5), (40, 10), (60, 3)])
def test_intervals_of_random_search_cover_what_they_promise(n: int, trials: int):
    rng = np.random.default_rng(n)
    # The smallest of m exponential variables has mean 1/m.
    studies, hits, mean = 900, 0, 0.0
    for _ in range(studies):
        found = SearchPath(rng.exponential(size=n) + 1, np.ones(n), True, NOTHING).after(trials)
        low, high = found.interval()
        hits += low <= 1 + 1 / trials <= high
        mean += found.value / studies
    assert mean == pytest.approx(1 + 1 / trials, abs=0.01)
    assert 0.92 <= hits / studies <= 0.98


def test_a_guided_search_is_one_path():
    one = SearchPath(
        np.array([3.0, 5.0, 2.0]), np.array([1.0, 1.0, 4.0]), False, Estimate(0, 0.1, 4)
    )
    assert [one.after(m).value for m in (1, 2, 3)] == [3.0, 3.0, 2.0]
    assert math.isnan(one.after(4).value)
    assert one.within(5.9).value == 3.0
    assert one.within(6.0).value == 2.0
    assert math.isnan(one.within(6.1).value), "the search had ended before"
    assert one.after(3).half_width() == pytest.approx(2.776445 * 0.1, rel=1e-5)


def test_who_leads_after_a_budget():
    results = study(methods={"a": 0.3, "b": 0.8}, trials=12)
    evidence = gather(results, "sw1")
    table = budgets(evidence, independent=False)
    assert set(table["budget"]) == {5.0, 10.0}, "12 trials of 2.4 s reach 10 s, not 60"
    overall = table[(table["dataset"] == "all") & (table["unit"] == "trials")]
    assert overall.groupby("method")["leads"].all().to_dict() == {"a": True, "b": False}
    said = budget_sentences(evidence, table)
    assert said[0] == "After 5 trials per cell a leads."
    cell = evidence.on("rings")[0]
    rings = table[(table["dataset"] == "rings") & (table["budget"] == 5.0)].set_index("method")
    assert rings.loc["a", "value"] == path(cell, False).losses[:5].min()


def test_a_search_that_failed_leads_nowhere():
    results = study(methods={"a": 0.3, "b": 0.8}, trials=6)
    fail(results, (results.method == "a") & (results.phase == "search"))
    table = budgets(gather(results, "sw1"), independent=True)
    five = table[(table["budget"] == 5.0) & (table["unit"] == "trials")].set_index("method")
    assert not five.loc["a", "leads"].any()
    assert five.loc["b", "leads"].all()
