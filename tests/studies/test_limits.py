"""Runs and studies that may not take longer than they are given."""

import io
import os
import sys
import threading
import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import cloudpickle
import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.execution import pools as pools_module
from scorebench.studies.execution.events import RunsFinished
from scorebench.studies.execution.pools import (
    InProcess,
    LostWorkerError,
    Processes,
    TimeLimitError,
    _ends,
    _kill,
)
from scorebench.studies.execution.scheduler import OutOfTime
from scorebench.studies.results import read_results
from scorebench.studies.rundir.read import read_rows, read_study
from scorebench.studies.study import run

from .conftest import contents, make_study
from .fake_engine import FakeEngine

# Workers cannot import test modules.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Slow(FakeEngine):
    """Runs of ``gamma`` with one of the widths never end."""

    def __init__(self, width, pids=None):
        super().__init__()
        self.width = width
        self.pids = pids

    def _run(self, spec, keep):
        if spec.method.options.get("width") == self.width:
            if self.pids is not None:
                Path(self.pids, str(os.getpid())).touch()
            time.sleep(600)
        return super()._run(spec, keep)


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_never_ends_is_stopped_and_becomes_a_row(tmp_path, workers):
    pids = tmp_path / "pids"
    pids.mkdir()
    limited = make_study(
        methods=["alpha", "gamma"], search={"trials": 8}, limits={"run_seconds": 2.0}
    )
    out = tmp_path / "out"
    run(limited, out, workers=workers, engine=Slow(5, str(pids)))
    table = read_results(out, FakeEngine())
    late = table[table.state == "timeout"]
    assert len(late)
    assert set(late["params.width"]) == {5}
    assert set(late.failure) == {"worker: took longer than 2 s"}
    assert not (table[table["params.width"] == 5].state == "ok").any()
    assert (table[table.method == "alpha"].state == "ok").all()
    assert list(pids.iterdir())
    assert not any(alive(path.name) for path in pids.iterdir())


def test_limits_change_no_result_and_may_change_at_any_time(finished, copied, tmp_path, engine):
    limited = make_study(limits={"run_seconds": 30, "study_seconds": 60.5})
    run(limited, tmp_path / "out", engine=engine)
    found, wanted = contents(tmp_path / "out"), contents(finished)
    found.pop("study.toml"), wanted.pop("study.toml")
    assert found == wanted
    assert read_study(tmp_path / "out") == limited
    events = []
    run(limited, copied, listener=events.append, engine=engine)
    assert not any(isinstance(event, RunsFinished) for event in events)
    assert read_study(copied).limits == limited.limits


@pytest.mark.parametrize("workers", [1, 2])
def test_a_study_that_is_out_of_time_stops_and_continues_later(finished, tmp_path, workers):
    study = make_study(limits={"study_seconds": 5.0})
    began = time.monotonic()
    with pytest.raises(OutOfTime):
        run(study, tmp_path / "out", workers=workers, engine=FakeEngine(delay=0.5))
    assert time.monotonic() - began < 12
    assert read_rows(tmp_path / "out")
    assert not (tmp_path / "out" / "results.csv").exists()
    run(make_study(), tmp_path / "out", engine=FakeEngine())
    assert contents(tmp_path / "out") == contents(finished)


