"""Requirements: infeasible configurations are never chosen, and searches learn them bit by bit."""

import math

import optuna
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scorebench.datasets.errors import UsageError
from scorebench.reports.pages.protocol import unconfirmed
from scorebench.reports.source import load
from scorebench.studies.plan import Plan
from scorebench.studies.results import read_csv, read_results
from scorebench.studies.rundir.read import read_rows
from scorebench.studies.specs.check import check_options
from scorebench.studies.specs.require import WORST, Requirement
from scorebench.studies.specs.searchers import SEARCHERS
from scorebench.studies.specs.spec import StudySpec
from scorebench.studies.study import run

from .conftest import contents, make_study
from .fake_engine import FakeEngine
from .test_searchers import killed_at_every_batch

# The value of sw2 has noise that mmd has not, so that the limit excludes the best trials.
LIMIT = "sw2 >= 1.2"


def limited(require, **search):
    own = {"trials": 16, "batch": 4, "startup": 4, "repeats": 1, **search, "require": require}
    return make_study(methods=own.pop("methods", ["beta"]), search=own)


def trials(table):
    return table.query("phase == 'search' and replicate == 0")


@pytest.mark.parametrize("name", ["tpe", "gp", "nsga2", "nsga3"])
def test_searches_under_limits_are_equal_bit_by_bit(name, tmp_path):
    own = {"sampler": {"name": name, "population_size": 4}} if "nsga" in name else {"sampler": name}
    study = limited([LIMIT], trials=12 if "nsga" in name else 8, startup=3, **own)
    run(study, tmp_path / "whole", engine=FakeEngine())
    for lose in (False, True) if name == "tpe" else (True,):
        killed_at_every_batch(study, tmp_path / f"{lose}", lose=lose)
        assert contents(tmp_path / f"{lose}") == contents(tmp_path / "whole")
    if name == "tpe":
        run(study, tmp_path / "workers", engine=FakeEngine(), workers=2)
        assert contents(tmp_path / "workers") == contents(tmp_path / "whole")


def test_optuna_is_told(tmp_path):
    study = limited([LIMIT, "train_evaluations <= 1e7"], methods=["gamma"], trials=40)
    run(study, tmp_path / "run", engine=FakeEngine())
    rows = {row.slot.trial: row for row in read_rows(tmp_path / "run")
            if row.slot.phase == "search" and not row.slot.replicate}  # fmt: skip
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "run" / "optuna.journal"))
    stored = optuna.load_study(
        study_name="gamma-ring-walk", storage=optuna.storages.JournalStorage(backend)
    ).trials
    assert len(stored) == 40
    for trial in stored:
        row = rows[trial.number]
        expected = (1.2 - row.loss("sw2")) / 1.2 if row.ok else WORST
        assert trial.constraints[LIMIT] == expected
        assert (trial.constraints["train_evaluations <= 1e7"] <= 0) == row.ok
        assert all(math.isfinite(value) for value in trial.constraints.values())
    assert {row.ok for row in rows.values()} == {True, False}


def test_a_search_learns_its_limits(tmp_path):
    found = {}
    for name, require in (("free", []), ("own", ["sw1 >= 1"])):
        tables = []
        for seed in range(3):
            study = limited(require, methods=["alpha"], trials=30)
            directory = tmp_path / f"{name}{seed}"
            run(study.model_copy(update={"seed": seed}), directory, engine=FakeEngine())
            tables.append(trials(read_results(directory, FakeEngine())).query("trial >= 12"))
        found[name] = (pd.concat(tables)["sw1"] >= 1).mean()
    assert found["own"] > found["free"] + 0.15


@pytest.mark.parametrize("race", [{}, {"race": 2}])
def test_infeasible_configurations_are_never_chosen(race, tmp_path):
    study = limited([LIMIT], sampler="random", finalists=4, repeats=2, **race)
    run(study, tmp_path / "run", engine=FakeEngine())
    table = read_results(tmp_path / "run", FakeEngine())
    tried = trials(table).set_index("trial")
    assert 0 < tried["feasible"].sum() < len(tried)
    best = tried["mmd"].idxmin()
    assert not tried["feasible"][best]
    chosen = set(table.query("phase == 'confirm' or replicate > 0 and phase == 'search'")["trial"])
    assert chosen
    assert tried["feasible"][list(chosen)].all()
    winner = table.query("phase == 'confirm'")["trial"].iloc[0]
    runs = table[(table["phase"] == "search") & (table["trial"] == winner)]
    counted = runs if race else runs.query("replicate > 0")
    assert counted["sw2"].mean() >= 1.2
    assert table.query("phase == 'reference'")["feasible"].isna().all()
    written = read_csv(tmp_path / "run" / "results.csv")
    assert (written["feasible"] == (written["sw2"] >= 1.2))[written["phase"] != "reference"].all()


