"""Open places in training, networks and samplers."""

import inspect
import itertools
import math

import pytest
from optuna.trial import FixedTrial
from scorebench.datasets.errors import UsageError
from scorebench.methods.space import MiddleTrial
from scorebench.studies.engine import Engine
from scorebench.studies.execution.estimate import estimate
from scorebench.studies.plan import Plan
from scorebench.studies.replay import replay
from scorebench.studies.results import read_results
from scorebench.studies.rundir.read import read_rows
from scorebench.studies.specs.check import check_fit, check_options
from scorebench.studies.specs.entries import Choices, Range, read_leaf
from scorebench.studies.specs.load import load_study
from scorebench.studies.specs.open import FIELDS, value_in
from scorebench.studies.specs.resolve import with_lists
from scorebench.studies.specs.spec import StudySpec
from scorebench.studies.specs.trials import NarrowedTrial
from scorebench.studies.study import run
from scorebench.studies.winners import best

from .conftest import contents, make_study
from .fake_engine import FakeEngine

WALK = {"name": "walk", "step_size": {"low": 0.001, "high": 0.1, "log": True}, "steps": [5, 20]}
OPEN = {
    "methods": ["alpha", "epsilon"],
    "samplers": [WALK],
    "training": {
        "steps": {"low": 10, "high": 1000, "log": True}, "batch_size": [16, 32],
        "learning_rate": [0.001, 0.01],
    },
    "network": {"width": {"low": 4, "high": 12}, "activation": ["swish", "softplus"]},
}  # fmt: skip
NAMES = ["training.steps", "training.batch_size", "network.width", "network.activation",
         "sampler.step_size", "sampler.steps"]  # fmt: skip


def trials(directory, engine):
    table = read_results(directory, engine)
    return table.query("phase == 'search' and replicate == 0")


def test_a_study_with_open_places_reads_back_equal(engine):
    study = make_study(**OPEN)
    assert StudySpec.from_toml(study.to_toml()) == study
    assert study.network.width == Range(low=4.0, high=12.0)
    assert study.training.batch_size == Choices(choices=(16, 32))
    plan = Plan(study, engine)
    middle = plan.example(plan.tuned[0])
    assert (middle.training.steps, middle.training.batch_size) == (100, 16)
    assert (middle.network.width, middle.network.activation) == (8, "swish")
    assert type(middle).parse(middle.canonical()) == middle


def test_every_value_is_within_its_range_and_reaches_the_runs(tmp_path, engine):
    study = make_study(**OPEN, search={"trials": 24})
    check_options(study, engine)
    check_fit(study, engine)
    run(study, tmp_path, engine=engine)
    table = trials(tmp_path, engine)
    assert {f"params.{name}" for name in NAMES} <= set(table.columns)
    for name, low, high in (("training.steps", 10, 1000), ("network.width", 4, 12),
                            ("sampler.step_size", 0.001, 0.1)):  # fmt: skip
        values = table[f"params.{name}"]
        assert values.between(low, high).all()
        assert values.nunique() > 6
    assert str(table["params.training.steps"].dtype) == "Int64"
    assert set(table["params.network.activation"]) == {"swish", "softplus"}
    assert set(table["params.sampler.steps"]) == {5, 20}
    assert set(table["params.learning_rate"]) == {0.001, 0.01}
    for row in read_rows(tmp_path):
        if row.slot.phase == "search":
            line = table[(table.key == row.result.key)]
            for name in NAMES if len(line) else ():
                assert value_in(row.run, name) == line[f"params.{name}"].iloc[0]
        if row.slot.phase == "reference" and row.slot.cell.method != "truth":
            assert row.run.network.width == 8
            assert math.isclose(row.run.sampler.options["step_size"], 0.01)


@pytest.mark.parametrize("sampler", ["tpe", "qmc"])
def test_interruptions_do_not_show(sampler, tmp_path, engine):
    fields = {**OPEN, "methods": ["alpha"]}
    search = {"batch": 4, "startup": 4, "sampler": sampler}
    run(make_study(**fields, search={**search, "trials": 12}), tmp_path / "a", engine=engine)
    run(make_study(**fields, search={**search, "trials": 4}), tmp_path / "b", engine=engine)
    (tmp_path / "b" / "optuna.journal").unlink()
    grown = make_study(**fields, search={**search, "trials": 12})
    run(grown, tmp_path / "b", engine=engine)
    assert contents(tmp_path / "a", table_only=True) == contents(tmp_path / "b", table_only=True)


def test_a_grid_over_fields_tries_everything_once(tmp_path, engine):
    study = make_study(
        methods=[{"name": "epsilon"}],
        samplers=[{"name": "walk", "steps": [5, 10]}],
        training={"steps": [10, 20, 30], "learning_rate": [0.1, 0.2]},
        network={"width": [4, 8]},
        search={"sampler": "grid", "trials": 24},
    )
    check_options(study, engine)
    run(study, tmp_path, engine=engine)
    table = trials(tmp_path, engine)
    names = ["training.steps", "learning_rate", "network.width", "sampler.steps"]
    tried = [tuple(row) for row in table[[f"params.{name}" for name in names]].to_numpy()]
    assert len(tried) == 24
    assert set(tried) == set(itertools.product([10, 20, 30], [0.1, 0.2], [4, 8], [5, 10]))
    short = study.model_copy(update={"search": study.search.model_copy(update={"trials": 5})})
    with pytest.raises(UsageError, match="has 24 combinations"):
        check_options(short, engine)


