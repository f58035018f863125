"""Run directories of a stranger, how their rows are doctored, and commands that are given them."""

import json
import shutil
import sys

import pytest
import scorebench as sb
from scorebench.__main__ import main
from scorebench.bench import plugins
from scorebench.studies import trust
from scorebench.studies.study import run

from ..studies.conftest import make_study
from ..studies.fake_engine import FakeEngine

MICRO = [
    "name='theirs'", "methods=['dsm']", "datasets=['rings']", "objective='sw1'",
    "samplers=[{name='langevin', steps=5}]", "network.width=8", "training.steps=5",
    "training.batch_size=16", "training.points=100", "search.trials=2", "search.batch=2",
    "search.finalists=1", "search.restarts=1", "confirm.seeds=2", "reference.floors=2",
    "reference.seeds=1", "evaluation.samples=40",
]  # fmt: skip


@pytest.fixture(scope="session")
def micro_run(tmp_path_factory):
    """A finished run directory; not to be changed."""
    out = tmp_path_factory.mktemp("micro") / "theirs"
    sb.run("quick", out, workers=1, overrides=MICRO)
    return out


@pytest.fixture
def theirs(micro_run, tmp_path):
    """The same run directory as somebody sent it; a test puts an attack into it."""
    return shutil.copytree(micro_run, tmp_path / "theirs")


@pytest.fixture
def canary(tmp_path):
    """A path at which code that was executed leaves a file."""
    return tmp_path / "canary"


@pytest.fixture(autouse=True)
def _fresh_user(tmp_path, monkeypatch):
    """A user who has trusted no code yet, in a process that has executed none."""
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    for name in ("_active", "_permitted"):
        value = getattr(plugins, name)
        monkeypatch.setattr(plugins, name, type(value)())
    monkeypatch.setattr(trust, "_trusted", {})


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command in this process; return its exit status, output and errors."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["scorebench", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        done = capsys.readouterr()
        return end.value.code, done.out, done.err

    return call


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run directory; not to be changed."""
    directory = tmp_path_factory.mktemp("finished") / "small"
    metrics = ["mmd", "sw1", "sw2", "fit"]
    run(make_study(evaluation={"metrics": metrics}), directory, engine=FakeEngine())
    return directory


@pytest.fixture
def copied(finished, tmp_path):
    """A finished run directory that may be changed."""
    return shutil.copytree(finished, tmp_path / "small")


@pytest.fixture
def doctor(copied):
    """Change rows of a run directory, as ``doctor(change, method=..., phase=...)``.

    ``change`` is called with the parsed line and may return the lines to write instead.
    """

    def apply(change, method=None, phase=None, directory=copied, **where):
        table = directory / "runs.jsonl"
        lines, changed = [], 0
        for line in map(json.loads, table.read_text().splitlines()):
            label = line["cell"][0]
            chosen = method in (None, label) and phase in (None, line["phase"])
            if chosen and all(line[name] == value for name, value in where.items()):
                changed += 1
                lines += change(line) or [line]
            else:
                lines.append(line)
        assert changed
        table.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        return directory

    return apply
