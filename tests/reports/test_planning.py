"""A planned study has the power that was promised, and its report holds it to its claims."""

import tomllib

import numpy as np
import pytest
from scipy import stats
from scorebench.datasets.errors import UsageError
from scorebench.reports.publishing import planning
from scorebench.reports.publishing.planning import Spread, planned, power_of
from scorebench.reports.ranking.claims import claims, planned_sentences
from scorebench.reports.ranking.evidence import gather
from scorebench.studies.specs.load import load_study
from scorebench.studies.specs.spec import StudySpec

from .conftest import study as results_of

ONE = Spread(np.array([0.02**2 * 2]), np.array([0.0]))


@pytest.mark.parametrize("restarts", [5, 10, 30])
@pytest.mark.parametrize("effect", [0.5, 1.0])
def test_power_of_two_methods_is_that_of_the_paired_t_test(restarts, effect):
    sd = ONE.searches[0] ** 0.5
    critical = stats.t.isf(0.025, restarts - 1)
    exact = stats.nct.sf(critical, restarts - 1, effect * restarts**0.5)
    simulated = power_of(ONE, 2, restarts, 1, effect * sd)
    # The test of the report also allows for skewness, which it estimates.
    assert exact - 0.25 < simulated < exact + 0.04


def test_seeds_help_as_far_as_the_spread_is_theirs():
    of_seeds = Spread(np.array([0.0]), np.array([0.02**2]))
    few, many = (power_of(of_seeds, 3, 5, seeds, 0.02) for seeds in (1, 4))
    assert many > few + 0.2
    alike = [power_of(ONE, 3, 5, seeds, 0.04) for seeds in (1, 4)]
    assert alike[0] == pytest.approx(alike[1], abs=0.06)


@pytest.mark.parametrize("difference", [0.05, 0.1])
def test_realised_power_is_within_five_points_of_the_promised(difference):
    spec, found = planned("quick", difference, spread=0.02)
    chosen = found[0]
    assert chosen.power >= 0.8
    count = len(spec.datasets)
    spread = Spread(np.full(count, 2 * count * 0.02**2), np.zeros(count))
    realised = power_of(spread, len(spec.methods), chosen.restarts, chosen.seeds, difference, 1)
    assert abs(realised - chosen.power) <= 0.05
    if chosen.restarts > 3:
        fewer = power_of(
            spread, len(spec.methods), chosen.restarts - 1, chosen.seeds, difference, 1
        )
        assert fewer < realised + 0.03


def test_a_pilot_shows_how_much_of_the_spread_is_that_of_seeds():
    rng, searches, within = np.random.default_rng(0), 0.03, 0.02
    table = results_of(seeds=40, spread=0.0, shared=0.0)
    confirm = table["phase"] == "confirm"
    table["restart"] = np.where(confirm, table["replicate"] // 4, 0)
    table.loc[confirm, "replicate"] = table.loc[confirm, "replicate"] % 4
    keys = table.loc[confirm, ["method", "dataset", "restart"]].apply(tuple, axis=1)
    shift = {key: searches * rng.normal() for key in sorted(set(keys))}
    noise = within * rng.normal(size=confirm.sum())
    table.loc[confirm, "sw1"] += keys.map(shift).to_numpy() + noise
    evidence = gather(table, "sw1")
    spread = planning.pilot_spread(evidence)
    scale = np.array([evidence.on(name)[0].scale for name in evidence.compared])
    assert np.sqrt(spread.seeds) * scale == pytest.approx(within, rel=0.2)
    assert np.sqrt(spread.searches / 2) * scale == pytest.approx(searches, rel=0.35)


def test_a_study_is_registered_and_a_change_of_it_shows():
    spec, _ = planned("quick", 0.1, spread=0.03, claims=["ssm_vr < dsm", "ssm < deen on rings"])
    assert StudySpec.from_toml(spec.to_toml()) == spec
    assert spec.as_planned
    assert len(spec.plan.hash) == 64
    more = spec.model_copy(update={"seed": spec.seed + 1})
    assert not more.as_planned
    evidence = gather(results_of(), "sw1")
    assert "as it was registered" in planned_sentences(evidence, spec)[0]
    assert "changed after registration" in planned_sentences(evidence, more)[0]
    assert planned_sentences(evidence, load_study("quick")) == []


def test_claims_are_confirmed_contradicted_or_open():
    spec, _ = planned(
        "quick", 0.1, spread=0.03, claims=["dsm < ssm", "ssm < dsm on rings", "dsm < deen"]
    )
    table = results_of()
    table["restart"] = np.where(table["phase"] == "confirm", table["replicate"], 0)
    table.loc[table["phase"] == "confirm", "replicate"] = 0
    outcomes = [claim.outcome for claim in claims(gather(table, "sw1"), spec.plan)]
    assert outcomes == ["confirmed", "contradicted", "open"]
    single = claims(gather(results_of(), "sw1"), spec.plan)
    assert {claim.outcome for claim in single} == {"not tested"}


def test_a_study_without_a_plan_is_written_as_before():
    assert "plan" not in tomllib.loads(load_study("quick").to_toml())


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"spread": 0.1, "claims": ["dsm > ssm"]}, 'not of the form "A < B"'),
        ({"spread": 0.1, "claims": ["dsm < sm"]}, "did you mean 'ssm'"),
        ({"spread": 0.1, "claims": ["dsm < ssm on ring"]}, "did you mean 'rings'"),
        ({"spread": 0.1, "power": 1.5}, "plan.power = 1.5"),
        ({"spread": -0.1}, "should be a positive number"),
        ({}, "either --pilot DIR or --spread SD"),
        ({"spread": 5.0}, "cannot be detected with 500 restarts"),
    ],
)
def test_impossible_plans_are_refused(arguments, refusal):
    with pytest.raises(UsageError, match=refusal):
        planned("quick", 0.01, **arguments)