def test_the_winner_is_repeated_without_a_search(tmp_path, engine):
    run(make_study(**OPEN), tmp_path / "run", engine=engine)
    table = read_results(tmp_path / "run", engine)
    wanted = table.query("phase == 'confirm' and method == 'epsilon'")
    again = best(tmp_path / "run", "epsilon", "ring", engine=engine)
    assert again.training.open_leaves() == again.network.open_leaves() == {}
    check_options(again, engine)
    again = StudySpec.from_toml(again.to_toml())
    run(again, tmp_path / "again", engine=engine)
    found = read_results(tmp_path / "again", engine).query("phase == 'confirm'")
    assert list(found.key) == list(wanted.key)


class Choosing(FakeEngine):
    """The best choice is None."""

    def space(self, method, trial):
        kind = trial.suggest_categorical("kind", [None, "steep", 2])
        return {"sigma": 0.1, "kind": kind, "slope": 2.0 if kind else 0.0}


@pytest.mark.parametrize("settings", [{}, {"kind": ["none", "steep"]}, {"kind": "none"}])
def test_a_choice_of_none_is_run_repeated_and_written(settings, tmp_path):
    study = make_study(methods=[{"name": "alpha", **settings}], search={"trials": 6, "repeats": 1})
    run(study, tmp_path / "a", engine=Choosing())
    assert StudySpec.from_toml(study.to_toml()) == study
    again = best(tmp_path / "a", "alpha", "ring", engine=Choosing())
    assert again.methods[0].settings["kind"] == "none"
    text = again.to_toml()
    (tmp_path / "best.toml").write_text(text)
    assert load_study(tmp_path / "best.toml", engine=Choosing()) == again
    run(again, tmp_path / "b", engine=Choosing())
    before, after = (
        {row.slot.replicate: row.spec for row in read_rows(tmp_path / name)
         if row.slot.phase == "confirm" and row.slot.cell.method == "alpha"
         and '"kind":null' in row.spec}
        for name in "ab"
    )  # fmt: skip
    assert len(after) == 3
    assert after.items() <= before.items()


def test_whole_numbers_are_numbers_where_numbers_are_asked_for(tmp_path, engine):
    study = make_study(
        methods=["epsilon"], samplers=[{"name": "walk", "step_size": [1, 2]}],
        training={"clip": [10, 20], "learning_rate": 0.1}, search={"trials": 4},
    )  # fmt: skip
    run(study, tmp_path, engine=engine)
    for row in read_rows(tmp_path):
        if row.slot.phase == "search":
            assert type(row.run.training.clip) is float
            assert '"clip":10.0' in row.spec or '"clip":20.0' in row.spec
            assert '"step_size":1.0' in row.spec or '"step_size":2.0' in row.spec


def test_time_is_estimated_with_values_from_the_middle(engine):
    assert estimate(make_study(**OPEN), engine).runs["search"] == 2 * (10 + 2 * 2)


def test_each_activation_of_a_network_is_compiled_before_runs():
    network = {"kind": "score", "activation": ["softplus", "swish"], "width": [3, 5]}
    study = make_study(methods=["dsm"], datasets=["rings"], samplers=["langevin"], network=network)
    plan = Plan(study, Engine())
    assert [(one.kind, one.activation) for one in plan.engine.compiles] == [
        ("score", "softplus"), ("score", "swish"),
    ]  # fmt: skip
    assert plan.engine.methods == ("dsm",)


def test_members_of_other_shapes_and_samplers_give_what_they_give_alone(tmp_path):
    study = make_study(
        methods=["dsm"], datasets=["rings"],
        samplers=[{"name": "langevin", "step_size": [0.01, 0.05], "steps": [5, 10]}],
        training={"steps": [3, 6], "points": 50, "learning_rate": 0.01},
        network={"width": [3, 5], "depth": 1}, search={"trials": 4, "repeats": 0},
        confirm={"seeds": 2}, reference={"floors": 2, "seeds": 1}, evaluation={"samples": 20},
    )  # fmt: skip
    check_fit(study, Engine())
    run(study, tmp_path)
    tried = [row for row in read_rows(tmp_path) if row.slot.phase == "search"]
    assert len({str(row.suggested) for row in tried}) == 4
    for row in tried:
        (alone,) = Engine().execute([row.run], False)
        assert alone.result.metrics == row.result.metrics
    assert set(replay(tmp_path).verdict) == {"identical"}


