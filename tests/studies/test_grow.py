"""A finished study that grows runs what is new; what would not fit is refused or set aside."""

import json

import numpy as np
import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.execution.events import RunsFinished
from scorebench.studies.execution.scheduler import OutOfTime
from scorebench.studies.progress import status
from scorebench.studies.replay import replay
from scorebench.studies.results import read_results
from scorebench.studies.rundir.read import read_rows, read_study
from scorebench.studies.study import run
from scorebench.studies.winners import best

from .conftest import contents, make_study
from .fake_engine import FakeEngine

WALKS = ["walk", {"name": "walk", "label": "long", "steps": 20}]
GROWN = {
    "trials": {"search": {"trials": 23}},
    "trials within a batch": {"search": {"trials": 11}},
    "finalists": {"search": {"finalists": 4}},
    "repeats": {"search": {"repeats": 5}},
    "seeds": {"confirm": {"seeds": 7}},
    "floors": {"reference": {"floors": 8, "seeds": 4}},
    "reference method": {"reference": {"methods": ["untrained", "exact", "truth2"]}},
    "method": {"methods": ["beta", "alpha", "gamma", "delta",
                           {"name": "epsilon", "learning_rate": 0.01},
                           {"name": "alpha", "label": "again", "sigma": 0.2}]},
    "dataset": {"datasets": ["plane", "ring"]},
    "sampler": {"samplers": WALKS},
    "everything": {"search": {"trials": 17, "finalists": 3}, "confirm": {"seeds": 4},
                   "datasets": ["ring", "plane"], "samplers": WALKS},
}  # fmt: skip


class Wide(FakeEngine):
    """One more reference method than the fake engine has."""

    def names(self, kind):
        return (*super().names(kind), "truth2") if kind == "reference" else super().names(kind)


def ran(study, directory, **options):
    events = []
    run(study, directory, listener=events.append, **options)
    return [row for event in events if isinstance(event, RunsFinished) for row in event.rows]


@pytest.mark.parametrize("growth", GROWN)
def test_a_grown_study_ends_like_one_that_was_as_large_from_the_start(copied, tmp_path, growth):
    study, engine = make_study(**GROWN[growth]), Wide()
    before = {row.slot for row in read_rows(copied)}
    size = len((copied / "runs.jsonl").read_bytes())
    old = (copied / "runs.jsonl").read_bytes()
    new = ran(study, copied, engine=engine)
    assert new
    assert not {row.slot for row in new} & before
    assert (copied / "runs.jsonl").read_bytes()[:size] == old
    run(study, tmp_path / "whole", engine=engine)
    assert contents(copied) == contents(tmp_path / "whole")
    state, whole = status(copied, engine), status(tmp_path / "whole", engine)
    assert state.equals(whole)
    assert not ran(study, copied, engine=engine)


def test_growing_step_by_step_and_killed_on_the_way(copied, tmp_path, engine):
    table = copied / "runs.jsonl"
    for trials, seeds in ((14, 3), (19, 4), (30, 6)):
        study = make_study(search={"trials": trials}, confirm={"seeds": seeds})
        run(study, copied, engine=engine)
        whole = table.read_bytes()
        table.write_bytes(whole[: whole.rfind(b"\n", 0, len(whole) - 4000) + 1])
        for name in ("results.csv", "results.parquet"):
            (copied / name).unlink()
    run(study, copied, engine=engine)
    run(study, tmp_path / "whole", engine=engine)
    assert contents(copied) == contents(tmp_path / "whole")


def test_a_dethroned_winner_stays_in_the_file_and_is_not_ranked(copied, engine):
    def winners(directory):
        table = read_results(directory, engine)
        confirm = table[(table.phase == "confirm") & (table.method == "alpha")]
        assert confirm.trial.nunique() == 1
        return int(confirm.trial.iloc[0])

    first = winners(copied)
    run(make_study(search={"trials": 40}), copied, engine=engine)
    second = winners(copied)
    assert first != second
    kept = {
        r.slot.trial
        for r in read_rows(copied)
        if r.slot.phase == "confirm" and r.slot.cell.method == "alpha"
    }
    assert kept == {first, second}
    assert set(replay(copied, "alpha", "ring", engine=engine).trial.dropna()) == {second}
    assert best(copied, "alpha", "ring", engine=engine).confirm.seeds == 3


