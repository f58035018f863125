"""Configurations race over paired seeds; repeats of finalists are the race that drops at once."""

import math
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial
from scorebench.bench.from_spec import stream_of
from scorebench.bench.spec import RunResult
from scorebench.datasets.errors import UsageError
from scorebench.studies.cell import Slot
from scorebench.studies.engine import Engine
from scorebench.studies.plan import Plan
from scorebench.studies.progress import status
from scorebench.studies.race import Candidate, Round, entrants, judged, rounds, survivors
from scorebench.studies.replay import replayed
from scorebench.studies.results import read_results
from scorebench.studies.rundir.read import read_rows
from scorebench.studies.rundir.rows import Row
from scorebench.studies.specs.load import load_study
from scorebench.studies.specs.tables import Search
from scorebench.studies.study import run

from ..calibration import racing
from .conftest import contents, make_study
from .fake_engine import FakeEngine
from .test_front import Costly, trading
from .test_search import CELL

RACE = {"trials": 16, "race": 2, "repeats": 4, "finalists": 2}


def counts(**fields):
    return [stage.configurations for stage in rounds(Search(**fields)) for _ in stage.replicates]


def test_five_seeds_a_trial_for_two_fifths_of_the_runs():
    search = Search(trials=40, race=2, repeats=4, finalists=3)
    assert counts(trials=40, race=2, repeats=4, finalists=3) == [20, 10, 5, 3]
    assert 40 + sum(stage.runs for stage in rounds(search)) == 78 <= 0.4 * 40 * 5
    assert counts(trials=40, race=3, repeats=4) == [14, 5, 2, 2]
    assert counts(trials=40, race=4, repeats=2, finalists=12) == [12, 12]


def test_without_a_race_finalists_take_part_in_every_repeat():
    assert rounds(Search(trials=40, finalists=4, repeats=3)) == [Round(4, range(1, 4))]
    assert rounds(Search(trials=3, finalists=4, repeats=0)) == [Round(3, range(1, 1))]


@given(
    st.integers(1, 200), st.integers(2, 9), st.integers(1, 9), st.integers(1, 20)
)  # fmt: skip
def test_rounds_have_every_replicate_once_and_never_grow(trials, race, repeats, finalists):
    stages = rounds(Search(trials=trials, race=race, repeats=repeats, finalists=finalists))
    assert [k for stage in stages for k in stage.replicates] == list(range(1, repeats + 1))
    sizes = [stage.configurations for stage in stages]
    assert sizes == sorted(set(sizes), reverse=True)
    assert all(min(finalists, trials) <= size <= trials for size in sizes)


def row(trial, replicate, value, state="ok", **costs):
    metrics = {"mmd": value, **costs}
    result = RunResult(key="k", state=state, metrics=metrics)
    return Row(Slot(CELL, "search", trial, replicate), f"spec {trial}", result, "e")


