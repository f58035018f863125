"""Statistics of restarts: formulas are tested exactly, error rates by simulation."""

import math

import numpy as np
import pytest
from scipy import stats
from scorebench.reports.ranking.moderated import skewness, spreads
from scorebench.reports.ranking.rank_intervals import closure, rank_intervals
from scorebench.reports.ranking.restarts import (
    compare,
    probability_best,
    scores,
    still_possible,
)
from scorebench.reports.ranking.until_decided import decide, parts, restarts_needed, rounds

from ..calibration import end_to_end
from ..calibration import restarts as calibration

NORMAL, SKEWED = calibration.Law("normal"), calibration.Law("exponential")
NOISY = calibration.Law("normal", "method")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_two_restarts_of_two_methods_give_the_paired_t_test():
    losses = noise(2, 1, 2)
    expected = stats.ttest_rel(losses[0, 0], losses[1, 0])
    assert compare(losses).p_value == pytest.approx([expected.pvalue])
    low, high = compare(losses).interval(0.05)
    interval = stats.ttest_rel(losses[0, 0], losses[1, 0]).confidence_interval()
    assert (low[0], high[0]) == pytest.approx(tuple(interval))


def test_moderation_never_reduces_a_variance_and_adds_freedom():
    values = noise(200, 6, 4, 3)
    spread = spreads(values, 3, 0.2)
    sample = values.var(-1, ddof=1)
    assert (spread.variance >= sample * (1 - 1e-12)).all()
    assert (spread.borrowed > 0).all()
    assert (spread.borrowed <= 2 * 2).all(), "no more than the other independent cells have"


def test_unlike_spreads_borrow_less():
    alike = noise(6, 4, 5)
    unlike = alike * np.exp(2 * noise(6, 4, 1, seed=1))
    assert spreads(unlike, 3).borrowed.mean() < 0.5 * spreads(alike, 3).borrowed.mean()


def test_two_methods_borrow_nothing():
    assert (spreads(noise(1, 4, 3), 1).borrowed == 0).all()


def test_scale_and_shift_do_not_matter():
    losses = noise(4, 3, 4)
    scale = np.array([1e-6, 1.0, 1e6])[:, None]
    shared = 7 * noise(1, 3, 4, seed=2)
    second = slice(1, 2)
    plain = compare(losses, over=second).difference
    scaled = compare(losses * scale, over=second).difference
    assert scaled.error == pytest.approx(plain.error, rel=1e-9)
    assert compare(losses + shared).difference.error == pytest.approx(
        compare(losses).difference.error, rel=1e-9
    )


def test_intervals_and_claims_agree():
    losses = SKEWED.studies(np.random.default_rng(3), 300, 4, 2, 4)
    losses[:, 3] += 1.5
    comparisons = compare(losses)
    low, high = comparisons.interval(0.05)
    assert np.array_equal((low > 0) | (high < 0), comparisons.p_value < 0.05 / 6)


def test_shaffer_counts_the_hypotheses_that_can_still_be_true():
    assert still_possible(2).tolist() == [1]
    assert still_possible(3).tolist() == [3, 1, 1]
    assert still_possible(4).tolist() == [6, 3, 3, 3, 2, 1]
    assert still_possible(5).tolist() == [10, 6, 6, 6, 6, 4, 4, 3, 2, 1]


def test_claims_give_ranks():
    losses = 0.01 * noise(3, 2, 5) + np.arange(3.0)[:, None, None]
    assert rank_intervals(closure(compare(losses).better())) == [(1, 1), (2, 2), (3, 3)]


def test_one_restart_decides_nothing():
    losses = noise(3, 2, 1)
    assert np.isnan(compare(losses).p_value).all()
    assert not compare(losses).better().any()
    assert np.isnan(probability_best(losses)).all()
    assert np.isnan(restarts_needed(compare(losses))).all()
    assert np.isnan(scores(losses).interval(0.025)).all()
    assert scores(losses).value == pytest.approx(losses.mean((1, 2)))


def test_equal_methods_are_equal():
    losses = np.repeat(noise(1, 2, 4), 3, axis=0)
    assert compare(losses).p_value.tolist() == [1, 1, 1]
    assert probability_best(losses) == pytest.approx(np.full(3, 1 / 3))
    twins = np.concatenate([noise(2, 2, 4), noise(2, 2, 4)[:1]])
    assert compare(twins).p_value[1] == 1.0


def test_restarts_that_were_not_run_are_left_out():
    losses = noise(2, 1, 6)
    losses[:, 0, 4:] = math.nan
    assert compare(losses).p_value == pytest.approx(compare(losses[..., :4]).p_value)
    losses[1] = math.nan
    assert np.isnan(compare(losses).p_value).all()


