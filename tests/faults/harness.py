"""A study in a process of its own that is disturbed, and what must come of it all the same."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from scorebench.studies.rundir.read import read_rows
from scorebench.studies.study import run

from ..studies.conftest import contents, make_study
from ..studies.fake_engine import FakeEngine

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import os, sys
sys.path.insert(0, {root!r})
from tests.studies.conftest import make_study
from tests.studies.fake_engine import FakeEngine
from scorebench.datasets.errors import UsageError
from scorebench.studies.study import run
if __name__ == "__main__":
    {before}
    try:
        run(make_study(), sys.argv[1], workers={workers}, engine=FakeEngine(delay={delay}), {more})
    except UsageError as error:
        sys.exit(f"refused: {{error}}")
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.exit(130)
"""


def start(directory, *, workers=2, delay=0.02, before="pass", more=""):
    """Run the small study in a process group of its own."""
    code = SCRIPT.format(root=str(ROOT), workers=workers, delay=delay, before=before, more=more)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(directory)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def size(directory):
    """Bytes of the table."""
    table = Path(directory) / "runs.jsonl"
    return table.stat().st_size if table.exists() else 0


def lines(directory):
    """Lines of the table."""
    table = Path(directory) / "runs.jsonl"
    return table.read_bytes().count(b"\n") if table.exists() else 0


def wait_for(condition, process=None, seconds=60):
    """Wait until something holds, or a process has ended."""
    deadline = time.monotonic() + seconds
    while not condition() and (process is None or process.poll() is None):
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.005)


def descendants(pid):
    """Worker processes below a controller, book-keepers of loky left out."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if fields[0] != "Z" and b"resource_tracker" not in command:
            parents[int(entry.name)] = int(fields[1])
    found, fresh = set(), {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return sorted(found)


def kill_group(process):
    """End a controller and all that it started, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def whole_rows(directory):
    """Places that have a row; none may have two."""
    table = Path(directory) / "runs.jsonl"
    if not table.exists():
        return set()
    rows = read_rows(directory)
    slots = [row.slot for row in rows]
    assert len(slots) == len(set(slots))
    return set(slots)


def finish(directory, **options):
    """Let the study end undisturbed and give all that must not depend on what happened."""
    run(make_study(), directory, engine=FakeEngine(), **options)
    assert lines(directory) == len(read_rows(directory)), "a run is twice in the table"
    return contents(directory)
