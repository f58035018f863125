"""Several objectives: fronts, the search for them, and which of their points are trained again."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scorebench.datasets.errors import UsageError
from scorebench.studies.front import front, spread
from scorebench.studies.results import read_results
from scorebench.studies.specs.check import check_names, check_options
from scorebench.studies.specs.require import WORST
from scorebench.studies.specs.spec import StudySpec
from scorebench.studies.study import run

from .conftest import contents, make_study
from .fake_engine import FakeEngine

coordinates = st.sampled_from([0.0, 1.0, 2.0, 3.0, math.inf, math.nan])
clouds = st.lists(st.tuples(coordinates, coordinates, coordinates), max_size=12)


@given(clouds)
def test_the_front_is_what_nothing_dominates(points):
    finite = [i for i, point in enumerate(points) if all(map(math.isfinite, point))]

    def dominated(i):
        return any(
            (all(a <= b for a, b in zip(points[j], points[i], strict=True))
             and points[j] != points[i]) or (points[j] == points[i] and j < i)
            for j in finite
        )  # fmt: skip

    assert sorted(front(points)) == [i for i in finite if not dominated(i)]


@given(st.integers(1, 20), st.integers(1, 20))
def test_a_spread_has_both_ends(size, count):
    found = spread(range(size), count)
    assert len(found) == min(size, count)
    assert found == sorted(set(found))
    assert found[0] == 0
    if count > 1:
        assert found[-1] == size - 1


class Costly(FakeEngine):
    """The more steps, the better and the dearer."""

    def _run(self, spec, keep):
        outcome = super()._run(spec, keep)
        result = outcome.result
        if result.state == "ok":
            better = {k: v + 100 / spec.training.steps for k, v in result.metrics.items()}
            cost = {**result.compute, "train_evaluations": 10.0 * spec.training.steps}
            outcome.result = result.model_copy(update={"metrics": better, "compute": cost})
        return outcome


def trading(**fields):
    return make_study(
        **{
            "methods": ["alpha", "gamma"],
            "objective": ["mmd", "train_evaluations"],
            "training": {"steps": {"low": 10, "high": 1000, "log": True}, "learning_rate": 0.1},
            "search": {"trials": 16, "finalists": 3},
            **fields,
        }
    )


def test_several_objectives_read_back_equal():
    study = trading()
    assert (study.objective, study.costs) == ("mmd", ("train_evaluations",))
    assert 'objective = [\n    "mmd",\n    "train_evaluations",\n]' in study.to_toml()
    assert StudySpec.from_toml(study.to_toml()) == study
    assert make_study(objective=["mmd"]) == make_study()
    assert trading(objective=["mmd", "fit"]).evaluation.metrics == ("mmd", "sw1", "sw2", "fit")


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ([], "lists no metrics"),
        ([1], "lists no metrics"),
        (["mmd", "mmd"], "names a metric twice"),
        (["mmd", "train_seconds"], "search is not reproducible: use train_evaluations or"),
        (["train_evaluations", "mmd"], "is a cost: give a metric before it"),
        (["mmd", "train_evalutions"], "unknown|did you mean|there is no metric"),
    ],
)
def test_impossible_objectives_are_refused(objective, message):
    with pytest.raises(UsageError, match=message):
        check_names(trading(objective=objective), FakeEngine())


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_interruptions_do_not_show(sampler, tmp_path):
    search = {"batch": 4, "startup": 4, "sampler": sampler, "finalists": 3}
    run(trading(search={**search, "trials": 12}), tmp_path / "a", engine=Costly())
    run(trading(search={**search, "trials": 4}), tmp_path / "b", engine=Costly())
    (tmp_path / "b" / "optuna.journal").unlink()
    run(trading(search={**search, "trials": 12}), tmp_path / "b", engine=Costly())
    assert contents(tmp_path / "a", table_only=True) == contents(tmp_path / "b", table_only=True)


def test_points_along_the_front_are_trained_again(tmp_path):
    engine = Costly()
    study = trading()
    check_options(study, engine)
    run(study, tmp_path, engine=engine)
    table = read_results(tmp_path, engine).query("method == 'alpha'")
    trials = table.query("phase == 'search' and replicate == 0")
    again = set(table.query("phase == 'search' and replicate > 0").trial)
    best = {
        a.trial for a in trials.itertuples()
        if not any(b.mmd <= a.mmd and b.train_evaluations <= a.train_evaluations
                   and b.trial != a.trial for b in trials.itertuples())
    }  # fmt: skip
    assert len(best) > 3
    assert len(again) == 3
    assert again <= best
    # Both ends: the best of all, and the cheapest of those that nothing beats.
    assert trials.set_index("trial").mmd.idxmin() in again
    cheapest = trials[trials.trial.isin(best)].set_index("trial").train_evaluations.idxmin()
    assert cheapest in again
    # The winner is still the one with the best mean of the first objective.
    means = table.query("phase == 'search' and replicate > 0").groupby("trial").mmd.mean()
    assert set(table.query("phase == 'confirm'").trial) == {means.idxmin()}


def test_without_a_trade_off_the_best_are_trained_again(tmp_path):
    fixed = trading(training={"steps": 50, "learning_rate": 0.1}, methods=["alpha"])
    plain = trading(
        training={"steps": 50, "learning_rate": 0.1}, methods=["alpha"], objective="mmd",
        search={"trials": 16, "finalists": 3, "sampler": "random"},
    )  # fmt: skip
    sampled = fixed.model_copy(update={"search": plain.search})
    for name, study in (("a", sampled), ("b", plain)):
        run(study, tmp_path / name, engine=Costly())
    one, other = (read_results(tmp_path / name, Costly()) for name in "ab")
    assert list(one.key) == list(other.key)


def test_failures_are_the_worst_in_every_respect(tmp_path):
    import optuna
    from scorebench.studies.rundir.optuna_storage import open_journal

    run(trading(methods=["gamma"]), tmp_path, engine=Costly())
    storage = open_journal(tmp_path / "optuna.journal")
    found = optuna.load_study(study_name="gamma-ring-walk", storage=storage)
    table = read_results(tmp_path, Costly()).query("phase == 'search' and replicate == 0")
    failed = set(table[(table.state != "ok")].trial)
    assert failed
    for trial, number in itertools.product(found.trials, failed):
        if trial.number == number:
            assert trial.values == [WORST, WORST]
