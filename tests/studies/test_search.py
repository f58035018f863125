"""Search spaces, Optuna, and the choice of winners."""

import math

import optuna
import pytest
from scorebench.bench.spec import RunResult
from scorebench.datasets.errors import UsageError
from scorebench.studies.cell import Cell, Slot
from scorebench.studies.plan import Plan
from scorebench.studies.rundir.optuna_storage import open_journal
from scorebench.studies.rundir.rows import Row
from scorebench.studies.search import CellSearch
from scorebench.studies.specs.entries import Choices, Entry, Range
from scorebench.studies.specs.open import Template
from scorebench.studies.specs.require import WORST

from .conftest import make_study


def entry(name, **settings):
    return Entry(name=name, label=name, settings=settings)


def template(engine, method, rate=0.1):
    study = make_study(training={"learning_rate": rate})
    study = study.model_copy(update={"methods": (method,)})
    return Template(engine, study, Cell(method.label, "ring", "walk"))


def test_every_branch_is_explored(engine):
    open_rate = template(engine, entry("beta"), [0.1, 0.2])
    assert set(open_rate.hyperparameters) == {"sigma", "kind", "slope", "count", "learning_rate"}
    assert open_rate.open == ["sigma", "kind", "count", "slope", "learning_rate"]
    assert template(engine, entry("beta", kind="flat", sigma=0.1)).open == ["count"]
    assert template(engine, entry("epsilon")).open == []
    rate = Range(low=1e-3, high=1e-2)
    assert template(engine, entry("epsilon", learning_rate=rate)).open == ["learning_rate"]


def test_settings_narrow_the_space(engine):
    narrowed = entry(
        "gamma", sigma=Range(low=0.2, high=0.3), width=Choices(choices=(2, 7)),
        learning_rate=Choices(choices=(0.25, 1)),
    )  # fmt: skip
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    open_places = template(engine, narrowed)
    for _ in range(60):
        run = open_places.close(open_places.suggest(study.ask()))
        options, rate = run.method.options, run.training.learning_rate
        assert 0.2 <= options["sigma"] <= 0.3
        assert isinstance(rate, float)
        seen.add((options["width"], rate))
    assert seen == {(2, 0.25), (2, 1.0), (7, 0.25), (7, 1.0)}


def test_fixed_values_keep_the_kind_of_their_hyperparameter(engine):
    fixed = entry("gamma", sigma=1, width=9.0, learning_rate=1)
    closed = template(engine, fixed)
    run = closed.close(closed.suggest(optuna.trial.FixedTrial({})))
    options, rate = run.method.options, run.training.learning_rate
    assert options == {"sigma": 1.0, "width": 9}
    assert (type(options["sigma"]), type(options["width"]), type(rate)) == (float, int, float)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("alpha", {"sigma": "x"}),
        ("alpha", {"sigma": True}),
        ("alpha", {"sigma": Choices(choices=("x",))}),
        ("gamma", {"width": Range(low=1.5, high=2)}),
        ("beta", {"kind": Range(low=1, high=2)}),
        ("beta", {"kind": 1}),
        ("beta", {"count": "x"}),
        ("beta", {"count": 1.5}),
    ],
)
def test_unsuitable_settings_are_refused(engine, name, settings):
    with pytest.raises(UsageError):
        template(engine, entry(name, **settings)).middle()


CELL = Cell("beta", "ring", "walk")


def trial_row(number, suggested, value, state="ok", spec=None):
    result = RunResult(key="k", state=state, metrics={"mmd": value})
    slot = Slot(CELL, "search", number, 0)
    return Row(slot, spec or f'{{"n":{number}}}', result, "e", suggested)


def searcher(engine, path, **changes):
    study = make_study(**changes)
    return CellSearch(Template(engine, study, CELL), open_journal(path))


def value_of(suggested):
    return math.log(suggested["sigma"]) ** 2 + suggested.get("slope", 0.3)


def drive(search, history, upto, batch=4):
    while len(history) < upto:
        start = len(history)
        asked = search.ask(history, min(batch, upto - start))
        rows = [trial_row(start + i, s, value_of(s)) for i, (_, s) in enumerate(asked)]
        search.tell(start, rows)
        history = history + rows
    return history


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_proposals_follow_from_the_rows_alone(engine, tmp_path, sampler):
    settings = {"search": {"sampler": sampler}}
    straight = drive(searcher(engine, tmp_path / "a", **settings), [], 24)
    assert len({row.suggested["sigma"] for row in straight}) == 24
    for cut in range(0, 24, 4):
        # Another process, without and with a journal that is not what it should be.
        rebuilt = drive(searcher(engine, tmp_path / f"b{cut}", **settings), straight[:cut], 24)
        again = drive(searcher(engine, tmp_path / "a", **settings), straight[:cut], 24)
        assert rebuilt == again == straight


def test_the_search_learns_and_seeds_differ(engine, tmp_path):
    history = drive(searcher(engine, tmp_path / "a"), [], 60)
    early = [row.result.metrics["mmd"] for row in history[:10]]
    late = [row.result.metrics["mmd"] for row in history[-20:]]
    assert sum(late) / 20 < sum(early) / 10
    other = drive(searcher(engine, tmp_path / "b", seed=4), [], 4)
    assert [r.suggested for r in other] != [r.suggested for r in history[:4]]
    assert len({str(row.suggested) for row in history}) > 50


