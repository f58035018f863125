"""The dashboard shows and never writes; TensorBoard gets the curves that were kept."""

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import TrialState
from scorebench.datasets.errors import UsageError
from scorebench.reports import dashboard
from scorebench.reports.source import load
from scorebench.reports.tensorboard import write_tensorboard
from scorebench.studies.cell import Cell
from scorebench.studies.rundir.optuna_storage import open_journal
from scorebench.studies.rundir.read import read_rows

from .conftest import study


@pytest.fixture
def running(make_directory: Callable[[pd.DataFrame], Path]) -> Path:
    folder = make_directory(study(datasets=("rings",)))
    storage = open_journal(folder / "optuna.journal")
    search = optuna.create_study(study_name="dsm-rings-langevin", storage=storage)
    search.optimize(lambda trial: trial.suggest_float("sigma", 0.02, 0.5), n_trials=3)
    return folder


def test_the_view_follows_a_writer_and_changes_nothing(running: Path):
    view = dashboard.open_searches(running)
    shown = optuna.load_study(study_name="dsm-rings-langevin", storage=view)
    assert len(shown.trials) == 3
    journal = running / "optuna.journal"
    before = journal.read_bytes()
    with pytest.raises(UsageError, match="is read-only here"):
        shown.set_user_attr("note", "mine")
    assert journal.read_bytes() == before
    writer = optuna.load_study(study_name="dsm-rings-langevin", storage=open_journal(journal))
    writer.optimize(lambda trial: trial.suggest_float("sigma", 0.02, 0.5), n_trials=2)
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "half a li')
    assert len(shown.trials) == 5, "and the torn line is waited for"


def test_the_dashboard_is_served_on_this_machine_only(running: Path):
    pytest.importorskip("optuna_dashboard")
    assert dashboard.HOST == "127.0.0.1"
    before = (running / "optuna.journal").read_bytes()
    with socket.socket() as free:
        free.bind((dashboard.HOST, 0))
        port = free.getsockname()[1]
    threading.Thread(target=dashboard.serve, args=(running, port), daemon=True).start()
    for _ in range(100):
        try:
            address = f"http://{dashboard.HOST}:{port}/api/studies"
            with urllib.request.urlopen(address, timeout=5) as answer:
                found = json.load(answer)
            break
        except OSError:
            time.sleep(0.1)
    assert [one["study_name"] for one in found["study_summaries"]] == ["dsm-rings-langevin"]
    with pytest.raises(UsageError, match=f"port {port}"):
        dashboard.serve(running, port)
    assert (running / "optuna.journal").read_bytes() == before


def test_trials_carry_what_the_table_has_of_them(finished):
    view = dashboard.open_searches(finished)
    rows = [row for row in read_rows(finished) if row.slot.cell.method == "gamma"]
    shown = optuna.load_study(study_name="gamma-ring-walk", storage=view)
    assert shown.metric_names == ["mmd"]
    searched = {r.slot.trial: r for r in rows if r.slot.phase == "search" and not r.slot.replicate}
    assert {row.result.state for row in searched.values()} > {"ok"}
    for trial in shown.trials:
        row = searched[trial.number]
        attributes = trial.user_attrs
        assert attributes["state"] == row.result.state
        assert attributes["restart"] == 0
        if row.loss("mmd") < np.inf:
            assert trial.value == attributes["mmd"] == row.result.metrics["mmd"]
            assert attributes["sw1"] == row.result.metrics["sw1"]
        else:
            assert (trial.state, trial.value) == (TrialState.FAIL, None)
        if not row.ok:
            assert row.result.failure.reason in attributes["failure"]
    (winner,) = {row.slot.trial for row in rows if row.slot.phase == "confirm"}
    pictured = {t.number for t in shown.trials if any("artifacts:" in k for k in t.system_attrs)}
    assert pictured == {winner}
    failed = shown.get_trials(states=[TrialState.FAIL])
    assert {t.number for t in failed} > {n for n, row in searched.items() if not row.ok}
    assert view.get_trial(failed[0]._trial_id).user_attrs == failed[0].user_attrs


def test_the_picture_of_a_winner_is_drawn_when_asked_for(running: Path):
    view = dashboard.open_searches(running)
    store = dashboard.Pictures(running, view)
    cell = Cell("dsm", "rings", "langevin")
    view.picture = lambda artifact: cell
    assert store.open_reader("0").read(8) == b"\x89PNG\r\n\x1a\n"
    with pytest.raises(ArtifactNotFound):
        dashboard.open_searches(running).picture("0")
    with pytest.raises(UsageError, match="read-only"):
        store.remove("0")


def test_without_a_search_there_is_nothing_to_show(directory: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="has no search yet"):
        dashboard.open_searches(directory)
    text = (directory / "study.toml").read_text()
    (directory / "study.toml").write_text(f'recorded = "recorded"\n{text}')
    with pytest.raises(UsageError, match="looks up recorded runs, and stores no searches"):
        dashboard.open_searches(directory)
    with pytest.raises(UsageError, match="not a run directory"):
        dashboard.open_searches(tmp_path)


def test_tensorboard_reads_the_curves_back(running: Path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = write_tensorboard(load(running))
    events = EventAccumulator(str(folder / "dsm" / "rings" / "langevin"))
    events.Reload()
    tags = events.Tags()
    kinds = ("loss", "gradient", "excess", "mmd", "sw1")
    wanted = {f"{kind}/{i}" for kind in kinds for i in range(5)} | {"confirmed/sw1"}
    assert wanted == set(tags["scalars"])
    assert tags["images"] == ["panels"]
    with np.load(running / "curves" / "dsm-rings-langevin.npz") as file:
        steps, losses, norms = file["curves"][2].T
    for kind, expected in (("loss", losses), ("gradient", norms), ("excess", losses - 11.5)):
        found = np.array([(one.step, one.value) for one in events.Scalars(f"{kind}/2")])
        np.testing.assert_allclose(found, np.stack([steps, expected], 1), rtol=1e-6)
    looked = [(one.step, one.value) for one in events.Scalars("sw1/2")]
    np.testing.assert_allclose(looked, [(1000, 0.3), (2000, 0.2)], rtol=1e-6)
