"""Bad input to the command line: one line and exit status 2, before anything runs."""

import os
import re
import sys

import pytest
from scorebench.__main__ import app
from scorebench.datasets.errors import UsageError

from .commands import scorebench

BAD = {
    "run nothing_like_it": "unknown study 'nothing_like_it'",
    "run quik": "did you mean 'quick'",
    "run quick -o methods=['dsn']": "did you mean 'dsm'",
    "run quick -o datasets=['ring']": "did you mean 'rings'",
    "run quick -o samplers=['langvin']": "did you mean 'langevin'",
    "run quick -o objective='mdm'": "did you mean 'mmd'",
    "run quick -o trainin.steps=1": "did you mean 'training'",
    "run quick -o training.step=1": "did you mean 'training.steps'",
    "run quick -o training.steps=-1": "training.steps",
    "run quick -o training.steps='many'": "training.steps",
    "run quick -o confirm.seeds=0": "confirm.seeds",
    "run quick -o evaluation.samples=1": "evaluation.samples",
    "run quick -o training.steps=1 -o training.steps=2": "training.steps",
    "run quick -o search.trials=0": "sigma",
    "run quick -o training.steps": "training.steps",
    "run quick --workers 0": "0 workers",
    "run quick --workers many": "--workers",
    "run quick --wokers 2": "--wokers",
    "status /": "not a run directory",
    "leaderboard no/such/place": "no/such/place",
    "frobnicate": "frobnicate",
    "replay DIR": "--all",
    "replay DIR dms rings": "did you mean 'dsm'",
    "best DIR dsm ring": "did you mean 'rings'",
    "leaderboard DIR --format pdf": "pdf",
}


@pytest.mark.parametrize("command", BAD)
def test_bad_input_is_one_line_and_status_2(command, tiny_run, tmp_path):
    words = [str(tiny_run) if word == "DIR" else word for word in command.split()]
    done = scorebench(*words, cwd=tmp_path, check=2)
    assert done.stdout == ""
    assert BAD[command] in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "missing", "extra"),
    [
        (["--tensorboard"], "torch.utils.tensorboard", "scorebench[tensorboard]"),
        (["--storage", "postgresql+psycopg://me@here/mine"], "psycopg", "scorebench[postgres]"),
        (["--backend", "dask"], "distributed", "scorebench[dask]"),
    ],
)
def test_missing_extras_are_found_before_a_study_runs(
    options, missing, extra, tiny_toml, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr("scorebench.studies.study.Store", None)
    out = tmp_path / "run"
    with pytest.raises(UsageError, match=re.escape(f"not installed: pip install '{extra}'")):
        app(["run", str(tiny_toml), "--out", str(out), *options], standalone_mode=False)
    assert not out.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_write_permission_is_said(tiny_toml, tmp_path):
    tmp_path.chmod(0o500)
    done = scorebench("run", tiny_toml, "--out", tmp_path / "here", check=2)
    assert len(done.stderr.strip().splitlines()) == 1