def test_while_it_grows_nothing_unsettled_is_ranked(copied, engine):
    study = make_study(search={"trials": 12}, confirm={"seeds": 4})
    (copied / "study.toml").write_text(study.to_toml())
    table = read_results(copied, engine)
    searched = table[table.method.isin(["alpha", "beta", "gamma"])]
    assert set(searched.phase) == {"search"}
    assert set(searched.replicate) == {0}
    fixed = table[table.method == "epsilon"]
    assert set(fixed.phase) == {"confirm"}
    lines = status(copied, engine)
    assert not lines[lines.method.isin(["alpha", "epsilon"])].finished.any()


def test_more_seeds_may_bring_a_better_replicate(copied, tmp_path, engine):
    study = make_study(confirm={"seeds": 40})
    run(study, copied, engine=engine)
    with np.load(copied / "samples" / "alpha-ring-walk.npz", allow_pickle=False) as file:
        assert set(file["replicate"]) == set(range(40))
        assert file["replicate"][0] > 2
        assert len(file["keys"]) == 40


REFUSED = {
    "training.steps: 5 -> 6": ({"training": {"steps": 6}}, {"exact", "truth", "untrained"}),
    "objective: mmd -> sw1": ({"objective": "sw1"}, {"exact", "truth", "untrained"}),
    "search.trials: 10 -> 9": ({"search": {"trials": 9}}, {"exact", "truth", "untrained"}),
    "search.batch: 4 -> 2": ({"search": {"batch": 2}}, {"exact", "truth", "untrained"}),
    "network.width: 128 -> 64": ({"network": {"width": 64}}, set()),
    "evaluation.samples: 4 -> 5": ({"evaluation": {"samples": 5}}, set()),
    "seed: 9 -> 10": ({"seed": 10}, set()),
    "reference.floors: 3 -> 2": (
        {"reference": {"floors": 2}}, {"exact", "untrained", "alpha", "beta", "epsilon"},
    ),
    "methods: without delta": (
        {"methods": ["alpha", "beta", "gamma", {"name": "epsilon", "learning_rate": 0.01}]},
        {"alpha", "beta", "gamma", "epsilon", "exact", "truth", "untrained"},
    ),
    "methods: alpha -> {name = alpha, sigma = 0.2}": (
        {"methods": [{"name": "alpha", "sigma": 0.2}, "beta", "gamma", "delta",
                     {"name": "epsilon", "learning_rate": 0.01}]},
        {"beta", "gamma", "delta", "epsilon", "exact", "truth", "untrained"},
    ),
    "datasets: ring -> {name = ring, noise = 0.2}": (
        {"datasets": [{"name": "ring", "noise": 0.2}]}, set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("difference", REFUSED)
def test_what_does_not_fit_is_refused_with_two_ways_out(copied, tmp_path, engine, difference):
    changes, spared = REFUSED[difference]
    study = make_study(**changes)
    before = contents(copied), (copied / "runs.jsonl").read_bytes()
    with pytest.raises(UsageError) as caught:
        run(study, copied, engine=engine)
    message = str(caught.value)
    assert difference in message
    assert "--out" in message
    assert "\n" not in message
    assert (contents(copied), (copied / "runs.jsonl").read_bytes()) == before

    # The second way out is taken as the message gives it.
    patterns = [word.strip("'") for word in message.split("--discard ")[1:]]
    patterns = [pattern.strip().strip("'") for pattern in patterns]
    new = ran(study, copied, engine=engine, discard=patterns)
    assert not {row.slot.cell.method for row in new} & spared
    run(study, tmp_path / "fresh", engine=engine)
    assert contents(copied) == contents(tmp_path / "fresh")
    # The same command again, as after an interruption, sets nothing aside again.
    assert not ran(study, copied, engine=engine, discard=patterns)
    lines = [json.loads(line) for line in (copied / "runs.jsonl").read_text().splitlines()]
    (record,) = [line for line in lines if "discard" in line]
    assert any(difference in text for text in record["because"])
    assert (copied / "runs.jsonl").read_bytes().startswith(before[1])


def test_part_of_what_is_needed_is_not_enough(copied, engine):
    study = make_study(training={"steps": 6})
    with pytest.raises(UsageError, match=r"--discard 'beta-\*'"):
        run(study, copied, engine=engine, discard=["alpha-*"])
    assert read_study(copied) == make_study()


def test_a_pattern_that_matches_nothing_is_refused(copied, engine):
    with pytest.raises(UsageError, match=r"unknown cell 'alhpa-ring-walk'.*did you mean"):
        run(make_study(), copied, engine=engine, discard=["alhpa-ring-walk"])


def test_rows_that_fit_are_never_set_aside(copied, engine):
    before = (copied / "runs.jsonl").read_bytes()
    run(make_study(), copied, engine=engine, discard=["*"])
    assert (copied / "runs.jsonl").read_bytes() == before


def test_code_that_changed_is_refused_or_run_again(copied, tmp_path):
    engine = FakeEngine(code="2", tilt=0.5)
    with pytest.raises(UsageError, match=r"code of method alpha has changed.*--discard '\*'"):
        run(make_study(), copied, engine=engine)
    (copied / "code.json").rename(tmp_path / "lost.json")
    with pytest.raises(UsageError, match=r"code behind alpha on ring with walk.*--discard '\*'"):
        run(make_study(), copied, engine=engine)
    run(make_study(), copied, engine=engine, discard=["*"])
    run(make_study(), tmp_path / "fresh", engine=engine)
    assert contents(copied) == contents(tmp_path / "fresh")


class Parted(FakeEngine):
    """Its code has parts that change by themselves."""

    def __init__(self, **versions):
        super().__init__(code=str(sorted(versions.items())))
        self.versions = versions

    def parts(self, spec):
        names = ("core", "method", "dataset", "sampler", "metric mmd", "metric sw1")
        return {name: self.versions.get(name.replace(" ", "_"), "1") for name in names}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("core", "the code that all runs share has changed"),
        ("method", "the code of method alpha has changed"),
        ("dataset", "the code of dataset ring has changed"),
        ("sampler", "the code of sampler walk has changed"),
        ("metric_mmd", "the code of metric mmd has changed"),
    ],
)
def test_refusals_name_the_part_of_the_code_also_of_a_study_that_is_not_finished(
    tmp_path, part, said
):
    references = {"floors": 0, "seeds": 0}
    study = make_study(methods=["alpha"], reference=references, limits={"study_seconds": 0.3})
    with pytest.raises(OutOfTime):
        run(study, tmp_path / "out", engine=Slowly())
    with pytest.raises(UsageError, match=said) as caught:
        run(study, tmp_path / "out", engine=Parted(**{part: "2"}))
    assert str(caught.value).count("has changed") == 1


class Slowly(Parted):
    def __init__(self):
        super().__init__()
        self.delay = 0.1


def test_a_kill_between_setting_aside_and_the_new_study_does_no_harm(copied, tmp_path, monkeypatch):
    study, engine = make_study(training={"steps": 6}), FakeEngine()
    from scorebench.studies.rundir import store

    real = store.write_atomically

    def die(path, content):
        if path.name == "study.toml":
            raise KeyboardInterrupt
        real(path, content)

    monkeypatch.setattr(store, "write_atomically", die)
    with pytest.raises(KeyboardInterrupt):
        run(study, copied, engine=engine, discard=["*"])
    monkeypatch.undo()
    run(study, copied, engine=engine)
    run(study, tmp_path / "fresh", engine=engine)
    assert contents(copied) == contents(tmp_path / "fresh")


def test_another_name_is_no_difference(copied, engine):
    run(make_study(name="renamed"), copied, engine=engine)
    assert read_study(copied).name == "renamed"
