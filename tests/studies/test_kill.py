"""Real processes, really killed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.results import read_results
from scorebench.studies.study import run

from .conftest import contents, make_study
from .fake_engine import FakeEngine

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import signal
import sys
# Whoever runs the tests in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {root!r})
from tests.studies.conftest import make_study
from tests.studies.fake_engine import FakeEngine
from scorebench.studies.study import run
if __name__ == "__main__":
    try:
        run(make_study(), sys.argv[1], workers=int(sys.argv[2]), engine=FakeEngine(delay={delay}))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.exit(130)
"""


def start(directory, workers, delay):
    code = SCRIPT.format(root=str(ROOT), delay=delay)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(directory), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def rows_in(directory):
    table = directory / "runs.jsonl"
    return table.read_bytes().count(b"\n") if table.exists() else 0


def wait_for_rows(process, directory, count, seconds=60):
    deadline = time.monotonic() + seconds
    while rows_in(directory) < count and process.poll() is None:
        assert time.monotonic() < deadline, process.communicate(timeout=1)
        time.sleep(0.01)


def members(session):
    """Processes of a session that are still alive."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def nobody_left(process):
    deadline = time.monotonic() + 5
    while members(process.pid):
        assert time.monotonic() < deadline, "workers linger"
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_again_and_again_it_ends_like_an_undisturbed_study(finished, tmp_path, workers):
    directory = tmp_path / "out"
    rng = random.Random(workers)
    total = rows_in(finished)
    kills = 0
    for _ in range(3):
        process = start(directory, workers, delay=0.02)
        wait_for_rows(process, directory, rows_in(directory) + rng.randrange(1, total // 4))
        time.sleep(rng.random() * 0.05)
        kills += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert kills
    run(make_study(), directory, workers=workers, engine=FakeEngine())
    assert contents(directory) == contents(finished)


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_workers_do_not_outlive_a_killed_controller(tmp_path):
    process = start(tmp_path / "out", 2, delay=0.05)
    wait_for_rows(process, tmp_path / "out", 5)
    assert len(members(process.pid)) > 2
    process.kill()
    process.communicate()
    nobody_left(process)


@pytest.mark.parametrize(("workers", "delay"), [(1, 0.1), (2, 4.0)])
def test_ctrl_c_ends_everything_at_once_and_keeps_what_is_finished(
    finished, tmp_path, workers, delay
):
    directory = tmp_path / "out"
    process = start(directory, workers, delay)
    wait_for_rows(process, directory, 1)
    # A terminal sends it to the whole group.
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output = process.stdout.readline()
    assert time.monotonic() - began < 2
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (130, "interrupted\n", "")
    nobody_left(process)
    assert rows_in(directory) >= 1
    run(make_study(), directory, engine=FakeEngine())
    assert contents(directory) == contents(finished)


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_workers_leave_ctrl_c_to_the_controller(finished, tmp_path):
    process = start(tmp_path / "out", 2, delay=0.02)
    wait_for_rows(process, tmp_path / "out", 5)
    while process.poll() is None and rows_in(tmp_path / "out") < 40:
        for worker in set(members(process.pid)) - {process.pid}:
            os.kill(worker, signal.SIGINT)
        time.sleep(0.02)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert contents(tmp_path / "out") == contents(finished)


def test_a_directory_in_use_is_refused(tmp_path):
    process = start(tmp_path / "out", 1, delay=0.1)
    wait_for_rows(process, tmp_path / "out", 1)
    with pytest.raises(UsageError, match="in use by another process"):
        run(make_study(), tmp_path / "out", engine=FakeEngine())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def failures(directory):
    table = read_results(directory, FakeEngine())
    lost = table[table.failure.str.contains("lost")]
    return lost, table


def test_a_lost_worker_costs_nothing(finished, tmp_path):
    markers = tmp_path / "markers"
    markers.mkdir()
    engine = FakeEngine(lethal=str(markers), deaths=1)
    run(make_study(), tmp_path / "out", workers=2, engine=engine)
    assert list(markers.iterdir())
    assert contents(tmp_path / "out") == contents(finished)


def test_a_run_that_always_kills_its_worker_becomes_a_row(tmp_path):
    study = make_study(methods=["alpha", "gamma"], confirm={"seeds": 1})
    markers = tmp_path / "markers"
    markers.mkdir()
    engine = FakeEngine(lethal=str(markers), deaths=99)
    run(study, tmp_path / "out", workers=2, engine=engine)
    lost, table = failures(tmp_path / "out")
    assert set(lost["params.width"]) == {5}
    assert set(lost.state) == {"failed"}
    assert set(lost.failure) == {"worker: the worker process was lost 3 times"}
    others = table.drop(lost.index)
    assert not (others["params.width"] == 5).any()
    assert (others[others.method == "alpha"].state == "ok").all()
    # Sent three times each, innocent companions aside.
    deaths = [path.name.split("-")[0] for path in markers.iterdir()]
    assert {deaths.count(name) for name in deaths} == {3}
