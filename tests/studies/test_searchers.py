"""Searchers: grids and Optuna's algorithms cover the space, interrupted or not."""

import contextlib
import inspect
import itertools
import json
import shutil

import optuna
import pytest
from scorebench.bench.spec import RunSpec
from scorebench.datasets.errors import UsageError
from scorebench.studies.certificate import certify
from scorebench.studies.execution.events import RunsFinished
from scorebench.studies.results import read_results
from scorebench.studies.rundir.read import read_rows
from scorebench.studies.specs.check import check_options
from scorebench.studies.specs.entries import Entry
from scorebench.studies.specs.load import parse
from scorebench.studies.specs.optuna_samplers import GridSearcher, SobolSearcher
from scorebench.studies.specs.searchers import SEARCHERS, Searcher
from scorebench.studies.study import run

from .conftest import contents, make_study
from .fake_engine import FakeEngine

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


# Enough trials for several generations, and a space that suits the searcher.
SUITED = {
    "tpe": {"sampler": {"name": "tpe", "n_ei_candidates": 12}},
    "gp": {"trials": 9},
    "cmaes": {"methods": ["gamma"], "sampler": {"name": "cmaes", "popsize": 4}, "trials": 24},
    "nsga2": {"sampler": {"name": "nsga2", "population_size": 5}, "trials": 24},
    "nsga3": {"sampler": {"name": "nsga3", "population_size": 5}, "trials": 24},
    "grid": {"methods": GRID, "trials": 6, "training": {"learning_rate": 0.1}},
    "brute_force": {"methods": GRID, "trials": 6, "training": {"learning_rate": 0.1}},
}


def suited(name, **changes):
    fields = {"sampler": name, "methods": ["beta"], **SUITED.get(name, {}), **changes}
    return searching(fields.pop("sampler"), fields.pop("trials", 16), **fields)


class Killed(BaseException):
    pass


def killed_at_every_batch(study, directory, *, lose=False, kill=True, **options):
    """Run a study whose process ends after every batch of trials; the storage may be lost too."""
    for _ in range(50):
        before = len(read_rows(directory)) if directory.exists() else 0

        def listen(event, before=before):
            if isinstance(event, RunsFinished) and len(read_rows(directory)) >= before + 4:
                raise Killed

        try:
            run(study, directory, engine=FakeEngine(), listener=listen if kill else None, **options)
        except Killed:
            pass
        else:
            return
        if lose:
            (directory / "optuna.journal").unlink(missing_ok=True)
    raise AssertionError("it never ended")


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_search_ends_the_same_however_often_it_is_disturbed(name, tmp_path):
    study = suited(name)
    run(study, tmp_path / "whole", engine=FakeEngine())
    tried = {str(row) for row in proposals(tmp_path / "whole", FakeEngine())}
    assert len(tried) >= study.search.trials - (name == "gp")
    for lose in (False, True):
        killed_at_every_batch(study, tmp_path / f"{lose}", lose=lose)
        assert contents(tmp_path / f"{lose}") == contents(tmp_path / "whole")
    grown = tmp_path / "grown"
    if name != "grid":
        run(suited(name, trials=study.search.trials - 2), grown, engine=FakeEngine())
        run(study, grown, engine=FakeEngine())
        assert contents(grown) == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHERS)
