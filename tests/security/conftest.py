"""A run directory of a stranger, and commands that are given it."""

import shutil
import sys

import pytest
import scorebench as sb
from scorebench.__main__ import main
from scorebench.bench import plugins
from scorebench.studies import trust

MICRO = [
    "name='theirs'", "methods=['dsm']", "datasets=['rings']", "objective='sw1'",
    "samplers=[{name='langevin', steps=5}]", "network.width=8", "training.steps=5",
    "training.batch_size=16", "training.points=100", "search.trials=2", "search.batch=2",
    "search.finalists=1", "confirm.seeds=2", "reference.floors=2", "reference.seeds=1",
    "evaluation.samples=40",
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
