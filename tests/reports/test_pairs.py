"""Pairs and rank tests: by hand, against scipy, and on studies whose order is known."""

import math

import numpy as np
import pytest
from scipy import stats
from scorebench.reports.pages.tables import table
from scorebench.reports.ranking.evidence import gather
from scorebench.reports.ranking.friedman import critical_difference, rank_sentence, rank_test
from scorebench.reports.ranking.pairs import pair_columns, pairs

from .conftest import study

MANY = tuple(f"d{i}" for i in range(8))


def test_pairs_say_who_is_better_and_what_would_decide_the_rest():
    found = {(p.first.label, p.second.label): p for p in pairs(gather(study(), "sw1"))}
    assert len(found) == 6
    clear = next(p for (a, b), p in found.items() if b == "ssm" and a == "ssm_vr")
    assert clear.winner is clear.first
    assert math.isnan(clear.more_seeds)
    tied = next(p for (a, b), p in found.items() if {a, b} == {"dsm", "deen"})
    assert tied.winner is None
    assert tied.more_seeds > 0
    shown = table(pair_columns, list(found.values()))
    entries = [field.text for row in shown.rows for field in row]
    assert "undecided" in entries
    assert "ssm_vr" in entries


def test_probability_of_improvement_has_the_exact_binomial_interval():
    for pair in pairs(gather(study(seed=3), "sw1")):
        wins = pair.outcome.improvement * 20
        assert pair.shared == 20
        expected = stats.binomtest(round(wins), 20).proportion_ci(0.95, "exact")
        assert pair.improvement == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_critical_difference_agrees_with_the_published_table():
    # Demšar 2006, table 5: q at 0.05 for 2 to 10 methods.
    for methods, quantile in {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 10: 3.164}.items():
        expected = quantile * math.sqrt(methods * (methods + 1) / (6 * 10))
        assert critical_difference(methods, 10) == pytest.approx(expected, rel=1e-3)


def test_few_datasets_get_a_sentence_and_no_test(results):
    evidence = gather(results, "sw1")
    assert rank_test(evidence) is None
    sentence = rank_sentence(evidence)
    assert sentence.startswith("No Friedman or Nemenyi test: with 4 datasets")
    assert "must differ by 2.3 mean ranks, of at most 3" in sentence


def test_enough_datasets_are_tested():
    evidence = gather(study(datasets=MANY, trials=1), "sw1")
    test = rank_test(evidence)
    assert test is not None
    losses = np.array(
        [[c.cells[d].loss.value for d in evidence.compared] for c in evidence.contestants]
    )
    assert test.p_value == pytest.approx(stats.friedmanchisquare(*losses).pvalue)
    assert list(test.ranks)[-1] == "ssm"
    assert sum(test.ranks.values()) == pytest.approx(10)
    assert any({"dsm", "deen"} <= set(group) for group in test.groups)
    assert not any({"dsm", "ssm"} <= set(group) for group in test.groups)
    assert "finds differences" in rank_sentence(evidence)


def test_friedman_finds_nothing_among_identical_methods():
    claims = 0
    for seed in range(12):
        results = study(seed, dict.fromkeys("abcd", 0.3), MANY, seeds=2, trials=1)
        test = rank_test(gather(results, "sw1"))
        assert test is not None
        claims += test.p_value < 0.05
    assert claims <= 2, "5 % of 12 and two standard errors is 2.1"


def test_two_methods_are_no_matter_of_friedman():
    evidence = gather(study(methods={"a": 0.3, "b": 0.5}, datasets=MANY, trials=1), "sw1")
    assert rank_sentence(evidence).startswith("No Friedman test")