def test_a_search_does_not_depend_on_workers(name, tmp_path):
    study = suited(name)
    for workers in (1, 4):
        run(study, tmp_path / str(workers), engine=FakeEngine(), workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "4")


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


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        ("hill_climbing", "unknown search algorithm 'hill_climbing'"),
        ("cma_es", "did you mean 'cmaes'"),
        ("auto", "is OptunaHub's AutoSampler, which Optuna downloads"),
        ({"name": "tpe", "n_ei_candidate": 3}, "did you mean 'n_ei_candidates'"),
        ({"name": "tpe", "n_startup_trials": 3}, "did you mean 'startup'"),
        ({"name": "tpe", "n_ei_candidates": 2.5}, "n_ei_candidates = 2.5 should be a whole number"),
        ({"name": "tpe", "n_ei_candidates": True}, "should be a whole number"),
        ({"name": "tpe", "n_ei_candidates": [1, 2]}, "should be a whole number"),
        ({"name": "tpe", "n_ei_candidates": 0}, "should be a whole number from 1"),
        ({"name": "tpe", "group": 1}, "should be true or false"),
        ({"name": "qmc", "qmc_type": "sobl"}, "'sobl'"),
        ({"name": "nsga2", "population_size": 1}, "population_size"),
        ({"name": "random", "startup": 1}, "takes no options, so startup cannot be set"),
    ],
)
def test_unknown_searchers_and_options_are_refused(sampler, message, engine):
    with pytest.raises(UsageError) as caught:
        check_options(searching(sampler), engine)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


TWO = {"objective": ["mmd", "sw1"]}


@pytest.mark.parametrize(
    ("sampler", "fields", "message"),
    [
        ("cmaes", TWO, "improves one objective, and the study has 2"),
        ("cmaes", {"methods": ["beta"]}, "searches ranges of numbers, and kind is chosen from"),
        ("brute_force", {"methods": ["alpha"]}, "needs a finite number of values of sigma"),
        ("grid", {"methods": ["alpha"]}, "needs the values of sigma"),
        ({"name": "cmaes", "popsize": 1}, {}, "search algorithm 'cmaes': AssertionError"),
        ("brute_force", {"methods": GRID, "trials": 7, "training": {"learning_rate": 0.1}},
         "finds 6 combinations for method 'gamma', and search.trials = 7: set it to 6"),
    ],
)  # fmt: skip
def test_what_a_searcher_cannot_do_is_refused_before_anything_runs(
    sampler, fields, message, engine, tmp_path
):
    with pytest.raises(UsageError) as caught:
        run(searching(sampler, **fields), tmp_path / "run", engine=engine)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [name for name, kind in SEARCHERS.items() if kind.objectives])
def test_several_objectives(name, tmp_path):
    study = suited(name, **TWO)
    run(study, tmp_path / "whole", engine=FakeEngine())
    killed_at_every_batch(study, tmp_path / "parts", lose=True)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_the_options_that_are_listed_exist():
    for name, kind in SEARCHERS.items():
        entry = Entry.named(name)
        Searcher(entry, 4)
        parameters = inspect.signature(kind.make).parameters
        optuna_names = {{"startup": "n_startup_trials"}.get(o, o) for o in kind.options}
        assert optuna_names <= set(parameters)


def test_startup_is_that_of_the_study_unless_a_searcher_has_its_own():
    plain = Searcher(Entry.named("tpe"), 7).sampler(0, 0)
    own = Entry(name="tpe", label="tpe4", settings={"startup": 4})
    assert plain._n_startup_trials == 7
    assert Searcher(own, 7).sampler(0, 0)._n_startup_trials == 4


SIDE_BY_SIDE = [
    "tpe", {"name": "cmaes", "popsize": 4}, {"name": "nsga2", "population_size": 5},
    {"name": "nsga3", "population_size": 5}, "qmc", "random",
    {"name": "tpe", "startup": 6, "label": "tpe6"},
]  # fmt: skip


def side_by_side(**search):
    study = searching("random", 14, methods=["alpha", "delta"])
    settings = {"sampler": SIDE_BY_SIDE, "restarts": 2, **search}
    data = study.model_dump(mode="json", exclude_none=True)
    return parse({**data, "search": {**data["search"], **settings}}, "test")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("searchers") / "out"
    run(side_by_side(), directory, engine=FakeEngine())
    return directory


