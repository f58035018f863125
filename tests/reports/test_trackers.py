"""Trackers: the real packages hold every run of a study, also of an interrupted one."""

import math
import struct
import subprocess
import sys

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.reports import trackers
from scorebench.reports.trackers import Tracking
from scorebench.studies.execution.events import CellFinished, RunsFinished
from scorebench.studies.rundir.read import read_rows
from scorebench.studies.study import run
from scorebench.tests.studies.conftest import make_study
from scorebench.tests.studies.fake_engine import FakeEngine

STUDY = make_study(
    methods=["beta", "delta"], search={"trials": 4, "batch": 2}, confirm={"seeds": 1},
    reference={"floors": 1, "seeds": 1},
)  # fmt: skip


class StopError(Exception):
    pass


def interrupted_and_resumed(name, directory):
    """Run a study, whose process ends after three tasks; return its rows."""
    left = [3]

    def stop(event):
        left[0] -= isinstance(event, RunsFinished)
        if left[0] == 0:
            left[0] = -1
            raise StopError

    # Events are told before the listener after it stops the study.
    with pytest.raises(StopError), Tracking([name]) as first:
        run(STUDY, directory, engine=FakeEngine(), listener=lambda e: (first(e), stop(e)))
    with Tracking([name]) as second:
        # Cells alternate.
        run(STUDY, directory, engine=FakeEngine(), listener=second, workers=2)
    return read_rows(directory)


def test_mlflow_has_a_parent_for_every_cell_and_a_child_for_every_run(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    # To make a database takes MLflow a quarter of a minute.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    mlflow.set_tracking_uri(None)
    rows = interrupted_and_resumed("mlflow", tmp_path / "run")
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("small")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = {r.info.run_id: r for r in runs if "mlflow.parentRunId" not in r.data.tags}
    assert sorted(r.info.run_name for r in parents.values()) == sorted(
        {row.slot.cell.stem for row in rows}
    )
    children = [r for r in runs if r.info.run_id not in parents]
    assert len(children) == len(rows)
    by_name = {(parents[r.data.tags["mlflow.parentRunId"]].info.run_name, r.info.run_name): r
               for r in children}  # fmt: skip
    for row in rows:
        found = by_name[row.slot.cell.stem, row.name.removesuffix(f" of {row.slot.cell.stem}")]
        assert found.info.status == ("FINISHED" if row.ok else "FAILED")
        assert found.data.params == {k: str(v) for k, v in (row.suggested or {}).items()}
        finite = {k: v for k, v in row.result.metrics.items() if math.isfinite(v)}
        assert finite.items() <= found.data.metrics.items()
        assert found.data.tags["key"] == row.result.key
        assert row.ok or "the loss is not finite" in found.data.tags["failure"]
    best = next(r for r in parents.values() if r.info.run_name == "beta-ring-walk")
    confirmed = [row.loss("mmd") for row in rows
                 if row.slot.phase == "confirm" and row.slot.cell.method == "beta"]  # fmt: skip
    assert best.data.metrics["confirmed"] == confirmed[0]
    assert best.info.status == "FINISHED"


def wandb_records(data):
    """Read the records of a ``.wandb`` file: LevelDB's log, in blocks of 32 KiB."""
    at, parts = 7, []
    while at + 7 <= len(data):
        if at % 32768 > 32768 - 7:
            at += -at % 32768
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        parts.append(data[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):
            yield b"".join(parts)
            parts = []


def test_wandb_has_a_step_for_every_run(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    rows = interrupted_and_resumed("wandb", tmp_path / "run")
    found, names = [], set()
    for path in tmp_path.rglob("*.wandb"):
        for data in wandb_records(path.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(data)
            if record.run.display_name:
                names.add(record.run.display_name)
            values = {item.key or item.nested_key[0]: item.value_json
                      for item in record.history.item}  # fmt: skip
            if "key" in values:
                found.append(values)
    assert names == {row.slot.cell.stem for row in rows}
    assert sorted(values["key"].strip('"') for values in found) == sorted(
        row.result.key for row in rows
    )
    assert any("params.sigma" in values for values in found)


@pytest.mark.slow
def test_trackio_has_a_step_for_every_run(tmp_path):
    pytest.importorskip("trackio")
    # Its folder is decided when it is imported.
    script = (
        "import os, sys; os.environ['TRACKIO_DIR'] = sys.argv[1]\n"
        "from pathlib import Path\n"
        "from scorebench.tests.reports.test_trackers import interrupted_and_resumed\n"
        "rows = interrupted_and_resumed('trackio', Path(sys.argv[1]) / 'run')\n"
        "from trackio.sqlite_storage import SQLiteStorage\n"
        "runs = SQLiteStorage.get_runs('small')\n"
        "logs = [log for run in runs for log in SQLiteStorage.get_logs('small', run)]\n"
        "assert len(runs) == len({row.slot.cell for row in rows}), runs\n"
        "keys = sorted(log['key'] for log in logs if 'key' in log)\n"
        "assert keys == sorted(row.result.key for row in rows), (len(keys), len(rows))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b""


class Recorder:
    def __init__(self):
        self.calls = []

    def open(self, study, directory, cell, identity):
        self.calls.append(("open", cell.stem, identity))
        return cell.stem

    def log(self, handle, row, numbers, tags):
        self.calls.append(("log", handle, row))

    def close(self, handle, numbers):
        self.calls.append(("close", handle, numbers))


@pytest.fixture
def recorder(monkeypatch):
    made = Recorder()
    monkeypatch.setitem(trackers.TRACKERS, "json", lambda: made)
    return made


def test_events_reach_trackers_and_the_listener(recorder, tmp_path):
    events = []
    run(STUDY, tmp_path / "run", engine=FakeEngine(), listener=Tracking(["json"], events.append))
    rows = read_rows(tmp_path / "run")
    assert sum(call[0] == "log" for call in recorder.calls) == len(rows)
    cells = [event for event in events if isinstance(event, CellFinished)]
    closed = {call[1]: call[2] for call in recorder.calls if call[0] == "close"}
    assert set(closed) == {event.cell.stem for event in cells}
    assert closed["delta-ring-walk"] == {"failures": 4}
    assert closed["beta-ring-walk"]["winner"] in range(4)
    identities = {call[2] for call in recorder.calls if call[0] == "open"}
    assert len(identities) == len(cells)
    recorder.calls.clear()
    run(STUDY, tmp_path / "run", engine=FakeEngine(), listener=Tracking(["json"]))
    assert recorder.calls == []


def test_a_tracker_that_fails_does_not_stop_a_study(recorder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(recorder, "log", lambda *_: 1 / 0)
    run(STUDY, tmp_path / "run", engine=FakeEngine(), listener=Tracking(["json"]))
    assert (
        capsys.readouterr().err
        == "WARNING: json is no longer told: ZeroDivisionError: division by zero\n"
    )
    assert read_rows(tmp_path / "run")


def test_unknown_and_missing_trackers_are_refused(monkeypatch):
    with pytest.raises(UsageError, match="unknown tracker 'mlfow': did you mean 'mlflow'"):
        Tracking(["mlfow"])
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'scorebench\[wandb\]'"):
        Tracking(["wandb"])
