"""Reading somebody's run directory executes nothing that was not run here before."""

import os
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest
import scorebench as sb
from scorebench.bench.plugins import PluginFile
from scorebench.datasets.errors import UsageError
from scorebench.datasets.private import user_folder
from scorebench.reports.merge import merge
from scorebench.reports.source import load
from scorebench.reports.write import write_report
from scorebench.studies import trust as trust_module
from scorebench.studies.progress import status
from scorebench.studies.replay import replay
from scorebench.studies.results import read_results
from scorebench.studies.rundir.store import Store
from scorebench.studies.sample import sample
from scorebench.studies.specs.load import load_study, parse, read_study_file
from scorebench.studies.winners import best


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "executed"


@pytest.fixture
def foreign(tmp_path, marker):
    """A run directory from elsewhere, whose study carries code."""
    code = f"from pathlib import Path\nPath({str(marker)!r}).touch()\n"
    study = parse(
        {
            "name": "foreign", "methods": ["dsm"], "datasets": ["rings"],
            "samplers": ["langevin"], "objective": "mmd",
            "plugins": [PluginFile(file="evil.py", code=code).model_dump()],
        },
        "test",
    )  # fmt: skip
    with Store(tmp_path / "foreign", study):
        pass
    return tmp_path / "foreign"


READERS = {
    "results": read_results,
    "status": status,
    "best": lambda folder: best(folder, "dsm", "rings"),
    "sample": lambda folder: sample(folder, "dsm", "rings"),
    "replay": replay,
    "report": lambda directory: write_report(load(directory)),
    "merge": lambda folder: merge(folder.parent / "merged", [folder, folder]),
}


@pytest.mark.parametrize("reader", READERS)
def test_reading_executes_nothing(foreign, marker, reader):
    with pytest.raises(UsageError) as caught:
        READERS[reader](foreign)
    assert not marker.exists()
    if reader not in ("sample", "merge"):
        assert "not yet trusted on this machine (evil.py)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_was_trusted_here_may_be_read_also_by_later_processes(foreign, marker):
    with pytest.raises(UsageError, match="not yet trusted"):
        load_study(foreign / "study.toml")
    assert not marker.exists()
    sb.trust(foreign)
    assert not marker.exists()
    load_study(foreign / "study.toml")
    assert marker.exists()
    marker.unlink()
    command = [sys.executable, "-m", "scorebench", "status", str(foreign)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert marker.exists()
    stranger = {**os.environ, trust_module.VARIABLE: str(foreign.parent / "empty")}
    marker.unlink()
    done = subprocess.run(command, capture_output=True, text=True, env=stranger)
    assert (done.returncode, marker.exists()) == (2, False)
    assert len(done.stderr.strip().splitlines()) == 1


def test_where_nothing_can_be_kept_it_holds_for_the_process(foreign, monkeypatch):
    monkeypatch.setenv(trust_module.VARIABLE, "/proc/nowhere")
    sb.trust(foreign)
    status(foreign)


def test_no_pickle_is_read_and_nothing_is_unpickled_by_readers():
    """Arrays are read without pickle; the one thing unpickled is what workers send."""
    root = Path(trust_module.__file__).resolve().parents[1]
    found = {
        f"{path.relative_to(root)}: {word}"
        for room in ("datasets", "methods", "bench", "studies", "reports")
        for path in (root / room).rglob("*.py")
        for word in ("pickle.load", "torch.load", "allow_pickle=True", "joblib.load", "yaml.load",
                     "eval(", "shell=True")
        if f"{word}" in path.read_text().replace("retrieval(", "").replace(".eval()", "")
    }  # fmt: skip
    assert found <= {"studies/execution/dask_pool.py: pickle.load"}


@pytest.mark.parametrize("kind", ["cache", "state"])
def test_users_without_a_home_have_no_folders(foreign, monkeypatch, kind):
    monkeypatch.setattr(
        platformdirs, f"user_{kind}_dir", lambda *_, **__: str(Path("~x").expanduser())
    )
    monkeypatch.delenv(trust_module.VARIABLE)
    assert user_folder(kind, "SCOREBENCH_NOTHING") is None
    trust_module.trust(read_study_file(foreign / "study.toml").code)
    status(foreign)
