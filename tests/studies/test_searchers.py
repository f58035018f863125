"""Searchers: grids and Optuna's algorithms cover the space, interrupted or not."""

import itertools

import optuna
import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.results import read_results
from scorebench.studies.specs.check import check_options
from scorebench.studies.specs.searchers import GridSearcher, SobolSearcher
from scorebench.studies.study import run

from .conftest import make_study

GRID = [
    {"name": "gamma", "sigma": {"choices": [0.1, 0.2, 0.3]}, "width": {"choices": [2, 5]}},
]


def proposals(directory, engine):
    table = read_results(directory, engine).query("phase == 'search' and replicate == 0")
    return table[[c for c in table.columns if c.startswith("params.")]].to_numpy().tolist()


def searching(sampler, trials=12, **fields):
    return make_study(
        methods=fields.pop("methods", ["alpha"]), datasets=["ring"], samplers=["walk"],
        search={"trials": trials, "batch": 4, "sampler": sampler, "startup": 4}, **fields,
    )  # fmt: skip


@pytest.mark.parametrize("sampler", ["tpe", "gp", "qmc", "random"])
def test_an_interrupted_search_proposes_the_same(sampler, tmp_path, engine):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(searching(sampler, 12), whole, engine=engine)
    # A search that grows meets the same situation as one that was stopped; and the journal, which
    # is where Optuna keeps what it remembers, is lost on the way.
    run(searching(sampler, 4), parts, engine=engine)
    (parts / "optuna.journal").unlink()
    run(searching(sampler, 12), parts, engine=engine)
    found = proposals(whole, engine)
    assert found == proposals(parts, engine)
    assert len({str(row) for row in found}) == 12


def test_a_grid_tries_everything_once(tmp_path, engine):
    study = searching("grid", 6, methods=GRID, training={"learning_rate": 0.1})
    check_options(study, engine)
    run(study, tmp_path / "run", engine=engine)
    table = read_results(tmp_path / "run", engine).query("phase == 'search' and replicate == 0")
    tried = set(zip(table["params.sigma"], table["params.width"], strict=True))
    assert tried == set(itertools.product([0.1, 0.2, 0.3], [2, 5]))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"methods": GRID, "trials": 5}, "has 6 combinations, and search.trials = 5: set it to 6"),
        ({"methods": ["alpha"]}, "needs the values of sigma: give the method a list, sigma = "),
        ({"methods": GRID, "training": {}}, "give training a list, learning_rate = "),
    ],
)
def test_incomplete_grids_are_refused(fields, message, engine):
    study = searching("grid", **{"training": {"learning_rate": 0.1}, **fields})
    with pytest.raises(UsageError, match=message):
        check_options(study, engine)


def test_sobol_points_fill_the_square_evenly():
    study = optuna.create_study(sampler=SobolSearcher(3, 0))
    for number in range(65):
        study.sampler = SobolSearcher(3, number)
        trial = study.ask()
        trial.suggest_float("a", 0, 1)
        trial.suggest_float("b", 0, 1)
        study.tell(trial, 0.0)
    # The first trial comes before the space is known; any 64 aligned points have one per box.
    points = [tuple(t.params[k] for k in "ab") for t in study.trials[1:]]
    boxes = [(int(8 * a), int(8 * b)) for a, b in points]
    assert len(set(boxes)) >= 63


def test_grid_numbers_are_digits():
    study = optuna.create_study(sampler=GridSearcher())
    seen = []
    for _ in range(6):
        trial = study.ask()
        seen.append((trial.suggest_categorical("a", [1, 2]), trial.suggest_int("c", 4, 4),
                     trial.suggest_categorical("b", "xyz")))  # fmt: skip
    assert seen == [(1, 4, "x"), (2, 4, "x"), (1, 4, "y"), (2, 4, "y"), (1, 4, "z"), (2, 4, "z")]