def test_a_configuration_whose_mean_breaks_a_limit_is_dropped(tmp_path):
    """A trial may keep a limit by luck."""
    dropped = 0
    for seed in range(4):
        study = make_study(
            methods=["alpha"], seed=seed,
            search={"trials": 12, "finalists": 4, "repeats": 3, "require": ["sw2 <= 0.9"]},
        )  # fmt: skip
        run(study, tmp_path / str(seed), engine=FakeEngine())
        table = read_results(tmp_path / str(seed), FakeEngine())
        again = table.query("phase == 'search' and replicate > 0").groupby("trial")["sw2"].mean()
        winner = table.query("phase == 'confirm'")["trial"]
        if not again.empty:
            assert winner.empty if (again > 0.9).all() else again[winner.iloc[0]] <= 0.9
        dropped += (again > 0.9).sum()
    assert dropped


def test_a_cell_without_a_feasible_trial_says_so(tmp_path):
    study = limited(["sw2 <= -1", "train_evaluations <= 1e7"], methods=["alpha", "beta"])
    run(study, tmp_path / "run", engine=FakeEngine())
    source = load(tmp_path / "run")
    assert unconfirmed(source) == [
        f"{method} on ring (walk) confirmed nothing (no trial meets search.require: sw2 <= -1, "
        "train_evaluations <= 1e7)"
        for method in ("alpha", "beta")
    ]


def test_searchers_are_compared_under_the_same_limits(tmp_path):
    study = limited([LIMIT], sampler=["tpe", "random"], trials=12, restarts=2)
    run(study, tmp_path / "run", engine=FakeEngine())
    table = read_results(tmp_path / "run", FakeEngine())
    tried = trials(table).set_index(["searcher", "restart", "trial"])["feasible"]
    for place, rows in table.query("phase == 'search'").groupby(["searcher", "restart"]):
        for number in rows.query("replicate > 0")["trial"]:
            assert tried[(*place, number)]
        first = rows.query("replicate == 0 and trial < 5 and feasible")
        if len(first):
            best = first.loc[first["mmd"].idxmin(), "trial"]
            assert ((rows["trial"] == best) & (rows["replicate"] > 0)).any()
    assert load(tmp_path / "run").contests


def test_a_study_without_limits_is_written_as_before():
    assert "require" not in make_study().to_toml()
    study = limited([LIMIT])
    assert StudySpec.from_toml(study.to_toml()) == study
    assert Plan(study, FakeEngine()).study.search.requirements[0].limit == 1.2


@given(st.floats(-1e6, 1e6), st.floats(allow_nan=True, allow_infinity=True), st.booleans())
def test_a_violation_is_positive_where_a_limit_is_broken(limit, value, upper):
    requirement = Requirement("", "mmd", upper, limit)
    found = requirement.violation(value)
    assert abs(found) <= WORST
    if math.isfinite(value):
        assert (found <= 0) == (value <= limit if upper else value >= limit)
    else:
        assert found == WORST


@pytest.mark.parametrize(
    ("require", "message"),
    [
        (["sw22 <= 1"], "unknown number in search.require 'sw22'.*did you mean 'sw2'"),
        (["train_seconds <= 1"], "unknown number in search.require 'train_seconds'"),
        (["mmd < 1"], "'mmd < 1' is not of the form NAME <= NUMBER"),
        (["mmd <= nan"], "is not of the form NAME <= NUMBER"),
        (["mmd <= 1", "mmd <= 1"], "has a limit twice"),
        ("mmd <= 1", "search.require"),
    ],
)
def test_bad_limits_are_refused(require, message):
    with pytest.raises(UsageError, match=message):
        limited(require)


def test_a_search_algorithm_that_ignores_limits_is_refused():
    with pytest.raises(UsageError, match=r'"cmaes" does not regard search\.require'):
        check_options(limited([LIMIT], methods=["alpha"], sampler="cmaes"), FakeEngine())
    assert [name for name, kind in SEARCHERS.items() if not kind.constraints] == ["cmaes"]