def plainly_chosen(first, again, finalists, race):
    """The rule in other words, for losses of shape (trials,) and (trials, repeats)."""
    if race is None:
        alive = np.argsort(first, kind="stable")[:finalists]
        return min(alive, key=lambda i: (again[i].mean(), list(alive).index(i)))
    alive = np.argsort(first, kind="stable")
    every = np.column_stack([first, again])
    for k in range(1, every.shape[1]):
        alive = alive[: max(finalists, -(-len(first) // race**k))]
        alive = alive[np.argsort(every[alive, : k + 1].mean(1), kind="stable")]
    return alive[0]


@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 4), st.sampled_from([None, 2, 3]))
def test_the_choice_is_that_of_the_plain_rule(seed, trials, repeats, race):
    generator = np.random.default_rng(seed)
    first, again = generator.random(trials), generator.random((trials, repeats))
    search = Search(trials=trials, repeats=repeats, finalists=2, race=race)
    candidates = entrants([row(i, 0, float(x)) for i, x in enumerate(first)], "mmd")
    for configurations, replicates in rounds(search):
        candidates = survivors(candidates, configurations, ["mmd"], race is not None)
        rows = [
            row(c.trial.slot.trial, k, float(again[c.trial.slot.trial, k - 1]))
            for c in candidates for k in replicates
        ]  # fmt: skip
        candidates = judged(candidates, rows, "mmd", race is not None)
    assert candidates[0].trial.slot.trial == plainly_chosen(first, again, 2, race)


def test_who_failed_a_run_is_behind_who_did_not():
    candidates = entrants([row(0, 0, 0.1), row(1, 0, 9.0), row(2, 0, 5.0, "diverged")], "mmd")
    assert [c.trial.slot.trial for c in candidates] == [0, 1]
    after = judged(candidates, [row(0, 1, 0.1, "failed"), row(1, 1, 9.0)], "mmd", True)
    assert [c.trial.slot.trial for c in after] == [1, 0]
    assert after[1].mean("mmd") == math.inf


def test_a_race_of_several_objectives_continues_with_whole_fronts():
    # Trials 0 to 2 are the front, 3 to 5 the one behind it, 6 is behind both but cheap.
    values = [(1, 9), (2, 5), (9, 1), (1.1, 9.1), (2.1, 5.1), (9.1, 1.1), (9.2, 1.2)]
    candidates = [
        Candidate(c, (c,)) for c in (row(i, 0, a, sw1=b) for i, (a, b) in enumerate(values))
    ]
    candidates.sort(key=lambda c: c.merit("mmd"))

    def chosen(count, race):
        kept = survivors(candidates, count, ["mmd", "sw1"], race)
        return {c.trial.slot.trial for c in kept}

    assert chosen(2, True) == {0, 2}
    assert chosen(3, True) == {0, 1, 2}
    assert chosen(5, True) == {0, 1, 2, 3, 5}
    assert chosen(5, False) == {0, 1, 2, 3, 4}
    assert chosen(6, True) == {0, 1, 2, 3, 4, 5}


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    directory = tmp_path_factory.mktemp("raced") / "small"
    run(make_study(search=RACE), directory, engine=FakeEngine())
    return directory


def test_every_round_repeats_the_best_of_the_one_before(raced, engine):
    table = read_results(raced, engine).query("method == 'alpha' and phase == 'search'")
    values = table.pivot(index="trial", columns="replicate", values="mmd")
    assert [int(n) for n in values.notna().sum()] == [16, 8, 4, 2, 2]
    for k in (1, 2, 3):
        before = values[values[k - 1].notna()].loc[:, : k - 1].mean(axis=1)
        assert set(before.nsmallest(values[k].notna().sum()).index) == set(
            values.index[values[k].notna()]
        )
    winner = read_results(raced, engine).query("method == 'alpha' and phase == 'confirm'").trial
    assert set(winner) == {values.dropna().mean(axis=1).idxmin()}


def test_equal_replicates_share_data_and_noise():
    study = load_study("quick", ['methods=["dsm"]', "search.race=2", "search.repeats=4"])
    plan = Plan(study, Engine())
    cell = plan.tuned[0]
    template = plan.template(cell)

    def states(sigma, replicate):
        trial = FixedTrial({"sigma": sigma, "learning_rate": 1e-3})
        job = plan._job(cell, "search", 0, replicate, template.close(template.suggest(trial)))
        return [stream_of(job.spec, axis).get_state() for axis in ("data", "init", "sampler")]

    for one, other, later in zip(states(0.1, 3), states(0.3, 3), states(0.1, 4), strict=True):
        assert one.equal(other)
        assert not one.equal(later)


def test_the_sizes_are_known(raced, engine):
    plan = Plan(make_study(search=RACE), engine)
    assert plan.size(plan.tuned[0]) == (0, 32, 3)
    state = status(raced, engine)
    alpha = state[state.method == "alpha"].iloc[0]
    assert (alpha.search_done, alpha.search_total, alpha.finished) == (32, 32, True)


def test_a_race_can_be_added_and_taken_away(raced, tmp_path):
    plain, race = make_study(search={**RACE, "race": None}), make_study(search=RACE)
    run(plain, tmp_path / "plain", engine=FakeEngine())
    shutil.copytree(tmp_path / "plain", tmp_path / "grown")
    run(race, tmp_path / "grown", engine=FakeEngine())
    assert contents(tmp_path / "grown") == contents(raced)
    run(plain, tmp_path / "grown", engine=FakeEngine())
    assert contents(tmp_path / "grown") == contents(tmp_path / "plain")


@pytest.mark.parametrize("lines", [20, 45, 70, 100])
def test_killed_and_resumed(raced, tmp_path, lines):
    shutil.copytree(raced, tmp_path / "killed")
    table = tmp_path / "killed" / "runs.jsonl"
    table.write_bytes(b"".join(table.read_bytes().splitlines(keepends=True)[:lines]))
    (tmp_path / "killed" / "optuna.journal").unlink()
    run(make_study(search=RACE), tmp_path / "killed", engine=FakeEngine())
    assert contents(tmp_path / "killed") == contents(raced)


@pytest.mark.slow
def test_two_workers(raced, tmp_path):
    run(make_study(search=RACE), tmp_path / "two", workers=2, engine=FakeEngine())
    assert contents(tmp_path / "two") == contents(raced)


def test_it_replays(raced, engine):
    found = replayed(raced, (None, None, None), 1.0, 1, engine)
    assert found.problems == ()
    assert {run.verdict for run in found.runs} == {"identical"}
    assert found.replayed["search"] == sum(r.slot.phase == "search" for r in read_rows(raced))


def test_a_failed_repeat_is_retried_as_if_it_had_not_failed(raced, tmp_path):
    class Failing(FakeEngine):
        def _run(self, spec, keep):
            if spec.phase == "search" and spec.replicate == 2 and spec.method.name == "alpha":
                raise RuntimeError("out of luck")
            return super()._run(spec, keep)

    run(make_study(search=RACE), tmp_path / "x", engine=Failing())
    assert contents(tmp_path / "x", table_only=True) != contents(raced, table_only=True)
    run(make_study(search=RACE), tmp_path / "x", engine=FakeEngine(), retry=["alpha-*"])
    assert contents(tmp_path / "x", table_only=True) == contents(raced, table_only=True)


def test_several_objectives_race(tmp_path):
    run(trading(search=RACE, methods=["alpha"]), tmp_path, engine=Costly())
    table = read_results(tmp_path, Costly()).query("phase == 'search'")
    values = table.pivot(index="trial", columns="replicate", values="mmd")
    assert [int(n) for n in values.notna().sum()] == [16, 8, 4, 2, 2]


def test_a_race_with_one_seed_is_refused():
    with pytest.raises(UsageError, match=r"is a race with one seed.*set search.repeats to 1"):
        make_study(search={"race": 2, "repeats": 0})
    with pytest.raises(UsageError, match=r"search.race.*1.*2"):
        make_study(search={"race": 1})
    with pytest.raises(UsageError, match="race with one seed"):
        load_study("quick", ["search.race=2", "search.repeats=0"])
    assert make_study(search={"race": 2, "repeats": 0, "trials": 0}, methods=["epsilon"])


@pytest.mark.slow
def test_the_error_of_a_race_is_small():
    found = racing.figures(racing.simulated(40, 60, racing.RacingEngine()))
    race, everything = found[racing.RACE], found[racing.ALL]
    assert race.runs <= 0.4 + 1e-9
    assert race.wrong <= 0.05
    assert race.regret <= everything.regret + 0.003
    assert race.regret < found["2 finalists, 2 repeats"].regret - 0.003
    assert found["the best value"].wrong > 0.05