@pytest.mark.parametrize("value", [0, -1, "soon", float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["run_seconds", "study_seconds"])
def test_impossible_limits(name, value):
    with pytest.raises(UsageError, match=name):
        make_study(limits={name: value})


def test_one_stopped_worker_leaves_the_others_alone(tmp_path):
    pool = Processes(2)
    stuck = pool.submit(partial(time.sleep, 60), 0.3)
    others = [pool.submit(partial(pow, n, 2), 5) for n in range(40)]
    assert [future.result(10) for future in others] == [n**2 for n in range(40)]
    with pytest.raises(TimeLimitError):
        stuck.result(10)
    dead = pool.submit(partial(os._exit, 3))
    after = pool.submit(os.getpid)
    with pytest.raises(LostWorkerError):
        dead.result(10)
    assert after.result(10) != os.getpid()
    with pytest.raises(ZeroDivisionError):
        pool.submit(partial(divmod, 1, 0)).result(10)
    pool.close(kill=False)


def _grow(size):
    """What a worker keeps for its next runs."""
    sys.kept = bytearray(size)
    return os.getpid()


def test_what_a_worker_keeps_is_no_leak():
    pytest.importorskip("psutil", reason="loky measures memory with it")
    pool = Processes(1)
    try:
        first = pool.submit(os.getpid).result(20)
        time.sleep(1.1)  # loky measures once a second
        assert pool.submit(partial(_grow, 500_000_000)).result(20) == first
        time.sleep(0.2)
        assert pool.submit(os.getpid).result(20) == first
    finally:
        pool.close(kill=True)


def test_closing_does_not_wait_for_what_is_under_way():
    pool = Processes(2)
    futures = [pool.submit(partial(time.sleep, 60)) for _ in range(5)]
    time.sleep(0.3)
    began = time.monotonic()
    pool.close(kill=True)
    assert time.monotonic() - began < 2
    assert futures


def test_in_this_process_nothing_can_be_stopped():
    with pytest.raises(ValueError, match="cannot have a time limit"):
        InProcess().submit(os.getpid, 1.0)


def test_killing_an_executor_that_is_just_handing_out_a_task_says_nothing(monkeypatch):
    said = []
    monkeypatch.setattr(threading, "excepthook", lambda seen: said.append(seen.exc_value))
    for _ in range(5):
        executor = Processes(1)._start()
        executor.submit(time.sleep, 0).result()
        time.sleep(0.05)
        executor.submit(time.sleep, 60)
        began = time.monotonic()
        _kill(executor)
        assert time.monotonic() - began < 10
    assert said == []


def _fail(error):
    raise error


@pytest.mark.parametrize(
    "error", [OSError("no semaphores"), AssertionError("daemonic"), ImportError("no torch")]
)
def test_a_worker_that_cannot_start_stops_the_study_and_leaves_no_row(tmp_path, monkeypatch, error):
    monkeypatch.setattr(Processes, "_start", lambda _: _fail(error))
    with pytest.raises(UsageError, match=f"cannot be started.*{error}.*--workers 1") as caught:
        run(make_study(), tmp_path / "out", workers=2, engine=FakeEngine())
    assert "\n" not in str(caught.value)
    assert read_rows(tmp_path / "out") == []
    monkeypatch.undo()
    run(make_study(methods=["alpha"]), tmp_path / "out", engine=FakeEngine())


class Forgetful(FakeEngine):
    """Knows the method ``alpha`` in the process that made it only."""

    def __init__(self):
        super().__init__()
        self.pid = os.getpid()

    def names(self, kind):
        known = super().names(kind)
        return known if os.getpid() == self.pid else tuple(n for n in known if n != "alpha")


def test_a_method_that_workers_do_not_know_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"do not know the method 'alpha': .* under plugins"):
        run(make_study(), tmp_path / "out", workers=2, engine=Forgetful())
    assert read_rows(tmp_path / "out") == []
    run(make_study(methods=["alpha"]), tmp_path / "out", workers=1, engine=Forgetful())


@pytest.mark.parametrize("kind", ["missing", "closed"])
def test_workers_start_without_a_standard_output(monkeypatch, kind):
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stdout", None if kind == "missing" else stream)
    pool = Processes(1)
    try:
        assert pool.submit(os.getpid).result(20) != os.getpid()
    finally:
        pool.close(kill=True)


def test_time_for_which_a_process_was_stopped_does_not_count(monkeypatch):
    """A job that is suspended and continued: a moment of waiting takes long."""
    future = Future()

    def wait(futures, timeout):
        waited.append(timeout)
        time.sleep(0.05)
        if len(waited) == 3:
            future.set_result(None)
        return futures_wait(futures, timeout=0)

    waited, futures_wait = [], pools_module.wait
    monkeypatch.setattr(pools_module, "wait", wait)
    monkeypatch.setattr(pools_module, "_PULSE", 0.01)
    assert _ends(future, 0.04)
    assert not _ends(Future(), 0.02)