def test_failures_are_compared_by_the_sign_test():
    losses = np.concatenate([noise(1, 1, 8), noise(1, 1, 8) + 9])
    losses[1, 0, 3] = math.inf
    comparisons = compare(losses)
    assert comparisons.p_value == pytest.approx([2 / 2**8])
    assert comparisons.direction.tolist() == [-1]
    assert np.isnan(comparisons.interval()[0]).all()
    assert scores(losses).value[1] == math.inf
    assert probability_best(losses).tolist() == [1, 0]


def test_a_method_that_always_fails_on_one_dataset_is_worse():
    losses = noise(2, 4, 6)
    losses[0, 2] = math.inf
    comparisons = compare(losses)
    assert comparisons.direction.tolist() == [1]
    assert comparisons.p_value[0] <= 4 * 4 * 0.25**6
    assert np.isinf(comparisons.difference.value[0])


def test_random_failures_make_no_winner():
    for restarts in (3, 5, 6):
        assert calibration.failures(0.5, 4, restarts, 1000).mean() < 0.065


def test_looks_spend_five_percent_in_all():
    assert rounds(12) == (3, 5, 8, 12)
    assert rounds(2) == (2,)
    assert parts(rounds(20), 20).sum() == pytest.approx(0.05)
    assert parts((3, 5), 20).sum() == pytest.approx(0.05 / 16)
    with pytest.raises(ValueError, match="must increase up to at most 8"):
        parts((3, 9), 8)


def test_a_claim_stands_at_later_looks():
    losses = NORMAL.studies(np.random.default_rng(5), 200, 4, 2, 12)
    losses[:, 3] += 1.5
    early, late = (decide(losses, looks, 12, 1.0) for looks in ((3, 5), (3, 5, 8, 12)))
    decided = early.direction != 0
    assert decided.any()
    assert np.array_equal(late.direction[decided], early.direction[decided])
    assert (late.small >= early.small).all()
    assert np.array_equal(late.open, late.settled_at == 0)
    assert np.array_equal(decide(losses[7], (3, 5), 12).direction, early.direction[7])


def test_smaller_differences_need_more_restarts():
    losses = NORMAL.studies(np.random.default_rng(6), 1, 4, 2, 4)[0]
    needed = []
    for difference in (0.2, 0.5, 1.0, 2.0):
        comparisons = compare(losses)
        comparisons.difference.value[:] = difference
        comparisons.p_value[:] = 1.0
        needed.append(restarts_needed(comparisons))
    assert (np.diff(needed, axis=0) <= 0).all()
    assert (needed[0] > needed[-1]).all()
    comparisons.difference.value[:] = 0.0
    assert np.isinf(restarts_needed(comparisons)).all()


def test_skewness_is_that_of_the_law():
    losses = SKEWED.draw(np.random.default_rng(7), (4, 4, 4000))
    assert skewness(losses) == pytest.approx(2, abs=0.2)
    assert skewness(noise(2, 2, 2)) == 0


@pytest.mark.parametrize("law", [NORMAL, SKEWED, NOISY], ids=str)
@pytest.mark.parametrize("restarts", [3, 5, 10])
def test_identical_methods_have_no_winner(law: calibration.Law, restarts: int):
    claims, _ = calibration.null_errors(law, 4, 4, restarts, 1000)
    assert claims.mean() < 0.065


@pytest.mark.parametrize("law", [NORMAL, SKEWED, NOISY], ids=str)
def test_identical_methods_have_no_winner_at_any_look(law: calibration.Law):
    assert calibration.null_errors_with_looks(law, 4, 4, 1000).mean() < 0.065


@pytest.mark.parametrize("restarts", [3, 5, 10])
def test_intervals_of_scores_cover_the_truth(restarts: int):
    for law in (NORMAL, SKEWED):
        here, _ = calibration.coverage(law, 4, restarts, 1000)
        assert 0.93 <= here.mean() <= 0.975


@pytest.mark.parametrize("restarts", [3, 5])
def test_moderation_increases_power(restarts: int):
    moderated, plain = calibration.power(NORMAL, 4, 4, restarts, 1000)
    assert moderated.mean() > plain.mean() + 0.1


def test_probability_best_is_calibrated():
    mean, frequency, size = calibration.best_calibration(NORMAL, 4, 4, 3, 600)
    assert float((np.abs(mean - frequency) * size).sum() / size.sum()) < 0.04


@pytest.mark.slow
def test_whole_studies_of_identical_methods_have_no_winner():
    """For the figures of ``docs/statistics.md``: ``python -m tests.calibration.end_to_end``."""
    for metric in end_to_end.NOISES:
        law = end_to_end.WholeStudies(metric, "", 60)
        for datasets in (1, 4):
            for restarts in (3, 5, 10):
                best, _ = end_to_end.claims(law, datasets, restarts)
                assert best.sum() <= 7, (metric, datasets, restarts)
            assert end_to_end.claims_with_looks(law, datasets)[0].sum() <= 7, (metric, datasets)