def test_optuna_is_told_finite_numbers(engine, tmp_path):
    search = searcher(engine, tmp_path / "a")
    asked = [s for _, s in search.ask([], 4)]
    rows = [
        trial_row(0, asked[0], math.inf),
        trial_row(1, asked[1], 0.5, state="diverged"),
        trial_row(2, asked[2], math.nan),
        trial_row(3, asked[3], 0.25),
    ]
    search.tell(0, rows)
    trials = search.sync(rows).trials
    assert [trial.value for trial in trials] == [WORST, WORST, WORST, 0.25]
    assert {trial.state for trial in trials} == {optuna.trial.TrialState.COMPLETE}


def test_what_optuna_was_told_is_not_compared_again(engine, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(CellSearch, "_agrees", lambda *_: told.append(1) or True)
    search = searcher(engine, tmp_path / "a")
    drive(search, [], 40)
    assert len(told) == 0  # the time per batch would grow with the trials


def test_a_storage_that_somebody_else_wrote_to_is_rebuilt(engine, tmp_path):
    straight = drive(searcher(engine, tmp_path / "a"), [], 12)
    search = searcher(engine, tmp_path / "b")
    history = drive(search, [], 8)
    search._optuna.ask()
    assert drive(search, history, 12) == straight


SPEC = '{"n":0}'


def choose(engine, trials, repeats, **changes):
    """Drive the choice of a winner; gives its number and the (trial, replicate) that were run."""
    plan = Plan(make_study(**changes), engine)
    steps = plan._choose(CELL, trials)
    try:
        jobs = next(steps)
        asked = [(job.slot.trial, job.slot.replicate) for job in jobs]
        rows = [
            Row(job.slot, "", RunResult(key="k", state=state, metrics={"mmd": value}), "e")
            for job in jobs
            for state, value in [repeats[job.slot.trial, job.slot.replicate]]
        ]
        steps.send(rows)
    except StopIteration as stop:
        winner = stop.value
        return (winner.slot.trial if winner else None), locals().get("asked", [])
    raise AssertionError("asked for more than one round")


@pytest.fixture
def specs(engine):
    def spec(sigma):
        closed = template(engine, entry("alpha", sigma=sigma))
        return closed.close(closed.middle()).canonical()

    return spec


def test_the_value_that_made_a_finalist_does_not_count(engine, specs):
    trials = [
        trial_row(0, {}, 0.1, spec=specs(0.1)),
        trial_row(1, {}, 0.2, spec=specs(0.2)),
        trial_row(2, {}, 0.9, spec=specs(0.3)),
        trial_row(3, {}, 0.0, state="diverged", spec=specs(0.4)),
    ]
    repeats = {(0, 1): ("ok", 0.5), (0, 2): ("ok", 0.5), (1, 1): ("ok", 0.4), (1, 2): ("ok", 0.4)}
    assert choose(engine, trials, repeats) == (1, [(0, 1), (0, 2), (1, 1), (1, 2)])


def test_a_finalist_that_fails_again_loses_to_one_that_does_not(engine, specs):
    trials = [trial_row(i, {}, 0.1 * i, spec=specs(0.1 + i)) for i in range(2)]
    repeats = {
        (0, 1): ("ok", 0.0), (0, 2): ("diverged", 0.0), (1, 1): ("ok", 9.0), (1, 2): ("ok", 9.0),
    }  # fmt: skip
    assert choose(engine, trials, repeats)[0] == 1


def test_equal_configurations_are_one_finalist(engine, specs):
    trials = [trial_row(i, {}, 0.5, spec=specs(0.1)) for i in range(3)]
    assert choose(engine, trials, {}) == (0, [])


def test_no_winner_without_a_single_good_trial(engine, specs):
    trials = [trial_row(i, {}, math.inf, spec=specs(0.1 + i)) for i in range(3)]
    assert choose(engine, trials, {}) == (None, [])


def test_without_repeats_the_best_trial_wins(engine, specs):
    trials = [trial_row(i, {}, 1.0 - 0.1 * i, spec=specs(0.1 + i)) for i in range(3)]
    assert choose(engine, trials, {}, search={"repeats": 0}) == (2, [])


def test_plan_orders_cells_and_counts_runs(engine):
    study = make_study(methods=["alpha"], datasets=["ring", "plane"], samplers=["walk", "jump"])
    plan = Plan(study, engine)
    assert [cell.stem for cell in plan.cells] == [
        "truth-ring-iid", "truth-plane-iid",
        "exact-ring-walk", "exact-ring-jump", "exact-plane-walk", "exact-plane-jump",
        "untrained-ring-walk", "untrained-ring-jump", "untrained-plane-walk",
        "untrained-plane-jump",
        "alpha-ring-walk", "alpha-ring-jump", "alpha-plane-walk", "alpha-plane-jump",
    ]  # fmt: skip
    assert sum(plan.size(plan.cells[0])) == 3
    assert plan.size(plan.cells[-1]) == (0, 10 + 2 * 2, 3)


def test_defaults_of_options_are_part_of_the_spec(engine):
    study = make_study(datasets=[{"name": "ring", "noise": 1}], methods=["alpha"])
    plan = Plan(study, engine)
    jobs = next(plan.steps(plan.references[0], {}, open))
    assert jobs[0].spec.dataset.options == {"noise": 1.0, "dim": 2}
    assert type(jobs[0].spec.dataset.options["noise"]) is float
    assert jobs[0].spec.training.steps == 0
