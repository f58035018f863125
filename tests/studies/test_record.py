"""A recorded search is a problem for Optuna: its losses are those of the rows, seed by seed."""

import json
import math
import subprocess
import sys

import numpy as np
import optuna
import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.record import record
from scorebench.studies.recorded import RecordedProblem, read_table
from scorebench.studies.results import read_results
from scorebench.studies.study import run

from .conftest import make_study
from .fake_engine import FakeEngine
from .test_front import Costly, trading

SEARCH = {"trials": 12, "sampler": "random", "finalists": 12, "repeats": 3}


def recordable(**changes):
    return make_study(**{"methods": ["alpha", "gamma"], "search": SEARCH, **changes})


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    directory = tmp_path_factory.mktemp("recorded") / "small"
    run(recordable(), directory, engine=FakeEngine())
    return directory


@pytest.fixture(scope="module")
def made(ran):
    return record(ran, ran.parent / "out", FakeEngine())


def test_every_configuration_has_the_losses_of_its_rows(ran, made):
    rows = read_results(ran, FakeEngine()).query("phase == 'search'")
    assert (made.cells, made.seeds) == (2, 4)
    for name in RecordedProblem.names(made.directory / "recorded.json"):
        problems = [RecordedProblem(made.directory / "recorded.json", name, k) for k in range(4)]
        own = rows[rows.method == name.partition("-")[0]]
        for trial in own.query("replicate == 0").itertuples():
            params = {"sigma": own.loc[trial.Index, "params.sigma"]}
            if name.startswith("gamma"):
                params["width"] = int(own.loc[trial.Index, "params.width"])
            params["learning_rate"] = own.loc[trial.Index, "params.learning_rate"]
            for k, problem in enumerate(problems):
                row = own[(own.trial == trial.trial) & (own.replicate == k)]
                good = len(row) and row.state.iloc[0] == "ok" and math.isfinite(row.mmd.iloc[0])
                expected = row.mmd.iloc[0] if good else math.nan
                assert problem.evaluate(params) == pytest.approx(expected, rel=1e-6, nan_ok=True)
        means = own[own.state == "ok"].groupby("trial").mmd.mean()
        assert problems[0].best == pytest.approx(means[np.isfinite(means)].min(), rel=1e-6)
        truth = read_results(ran, FakeEngine()).query("method == 'truth'")
        assert problems[0].floor == pytest.approx(truth.mmd.mean(), rel=1e-6)


def test_between_configurations_the_nearest_answers(made):
    path = made.directory / "recorded.json"
    problem = RecordedProblem(path, "alpha-ring-walk", 2)
    cell = read_table(path)["cells"]["alpha-ring-walk"]
    generator = np.random.default_rng(0)
    names = list(cell["space"])
    unit = {"sigma": (0.01, 1.0), "learning_rate": (1e-4, 1e-2)}
    for _ in range(50):
        at = {n: float(np.exp(generator.uniform(*np.log(unit[n])))) for n in names}
        far = [
            sum((math.log(p[n] / at[n]) / math.log(unit[n][1] / unit[n][0])) ** 2 for n in names)
            for p in (dict(zip(names, values, strict=True)) for values in cell["params"])
        ]
        nearest = int(np.argmin(far))
        assert problem.evaluate(at) == cell["losses"]["mmd"][nearest][2]
        assert problem.true_loss(at) == pytest.approx(np.mean(cell["losses"]["mmd"][nearest]))


def test_optuna_minimises_it_to_the_known_best(made):
    problem = RecordedProblem(made.directory / "recorded.json", "alpha-ring-walk", 1)
    study = optuna.create_study(
        directions=problem.directions, sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(problem, n_trials=200)
    assert problem.best <= problem.true_loss(study.best_params) <= problem.best + 0.3
    assert study.best_value == np.nanmin(problem.cell.losses["mmd"][:, 1])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"sigma": 0.1}, "learning_rate"),
        ({"sigma": 3.0, "learning_rate": 1e-3}, "outside of the recorded range, 0.01 to 1.0"),
        ({"sigma": "big", "learning_rate": 1e-3}, "outside of the recorded range"),
    ],
)
def test_what_was_not_recorded_is_refused(made, params, message):
    with pytest.raises(ValueError, match=message):
        RecordedProblem(made.directory / "recorded.json", "alpha-ring-walk").evaluate(params)
    with pytest.raises(ValueError, match="from 0 to 3"):
        RecordedProblem(made.directory / "recorded.json", "alpha-ring-walk", 4)
    with pytest.raises(ValueError, match="there are alpha-ring-walk, gamma-ring-walk"):
        RecordedProblem(made.directory / "recorded.json", "beta-ring-walk")