def test_every_field_can_be_open(tmp_path, engine):
    values = {"training.schedule": "cosine", "training.steps": 7, "training.batch_size": 3,
              "training.clip": 2.0, "training.points": 11, "training.ema": 0.5,
              "training.learning_rate": 0.1, "network.width": 5, "network.depth": 3,
              "network.activation": "softplus", "network.base": "gaussian"}  # fmt: skip
    assert set(values) <= FIELDS
    tables = {"training": {}, "network": {}}
    for place in FIELDS:
        table, _, name = place.partition(".")
        value = values.get(place, 0.25)
        tables[table][name] = [value]
    study = make_study(methods=["alpha"], search={"trials": 4}, **tables)
    assert StudySpec.from_toml(study.to_toml()) == study
    run(study, tmp_path, engine=engine)
    for row in read_rows(tmp_path):
        if row.slot.phase != "reference":
            assert {name: value_in(row.run, name) for name in values} == values
            assert type(row.run).parse(row.spec) == row.run


def test_numbers_are_typed_where_they_are_read():
    study = make_study(training={"clip": [10, 20], "steps": [4.0, 5]})
    closed = study.training.with_values({"clip": 10, "steps": 4.0, "learning_rate": 1})
    assert (type(closed.clip), type(closed.steps), closed.open_leaves()) == (float, int, {})
    with pytest.raises(ValueError, match="greater than"):
        study.training.with_values({"clip": -1})


def narrowed(leaf, suggest):
    """What a study file with this value makes of a suggestion, as Optuna's distribution."""
    trial = NarrowedTrial(FixedTrial({"k": 0.5}), {"k": read_leaf(leaf)})
    suggest(trial)
    return trial._trial.distributions.get("k")


def test_a_narrowed_range_keeps_the_steps_of_the_method():
    def by_quarters(trial):
        return trial.suggest_float("k", 0.0, 2.0, step=0.25)

    inside = narrowed({"low": 0.3, "high": 1.1}, by_quarters)
    assert (inside.low, inside.high, inside.step) == (0.5, 1.0, 0.25)
    own = narrowed({"low": 0.1, "high": 0.85, "step": 0.2}, by_quarters)
    assert (own.low, own.high, own.step) == (0.1, 0.7, 0.2)
    wide = narrowed({"low": -0.6, "high": 3.0}, by_quarters)
    assert (wide.low, wide.high, wide.step) == (-0.5, 3.0, 0.25)
    for leaf, message in (
        ({"low": 0.3, "high": 0.4}, "none of its values lies from 0.3 to 0.4"),
        ({"low": 0.3, "high": 1.1, "log": True}, "leave out log"),
    ):
        with pytest.raises(UsageError, match=message):
            narrowed(leaf, by_quarters)


def test_whole_numbers_keep_their_steps_too():
    def by_threes(trial):
        return trial.suggest_int("k", 1, 10, step=3)

    trial = MiddleTrial()
    assert NarrowedTrial(trial, {"k": Range(low=3, high=9)}).suggest_int("k", 1, 10, step=3) == 4
    with pytest.raises(UsageError, match="moves in steps of 3"):
        narrowed({"low": 5, "high": 6}, by_threes)


def test_ranges_have_steps(engine):
    study = make_study(
        methods=["epsilon"], search={"trials": 4},
        training={"learning_rate": 0.1, "steps": {"low": 10, "high": 95, "step": 20}},
    )  # fmt: skip
    assert StudySpec.from_toml(study.to_toml()) == study
    plan = Plan(study, engine)
    trial = FixedTrial({"training.steps": 50})
    plan.template(plan.tuned[0]).suggest(trial)
    space = trial.distributions["training.steps"]
    assert (space.low, space.high, space.step) == (10, 90, 20)
    for bad in ({"step": 0}, {"step": -1}, {"step": 2, "log": True}):
        with pytest.raises(UsageError, match="step"):
            make_study(training={"steps": {"low": 10, "high": 20, **bad}})


def test_the_longest_labels_name_files(tmp_path, engine):
    study = make_study(methods=[{"name": "epsilon", "label": "e" * 160, "learning_rate": 0.1}])
    run(study, tmp_path, engine=engine)
    assert (tmp_path / "samples" / f"{'e' * 160}-ring-walk.npz").exists()


def test_lists_are_values_of_datasets(engine):
    study = make_study(datasets=[{"name": "ring", "noise": [0.1, 0.2]}])
    assert study.datasets[0].settings == {"noise": (0.1, 0.2)}
    assert StudySpec.from_toml(study.to_toml()) == study
    with pytest.raises(UsageError, match=r"ring.noise = \[0.1, 0.2\]: should be a number"):
        check_options(study, engine)
    parameters = inspect.signature(lambda levels=(1.0, 0.5), steps=3: None).parameters
    sampler = make_study(samplers=[{"name": "walk", "levels": [2.0, 1.0], "steps": [1, 2]}])
    settings = with_lists(sampler.samplers[0], parameters).settings
    assert settings == {"levels": (2.0, 1.0), "steps": Choices(choices=(1, 2))}
