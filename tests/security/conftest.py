"""A finished study over the fake engine, and how its rows are doctored."""

import json
import shutil

import pytest
from scorebench.studies.study import run

from ..studies.conftest import make_study
from ..studies.fake_engine import FakeEngine


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