def test_it_works_where_scorebench_is_not_installed(made):
    script = (
        "import sys; sys.modules['scorebench'] = None\n"
        "import optuna\nfrom recorded import RecordedProblem\n"
        "problem = RecordedProblem('recorded.json', 'gamma-ring-walk', seed=3)\n"
        "study = optuna.create_study(directions=problem.directions)\n"
        "optuna.logging.set_verbosity(optuna.logging.ERROR)\n"
        "study.optimize(problem, n_trials=30)\n"
        "print(problem.true_loss(study.best_params) >= problem.best)\n"
        "print(sorted(n for n in sys.modules if n.startswith(('scorebench.', 'torch', 'pandas'))))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, '.')\n{script}"],
        cwd=made.directory, capture_output=True, text=True, env={},
    )  # fmt: skip
    assert done.stdout.splitlines() == ["True", "[]"], done.stderr


def test_several_objectives_are_recorded(tmp_path):
    study = trading(search={**SEARCH, "finalists": 12}, methods=["alpha"])
    run(study, tmp_path / "run", engine=Costly())
    made = record(tmp_path / "run", tmp_path / "out", Costly())
    problem = RecordedProblem(made.directory / "recorded.json", "alpha-ring-walk")
    assert len(problem.directions) == 2
    found = optuna.create_study(directions=problem.directions)
    found.optimize(problem, n_trials=5)
    assert all(trial.values[1] >= 100 for trial in found.trials)
    assert math.isnan(problem.floor)  # the truth has no training steps, so its rows failed


def test_a_race_that_drops_nothing_is_recorded_too(tmp_path):
    run(recordable(search={**SEARCH, "race": 2}), tmp_path / "run", engine=FakeEngine())
    assert record(tmp_path / "run", tmp_path / "out", FakeEngine()).seeds == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search": {**SEARCH, "repeats": 0}}, r"12 of 12 trials of alpha.* have no replicates"),
        ({"search": {**SEARCH, "finalists": 3}}, r"9 of 12 trials of alpha.* have no replicates"),
        ({"search": {**SEARCH, "race": 2, "finalists": 2}}, "have no replicates on every seed"),
        ({"search": {**SEARCH, "sampler": "tpe"}}, "searched by tpe, whose trials crowd"),
        ({"search": {**SEARCH, "restarts": 2}}, "2 restarts, and a table has one search per cell"),
        ({"methods": ["delta"]}, "all trials of delta-ring-walk failed"),
        ({"methods": ["beta"]}, "the search space of beta-ring-walk branches"),
        ({"methods": [{"name": "epsilon", "learning_rate": 0.1}]}, "searches nothing"),
    ],
)  # fmt: skip
def test_what_cannot_be_recorded_is_refused(tmp_path, changes, message):
    run(recordable(**changes), tmp_path / "run", engine=FakeEngine())
    with pytest.raises(UsageError, match=message):
        record(tmp_path / "run", tmp_path / "out", FakeEngine())
    assert not (tmp_path / "out").exists()


def test_an_unfinished_search_is_refused(ran, tmp_path):
    lines = (ran / "runs.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "run").mkdir()
    for path in ran.iterdir():
        if path.is_file():
            (tmp_path / "run" / path.name).write_bytes(path.read_bytes())
    search = [n for n, line in enumerate(lines) if json.loads(line).get("phase") == "search"]
    (tmp_path / "run" / "runs.jsonl").write_bytes(b"".join(lines[: search[5]]))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file"):
        record(ran, tmp_path / "file", FakeEngine())
    with pytest.raises(UsageError, match=r"5 of 12 trials: finish the study first|0 of 12"):
        record(tmp_path / "run", tmp_path / "out", FakeEngine())
    with pytest.raises(UsageError, match=r"not a run directory|no study"):
        record(tmp_path, tmp_path / "out", FakeEngine())
