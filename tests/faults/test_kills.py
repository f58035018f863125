"""Processes killed at random moments: nothing is lost, nothing is there twice."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from ..studies.conftest import contents
from .conftest import LONG, often
from .harness import descendants, finish, kill_group, lines, start, wait_for, whole_rows

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")


def test_controllers_killed(finished, tmp_path, figure):
    kills = lost = study = 0
    rng = random.Random(1)
    directory = tmp_path / "0"
    while kills < often(3, 100):
        before = whole_rows(directory)
        process = start(directory, workers=rng.choice([1, 2]), delay=0.03)
        target = lines(directory) + rng.randrange(0, 12)
        wait_for(lambda out=directory, goal=target: lines(out) >= goal, process)
        time.sleep(rng.random() * 0.2)
        kills += process.poll() is None
        kill_group(process)
        lost += len(before - whole_rows(directory))
        if lines(directory) >= lines(finished):
            assert finish(directory) == contents(finished)
            study += 1
            directory = tmp_path / str(study)
    assert finish(directory) == contents(finished)
    assert lost == 0
    figure("SIGKILL of the controller", f"{kills} kills, {lost} rows lost, tables equal")


def test_workers_killed(finished, tmp_path, figure):
    kills = study = 0
    rng = random.Random(2)
    while kills < often(3, 100):
        directory = tmp_path / str(study)
        process = start(directory, delay=0.05)
        # A run whose worker is lost three times is a row that says so, so kills keep apart.
        for turn in range(4):
            target = lines(directory) + rng.randrange(8, 16)
            wait_for(lambda out=directory, goal=target: lines(out) >= goal, process)
            workers = descendants(process.pid)
            if workers and process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(workers[turn % len(workers)], signal.SIGKILL)
                    kills += 1
        process.communicate(timeout=120)
        assert process.returncode == 0
        assert contents(directory) == contents(finished)
        study += 1
    figure("SIGKILL of workers", f"{kills} kills, 0 rows lost, {study} tables equal")


@pytest.mark.skipif(not LONG, reason="the long form only")
def test_ctrl_c_again_and_again(finished, tmp_path, figure):
    rng = random.Random(3)
    slowest = tries = study = 0
    before = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    while tries < 40:
        directory = tmp_path / str(study)
        process = start(directory, delay=0.5, before=before)
        target = lines(directory) + rng.randrange(1, 4)
        wait_for(lambda out=directory, goal=target: lines(out) >= goal, process)
        time.sleep(rng.random())
        if process.poll() is None:
            tries += 1
            began = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)
            assert process.stdout.readline() in ("interrupted\n", "")
            slowest = max(slowest, time.monotonic() - began)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) in ((130, ""), (0, ""))
        if process.returncode == 0:
            study += 1
    assert slowest < 2
    assert finish(tmp_path / "0") == contents(finished)
    figure("Ctrl-C to the whole group", f"{tries} times, slowest answer {slowest:.1f} s")
