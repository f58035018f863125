"""Trials of others: searches learn from them bit by bit, and never rank or choose them."""

import math

import optuna
import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.certificate import certify
from scorebench.studies.results import read_results
from scorebench.studies.rundir.read import read_rows, read_study
from scorebench.studies.specs.check import check
from scorebench.studies.specs.load import checked, load_study
from scorebench.studies.specs.stored import Journal
from scorebench.studies.study import run

from .conftest import contents, make_study
from .fake_engine import FakeEngine
from .test_require import trials
from .test_searchers import killed_at_every_batch

RATES = optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True)
SIGMAS = optuna.distributions.FloatDistribution(1e-3, 10.0, log=True)


def stored(path, study="theirs", count=12, directions=("minimize",), **changes):
    """Make a storage of another study, whose best sigma is 0.5; every fourth trial failed."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    other = optuna.create_study(storage=storage, study_name=study, directions=directions)
    for number in range(count):
        sigma = 0.2 + 0.05 * number
        params = {"sigma": sigma, "learning_rate": 1e-3, **changes}
        known = {"sigma": SIGMAS, "learning_rate": RATES}
        distributions = {
            name: known.get(name, optuna.distributions.FloatDistribution(0, 9)) for name in params
        }
        states = optuna.trial.TrialState
        failed = number % 4 == 3
        other.add_trial(
            optuna.trial.create_trial(
                params=params,
                distributions=distributions,
                state=states.FAIL if failed else states.COMPLETE,
                values=None if failed else [abs(sigma - 0.5)] * len(directions),
            )
        )
    storage.remove_session()
    return f"sqlite:///{path}"


def warmed(folder, warm, methods=("alpha",), **search):
    own = {"trials": 8, "batch": 4, "startup": 4, "warm": warm, **search}
    data = make_study(methods=list(methods), search={"trials": 1}).model_dump(mode="json")
    return checked({**data, "search": own}, "test", folder, FakeEngine())


def suggested(directory):
    rows = {row.slot.trial: row.suggested for row in read_rows(directory)
            if row.slot.phase == "search" and not row.slot.replicate}  # fmt: skip
    return [rows[number] for number in sorted(rows)]


def journal_of(directory, cell="alpha-ring-walk"):
    storage = optuna.storages.JournalStorage(Journal(directory / "optuna.journal"))
    return optuna.load_study(study_name=cell, storage=storage).trials


def test_a_search_learns_from_a_storage_and_does_not_count_it(tmp_path):
    before = stored(tmp_path / "x.db")
    database = (tmp_path / "x.db").read_bytes()
    study = warmed(tmp_path, "sqlite:///x.db")
    assert (tmp_path / "x.db").read_bytes() == database
    assert len(study.search.warm) == 9
    assert before not in study.to_toml()
    run(study, tmp_path / "run", engine=FakeEngine())
    assert len(trials(read_results(tmp_path / "run", FakeEngine()))) == 8
    found = suggested(tmp_path / "run")
    # Without them the first four are random over two decades.
    run(warmed(tmp_path, []), tmp_path / "cold", engine=FakeEngine())
    warm, cold = (
        sum(abs(math.log(values["sigma"] / 0.5)) for values in proposed[:4])
        for proposed in (found, suggested(tmp_path / "cold"))
    )
    assert warm < 0.7 * cold
    inside = journal_of(tmp_path / "run")
    assert [trial.user_attrs for trial in inside] == [{"foreign": True}] * 9 + [{}] * 8
    assert [trial.params for trial in inside[9:]] == found
    assert min(trial.value for trial in inside) == inside[6 - 1].value < 0.02
    winner = read_results(tmp_path / "run", FakeEngine()).query("phase == 'confirm'")
    assert winner["params.sigma"].iloc[0] in [values["sigma"] for values in found]


@pytest.mark.parametrize("sampler", ["tpe", "gp", "mine.py:Mine"])
def test_it_is_equal_bit_by_bit(sampler, tmp_path):
    code = (
        "import optuna\n\n\nclass Mine(optuna.samplers.TPESampler):\n"
        "    def __init__(self, seed):\n        super().__init__(seed=seed, n_startup_trials=3)\n"
    )
    (tmp_path / "mine.py").write_text(code)
    stored(tmp_path / "x.db")
    study = warmed(tmp_path, ["sqlite:///x.db"], sampler=sampler)
    run(study, tmp_path / "whole", engine=FakeEngine())
    (tmp_path / "x.db").unlink()
    for lose in (True,) if sampler == "gp" else (False, True):
        killed_at_every_batch(study, tmp_path / f"{lose}", lose=lose)
        assert contents(tmp_path / f"{lose}") == contents(tmp_path / "whole")
    if sampler == "tpe":
        # It is complete without the storage, and its searches run again the same.
        assert load_study(tmp_path / "whole", engine=FakeEngine()) == study
        assert not certify(tmp_path / "whole", rows=1.0, engine=FakeEngine()).replay.problems


def test_a_run_directory_gives_its_trials_to_its_cells(tmp_path):
    other = make_study(methods=["alpha", "beta", "gamma"], search={"trials": 8})
    run(other, tmp_path / "other", engine=FakeEngine())
    study = warmed(tmp_path, "other", ["beta", "gamma"], require=["sw2 <= 5"])
    own = trials(read_results(tmp_path / "other", FakeEngine()))
    for method in ("beta", "gamma"):
        given = [item for item in study.search.warm if item["for"] == f"{method}-ring-walk"]
        good = own.query("method == @method and state == 'ok' and mmd < inf")
        assert [item["values"] for item in given] == [[value] for value in good["mmd"]]
        assert [item["violations"]["sw2 <= 5"] <= 0 for item in given] == list(good["sw2"] <= 5)
        assert [item["params"]["sigma"] for item in given] == list(good["params.sigma"])
    run(study, tmp_path / "run", engine=FakeEngine())
    inside = journal_of(tmp_path / "run", "beta-ring-walk")
    expected = journal_of(tmp_path / "other", "beta-ring-walk")
    assert [trial.params for trial in inside[:8]] == [trial.params for trial in expected]
    assert all(len(trial.constraints) == 1 for trial in inside)


def test_a_journal_of_another_study_is_read(tmp_path):
    run(make_study(methods=["alpha", "beta"]), tmp_path / "other", engine=FakeEngine())
    source = {"storage": "other/optuna.journal", "study": "alpha-ring-walk"}
    study = warmed(tmp_path, {**source, "for": "alpha-*"}, ["alpha", "gamma"])
    assert len(study.search.warm) == 10
    check(study, FakeEngine())
    with pytest.raises(UsageError, match=r'has 2 studies: name one, .*study = "alpha'):
        warmed(tmp_path, "other/optuna.journal")
    with pytest.raises(UsageError, match="did you mean 'alpha-ring-walk'"):
        warmed(tmp_path, {**source, "study": "alpha-ring-wall"})


@pytest.mark.parametrize(
    ("changes", "warm", "search", "message"),
    [
        ({"depth": 3.0}, "sqlite:///x.db", {}, "unknown parameter of alpha-ring-walk in "),
        ({"sigma": 4.0}, "sqlite:///x.db", {}, r"search.warm: sigma = 4.0 is outside of its range"),
        ({"directions": ["maximize"]}, "sqlite:///x.db", {}, "has the directions maximize"),
        ({"directions": ["minimize"] * 2}, "sqlite:///x.db", {}, "directions minimize, minimize"),
        ({"count": 0}, "sqlite:///x.db", {}, "study 'theirs' has no finished trials"),
        ({}, "sqlite:///y.db", {}, r"there is no file '.*y\.db'"),
        ({}, "y.log", {}, "search.warm = 'y.log': there is no file"),
        ({}, "notes.txt", {}, "cannot be read as Optuna's storage"),
        ({}, "sqlite:///notes.txt", {}, "cannot be read as Optuna's storage"),
        ({}, "postgresql+psycopg://me:secret@127.0.0.1:1/x", {}, r"psycopg://\.\.\.' cannot be"),
        ({}, 3, {}, "search.warm: 3 is neither a run directory, a storage"),
        ({}, {"storage": "sqlite:///x.db", "name": "x"}, {}, "search.warm: .* is neither"),
        ({}, {"storage": "sqlite:///x.db", "for": "alhpa-*"}, {}, "cell in search.warm 'alhpa"),
        ({}, "sqlite:///x.db", {"sampler": "random"}, '"random" does not learn from trials'),
        ({}, "sqlite:///x.db", {"sampler": ["tpe", "cmaes"]}, '"cmaes" does not learn'),
        ({}, "sqlite:///x.db", {"require": ["mmd <= 1"]}, "do not say how they keep 'mmd <= 1'"),
    ],
)
def test_what_does_not_fit_is_refused(changes, warm, search, message, tmp_path):
    stored(tmp_path / "x.db", **changes)
    (tmp_path / "notes.txt").write_text("no storage\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UsageError, match=message) as refused:
        warmed(tmp_path, warm, **search)
    assert "secret" not in str(refused.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_parameter_that_is_missing_or_fixed_is_named(tmp_path):
    stored(tmp_path / "x.db")
    with pytest.raises(UsageError, match="a trial has no value of width, which gamma-ring-walk"):
        warmed(tmp_path, "sqlite:///x.db", ["gamma"])
    with pytest.raises(UsageError, match=r"sigma = 0\.2, which is 0\.3 in alpha-ring-walk"):
        warmed(tmp_path, "sqlite:///x.db", [{"name": "alpha", "sigma": 0.3}])


def test_a_study_of_the_winner_is_without(tmp_path):
    from scorebench.studies.winners import best

    stored(tmp_path / "x.db")
    study = warmed(tmp_path, "sqlite:///x.db", first=[{"sigma": 0.3}])
    run(study, tmp_path / "run", engine=FakeEngine())
    found = best(tmp_path / "run", "alpha", "ring", engine=FakeEngine())
    assert (found.search.warm, found.search.first) == ((), ())
    check(found, FakeEngine())
    assert read_study(tmp_path / "run").search.warm == study.search.warm