@pytest.mark.parametrize("lose", [False, True])
def test_searchers_side_by_side_end_the_same_when_disturbed(lose, undisturbed, tmp_path):
    for _ in range(12):
        stop = len(read_rows(tmp_path)) + 61 if (tmp_path / "runs.jsonl").exists() else 40

        def listen(event, stop=stop):
            if isinstance(event, RunsFinished) and len(read_rows(tmp_path)) >= stop:
                raise Killed

        with contextlib.suppress(Killed):
            run(side_by_side(), tmp_path, engine=FakeEngine(), listener=listen)
        if lose:
            (tmp_path / "optuna.journal").unlink(missing_ok=True)
    run(side_by_side(), tmp_path, engine=FakeEngine())
    assert contents(tmp_path) == contents(undisturbed)


@pytest.mark.slow
def test_searchers_side_by_side_do_not_depend_on_workers(undisturbed, tmp_path):
    run(side_by_side(), tmp_path / "four", engine=FakeEngine(), workers=4)
    assert contents(tmp_path / "four") == contents(undisturbed)


def test_searchers_can_be_added_to_a_finished_study(undisturbed, tmp_path, engine):
    run(side_by_side(sampler="tpe", restarts=1), tmp_path, engine=engine)
    alone = read_results(tmp_path, engine)
    assert "searcher" not in alone
    lines = (tmp_path / "runs.jsonl").read_bytes()
    run(side_by_side(), tmp_path, engine=engine)
    assert (tmp_path / "runs.jsonl").read_bytes().startswith(lines)
    assert contents(tmp_path) == contents(undisturbed)
    table = read_results(tmp_path, engine)
    confirmed = table[(table["phase"] == "confirm") & (table["restart"] == 0)]
    first = confirmed[confirmed["searcher"] == "tpe"]
    assert first["key"].tolist() == alone.loc[alone["phase"] == "confirm", "key"].tolist()
    labels = ["tpe", "cmaes", "nsga2", "nsga3", "qmc", "random", "tpe6"]
    assert list(dict.fromkeys(confirmed["searcher"])) == labels
    # Each proposes for itself.
    tried = table[(table["phase"] == "search") & (table["method"] == "alpha")]
    sets = [frozenset(rows["params.sigma"]) for _, rows in tried.groupby("searcher")]
    assert len(set(sets)) == len(labels)
    with pytest.raises(UsageError, match=r"search\.sampler: without tpe6"):
        run(side_by_side(sampler=SIDE_BY_SIDE[:-1]), tmp_path, engine=engine)
    with pytest.raises(UsageError, match=r"search\.sampler: tpe -> random"):
        run(side_by_side(sampler=["random", *SIDE_BY_SIDE[1:-2], SIDE_BY_SIDE[-1]]),
            tmp_path, engine=engine)  # fmt: skip


def test_a_replay_asks_every_searcher_again(undisturbed, engine):
    found = certify(undisturbed, rows=1.0, engine=engine).replay
    assert not found.problems
    assert not [text for text in found.open if "proposes" in text]
    assert sum(found.replayed.values()) == sum(found.rows.values())
    table = read_results(undisturbed, engine)
    assert sum(found.rows.values()) == len(table)


def test_a_replay_tells_proposals_that_no_searcher_makes(undisturbed, tmp_path, engine):
    shutil.copytree(undisturbed, tmp_path / "out")
    path = tmp_path / "out" / "runs.jsonl"
    lines = path.read_text().splitlines()
    other = [json.loads(text) for text in lines]
    cell = ["alpha", "ring", "walk", 0, "cmaes"]
    own = [row for row in other if row["cell"] == cell and row["phase"] == "search"]
    assert own
    edited = next(row for row in own if row["trial"] == 9 and row["replicate"] == 0)
    spec, value = edited["spec"], edited["suggested"]["sigma"] * 0.9
    edited["suggested"]["sigma"] = spec["method"]["options"]["sigma"] = value
    again = engine.execute([RunSpec.parse(json.dumps(spec))], False)[0].result
    edited["result"] = again.model_dump(mode="json")
    path.write_text("".join(json.dumps(row) + "\n" for row in other))
    found = certify(tmp_path / "out", rows=1.0, engine=engine).replay
    assert [text for text in found.open if "trial 8 of alpha-ring-walk-cmaes" in text]


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
