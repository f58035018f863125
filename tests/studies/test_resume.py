"""The same study gives the same directory: on any workers, killed anywhere, in any order."""

import random
import time
from concurrent.futures import Future

import pytest
from scorebench.studies import study as study_module
from scorebench.studies.execution.events import (
    CellFinished,
    RunsFinished,
    StudyFinished,
    StudyStarted,
)
from scorebench.studies.execution.interrupt import Interrupt
from scorebench.studies.execution.pools import InProcess
from scorebench.studies.results import read_results
from scorebench.studies.study import run

from .conftest import contents, make_study
from .fake_engine import FakeEngine


def cut(directory, at):
    """What a kill leaves when ``at`` bytes of the table were on disk, at the worst moment."""
    table = directory / "runs.jsonl"
    table.write_bytes(table.read_bytes()[:at])
    for name in ("results.csv", "results.parquet"):
        (directory / name).unlink()


def test_every_cell_has_its_rows(finished, engine):
    table = read_results(finished, engine)
    counts = table.groupby(["phase", "method"]).size()
    assert counts["reference", "truth"] == 3
    assert counts["reference", "exact"] == counts["reference", "untrained"] == 2
    assert counts["search", "alpha"] == counts["search", "beta"] == 10 + 2 * 2
    assert counts["confirm", "alpha"] == counts["confirm", "epsilon"] == 3
    assert ("search", "epsilon") not in counts
    assert counts["search", "delta"] == 10
    assert ("confirm", "delta") not in counts


def test_resuming_from_every_prefix_of_the_table_gives_the_same_directory(tmp_path, engine):
    study = make_study(methods=["beta", "gamma"])
    run(study, tmp_path, engine=engine)
    expected = contents(tmp_path)
    whole = (tmp_path / "runs.jsonl").read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for end in [0, *ends[:-1]]:
        (tmp_path / "runs.jsonl").write_bytes(whole)
        cut(tmp_path, end)
        run(study, tmp_path, engine=engine)
        assert contents(tmp_path) == expected


def test_resuming_from_any_subset_of_the_finished_runs_gives_the_same_table(copied, engine):
    # With several workers, rows of a batch end in any order and a kill leaves any subset of the
    # last tasks; earlier rows that vanish are a harder case than any kill.
    expected = contents(copied, table_only=True)
    lines = (copied / "runs.jsonl").read_bytes().splitlines(keepends=True)
    for seed in range(12):
        rng = random.Random(seed)
        kept = [line for line in lines if rng.random() < 0.7]
        (copied / "runs.jsonl").write_bytes(b"".join(kept))
        run(make_study(), copied, engine=engine)
        assert contents(copied, table_only=True) == expected


