"""A study of recorded runs looks them up: same planner, same table, nothing is trained."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import scorebench as sb
from scorebench.bench import data_files
from scorebench.bench.streams import stream
from scorebench.datasets import point_files
from scorebench.datasets.errors import UsageError
from scorebench.reports.source import load
from scorebench.reports.write import write_report
from scorebench.studies.cell import restart_seed
from scorebench.studies.engine import Engine
from scorebench.studies.lookup import TABLES
from scorebench.studies.plan import Plan
from scorebench.studies.replay import replayed
from scorebench.studies.results import read_results
from scorebench.studies.rundir.read import read_rows
from scorebench.studies.specs.load import load_study
from scorebench.studies.stored_files import check_directory
from scorebench.studies.study import run

SMALL = [
    "recorded=recorded", 'methods=["dsm", "ssm_vr"]', 'datasets=["rings"]', "search.finalists=1",
    "search.repeats=0", "search.restarts=2", "confirm.seeds=4",
]  # fmt: skip


@pytest.fixture(scope="module")
def study():
    return load_study("recording", SMALL)


@pytest.fixture(scope="module")
def looked_up(study, tmp_path_factory):
    directory = tmp_path_factory.mktemp("lookup") / "run"
    run(study, directory)
    return directory


@pytest.fixture(scope="module")
def table():
    return json.loads((TABLES / "recorded.json").read_text())


@pytest.mark.parametrize("method", ["dsm", "ssm_vr"])
def test_the_recorded_search_comes_back_on_one_of_its_seeds(study, looked_up, table, method):
    losses = np.array(table["cells"][f"{method}-rings-data"]["losses"]["mmd"])
    rows = read_results(looked_up).query(f"method == '{method}'")
    for restart in (0, 1):
        seed = restart_seed(study.seed, restart)
        order = np.random.default_rng(stream(seed, "recorded")).permutation(5)
        own = rows[rows.restart == restart]
        trials = own[own.phase == "search"].sort_values("trial")
        assert len(trials) == 48
        if restart == 0:
            # The same proposals, so every trial is its own nearest configuration.
            assert list(trials.mmd) == list(losses[:, order[0]])
        assert set(trials.mmd) <= set(losses[:, order[0]])
        winner = int(np.flatnonzero(losses[:, order[0]] == trials.mmd.min())[0])
        confirmed = own[own.phase == "confirm"].sort_values("replicate")
        assert list(confirmed.mmd) == [losses[winner, k] for k in order[:0:-1]]


def test_references_are_those_that_were_recorded(looked_up, table):
    rows = read_results(looked_up)
    for reference in table["references"]:
        run_of = reference["run"]
        if run_of["dataset"]["name"] == "rings":
            own = rows[rows.method == run_of["method"]["name"]].sort_values("replicate")
            assert list(own.mmd) == reference["losses"]["mmd"]


def test_it_resumes_and_replays(study, looked_up, tmp_path):
    shutil.copytree(looked_up, tmp_path / "run")
    lines = (tmp_path / "run" / "runs.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "run" / "runs.jsonl").write_bytes(b"".join(lines[:70]))
    events = []
    run(study, tmp_path / "run", listener=events.append)
    assert (tmp_path / "run" / "results.csv").read_bytes() == (
        looked_up / "results.csv"
    ).read_bytes()
    run(study, tmp_path / "run", listener=(again := []).append)
    assert again[-1].ran == 0
    found = replayed(tmp_path / "run", (None, None, None), 1.0, 1, None)
    assert found.problems == ()
    assert {one.verdict for one in found.runs} == {"identical"}


def test_a_changed_number_is_noticed(study, looked_up, tmp_path):
    assert not check_directory(looked_up, Plan(study, Engine())).problems
    shutil.copytree(looked_up, tmp_path / "run")
    file = tmp_path / "run" / "runs.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[-1]["result"]["metrics"]["mmd"] *= 0.5
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (problem, *_) = [
        text for text in check_directory(tmp_path / "run", Plan(study, Engine())).problems
        if "recorded" in text
    ]  # fmt: skip
    assert "its metrics are not those that were recorded" in problem


def test_it_has_a_page(looked_up, tmp_path):
    shutil.copytree(looked_up, tmp_path / "run")
    assert write_report(load(tmp_path / "run")).exists()


def test_a_table_of_ones_own_travels_with_the_study(tmp_path, monkeypatch):
    monkeypatch.setattr(point_files, "_known", {})
    own = tmp_path / "own"
    own.mkdir()
    shutil.copy(TABLES / "recorded.json", own / "mine.json")
    text = (TABLES / "recording.toml").read_text()
    (own / "mine.toml").write_text(f'recorded = "mine.json"\n{text}')
    sb.run(own / "mine.toml", overrides=SMALL[1:], out=tmp_path / "run", workers=1)
    assert all(row.ok for row in read_rows(tmp_path / "run"))
    assert str(tmp_path) not in (tmp_path / "run" / "study.toml").read_text()
    sb.export(tmp_path / "run", tmp_path / "mine.zip")
    (own / "mine.json").write_text("{}")
    with pytest.raises(UsageError, match="is not a table that `scorebench record` wrote"):
        load_study(own / "mine.toml", SMALL[1:])
    shutil.rmtree(own)
    point_files._known.clear()
    again = sb.replay(tmp_path / "mine.zip", "dsm", "rings")
    assert (again["stored"] == again["replayed"]).all()


def test_a_large_table_is_known_by_its_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(point_files, "_known", {})
    monkeypatch.setattr(data_files, "MOST", 100)
    monkeypatch.chdir(tmp_path)
    shutil.copy(TABLES / "recorded.json", "mine.json")
    study = load_study("recording", ['recorded="mine.json"', *SMALL[1:]])
    assert [file.content for file in study.data] == [""]
    Path("mine.json").write_text("{}")
    with pytest.raises(UsageError, match=r"'mine\.json' was edited"):
        Engine().equip(study)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('datasets=["moons"]', "dsm on moons with langevin was not recorded"),
        ('methods=["ssm"]', "ssm on rings with langevin was not recorded"),
        ("training.steps=500", "other settings: training.steps = 400 there, 500 here"),
        ("evaluation.samples=10", "other settings: evaluation.samples = 1000 there, 10 here"),
        ("confirm.seeds=5", "5 seeds were recorded, and 6 are needed"),
        ("reference.seeds=9", "5 seeds were recorded, and 9 are needed"),
        ("reference.floors=21", "20 seeds were recorded, and 21 are needed"),
        ("training.learning_rate={low=1e-5,high=1e-3}", "outside of the recorded range, 0.0001"),
        ("training.learning_rate=0.5", "outside of the recorded range"),
        ("network.width=[32,64]", "network.width was not searched when it was recorded"),
        ('evaluation.metrics=["mmd","sw2"]', "sw2 was not recorded, but mmd, sw1"),
        ('evaluation.also=["mala"]', "leave out evaluation.also and split"),
        ("recorded=recordet", "unknown table of recorded searches 'recordet'.*'recorded'"),
        ('recorded="other.json"', "there is no such file"),
    ],
)
def test_what_was_not_recorded_is_refused(override, message):
    given = [word for word in SMALL if word.partition("=")[0] != override.partition("=")[0]]
    with pytest.raises(UsageError, match=message):
        load_study("recording", [*given, override])


def test_repeats_need_seeds_too():
    given = [word for word in SMALL if not word.startswith(("search.finalists", "search.repeats"))]
    with pytest.raises(UsageError, match="5 seeds were recorded, and 9 are needed"):
        load_study("recording", [*given, "search.finalists=2", "search.repeats=4"])