@pytest.mark.parametrize("tail", [b'{"cell": ["al', b"\0" * 700, b"\n", b'{"half": 1}'])
def test_a_torn_tail_is_dropped_and_run_again(copied, engine, tail):
    expected = contents(copied)
    whole = (copied / "runs.jsonl").read_bytes()
    for at in range(999, len(whole), len(whole) // 4):
        end = whole.rfind(b"\n", 0, at) + 1
        (copied / "runs.jsonl").write_bytes(whole[:end] + tail)
        run(make_study(), copied, engine=engine)
        assert contents(copied) == expected


@pytest.mark.parametrize("damage", ["missing", "torn", "garbage", "zeros", "short", "locked"])
def test_the_journal_is_rebuilt_from_the_table(copied, engine, damage):
    expected = contents(copied)
    journal = copied / "optuna.journal"
    data = journal.read_bytes()
    whole = (copied / "runs.jsonl").read_bytes()
    cut(copied, whole.find(b"\n", len(whole) // 2) + 1)
    match damage:
        case "missing":
            journal.unlink()
        case "torn":
            journal.write_bytes(data[: len(data) // 2])
        case "garbage":
            journal.write_bytes(b"not a journal\n" * 9)
        case "zeros":
            journal.write_bytes(data[: len(data) // 3] + b"\0" * 999)
        case "short":
            lines = data.splitlines(keepends=True)
            journal.write_bytes(b"".join(lines[len(lines) // 4 :]))
        case "locked":
            (copied / "optuna.journal.lock").touch()
    began = time.monotonic()
    run(make_study(), copied, engine=engine)
    assert contents(copied) == expected
    # Optuna itself waits half a minute before it breaks a lock.
    assert time.monotonic() - began < 20


def test_running_a_finished_study_again_changes_nothing(copied, engine):
    def stamps():
        return {path: path.stat().st_mtime_ns for path in [copied, *copied.rglob("*")]}

    before = stamps()
    events = []
    run(make_study(), copied, listener=events.append, engine=engine)
    assert stamps() == before
    assert not any(isinstance(event, RunsFinished) for event in events)
    assert events[-1].ran == 0


def test_lost_artifacts_are_made_again(copied, engine):
    expected = contents(copied)
    rows = (copied / "runs.jsonl").read_bytes()
    (copied / "samples" / "alpha-ring-walk.npz").unlink()
    run(make_study(), copied, engine=engine)
    assert contents(copied) == expected
    assert (copied / "runs.jsonl").read_bytes() == rows


class Shuffled(InProcess):
    """Many workers that answer in any order."""

    def __init__(self, seed):
        self.workers = 5
        self.capacity = 10
        self._rng = random.Random(seed)
        self._pending = []

    def submit(self, task, seconds=None):
        future = Future()
        self._pending.append((future, task))
        if len(self._pending) == self.capacity or self._rng.random() < 0.3:
            self.settle()
        return future

    def settle(self):
        self._rng.shuffle(self._pending)
        for future, task in self._pending:
            try:
                future.set_result(task())
            except Exception as error:
                future.set_exception(error)
        self._pending.clear()


@pytest.mark.parametrize("seed", range(5))
def test_neither_packing_nor_order_of_completion_matters(
    finished, tmp_path, engine, monkeypatch, seed
):
    pool = Shuffled(seed)
    monkeypatch.setattr(study_module, "open_pool", lambda workers, **options: pool)
    monkeypatch.setattr(engine, "together", lambda _: 1 + seed)
    real = Interrupt.wait

    def wait(interrupt, futures, seconds=None):
        pool.settle()  # tasks that are still held back when the scheduler waits
        return real(interrupt, futures, seconds)

    monkeypatch.setattr(Interrupt, "wait", wait)
    run(make_study(), tmp_path / "out", engine=engine)
    assert contents(tmp_path / "out") == contents(finished)


@pytest.mark.parametrize("workers", [2, 4])
def test_worker_processes_give_the_same_directory(finished, tmp_path, engine, workers):
    run(make_study(), tmp_path / "out", workers=workers, engine=engine)
    assert contents(tmp_path / "out") == contents(finished)


def test_batch_one_and_a_searched_learning_rate(tmp_path, engine):
    study = make_study(methods=["beta"], search={"batch": 1}, training={"learning_rate": 0.01})
    run(study, tmp_path / "a", engine=engine)
    run(study, tmp_path / "b", engine=engine)
    cut(tmp_path / "b", (tmp_path / "b" / "runs.jsonl").stat().st_size * 2 // 3)
    run(study, tmp_path / "b", engine=engine)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_listener_is_told_what_happens(copied, engine):
    whole = (copied / "runs.jsonl").read_bytes()
    total = whole.count(b"\n")
    cut(copied, whole.find(b"\n", len(whole) // 2) + 1)
    done = (copied / "runs.jsonl").read_bytes().count(b"\n")
    events = []
    run(make_study(), copied, listener=events.append, engine=engine)
    started, *middle, ended = events
    assert isinstance(started, StudyStarted)
    assert started.done == done
    # Cell delta has no winner: its finalists and confirmation are foreseen but never run.
    assert started.total == total + 2 * 2 + 3
    assert isinstance(ended, StudyFinished)
    assert ended.rows == total
    assert ended.ran == total - done
    assert ended.failures == read_results(copied, engine).state.ne("ok").sum()
    cells = {event.cell.method: event for event in middle if isinstance(event, CellFinished)}
    assert len(cells) == started.cells == 8
    assert not cells["truth"].fresh
    assert cells["epsilon"].fresh
    assert cells["delta"].winner is None
    assert cells["delta"].confirmed is None
    runs = [event for event in middle if isinstance(event, RunsFinished)]
    assert runs[-1].done == runs[-1].total == total


def test_code_that_changed_is_refused(copied):
    from scorebench.datasets.errors import UsageError

    with pytest.raises(UsageError, match="has changed since"):
        run(make_study(), copied, engine=FakeEngine(code="2"))


def test_locks_that_optuna_left_are_removed(copied):
    # Killed while it gives its lock back, it leaves it under another name.
    for name in ("optuna.journal.lock", "optuna.journal.lock0f18b407.rename"):
        (copied / name).touch()
    run(make_study(), copied, engine=FakeEngine())
    assert not list(copied.glob("*.lock?*"))
    assert not (copied / "optuna.journal.lock").exists()
