"""A real PostgreSQL server: shared by studies, stopped and started, emptied."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.study import run

from ..studies.conftest import contents, make_study
from ..studies.fake_engine import FakeEngine
from .conftest import often
from .harness import finish, kill_group, lines, start, wait_for

pytest.importorskip("psycopg", reason="the extra scorebench[postgres] is not installed")


def programs():
    """Folder of PostgreSQL's programs, None without it."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


class Server:
    """A server of its own on loopback, run by somebody who is not root, as it insists."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"postgresql+psycopg://tester@127.0.0.1:{self.port}/postgres"
        self.user = 65534 if os.geteuid() == 0 else None
        if self.user is not None:
            os.chown(folder, self.user, self.user)
        self.call("initdb", "-D", folder / "data", "-U", "tester", "-A", "trust", "-N")

    def call(self, program, *words):
        subprocess.run(
            [programs() / program, *map(str, words)], check=True, timeout=60, cwd=self.folder,
            stdout=subprocess.DEVNULL, user=self.user, group=self.user, extra_groups=[]
            if self.user is not None else None,
        )  # fmt: skip

    def start(self):
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -F"
        log = self.folder / "log"
        self.call("pg_ctl", "-D", self.folder / "data", "-w", "-l", log, "-o", options, "start")

    def stop(self, mode="immediate"):
        self.call("pg_ctl", "-D", self.folder / "data", "-w", "-m", mode, "stop")


@pytest.fixture
def server():
    if programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    # Not below pytest's folders: the server's user could not get there.
    with tempfile.TemporaryDirectory(prefix="scorebench-") as name:
        found = Server(Path(name))
        found.start()
        yield found
        found.stop()


def test_the_table_does_not_depend_on_the_storage(finished, tmp_path, server):
    import psycopg

    for name in ("a", "b"):
        run(make_study(), tmp_path / name, engine=FakeEngine(), storage=server.url)
        assert contents(tmp_path / name) == contents(finished)
        assert not (tmp_path / name / "optuna.journal").exists()
    with psycopg.connect(server.url.replace("+psycopg", "")) as connection:
        names = {name for (name,) in connection.execute("select study_name from studies")}
    # Two directories of one study do not meet.
    assert len(names) == 2 * 4
    text = "".join(p.read_text() for p in (tmp_path / "a").glob("*.toml"))
    assert "postgresql" not in text


def test_searchers_with_a_memory(tmp_path, server):
    import psycopg

    memory = [{"name": "cmaes", "popsize": 4}, {"name": "nsga2", "population_size": 5}, "nsga3"]
    study = make_study(methods=["gamma"], search={"trials": 20, "sampler": ["tpe", *memory]})
    run(study, tmp_path / "journal", engine=FakeEngine())
    for lose in (False, True):
        directory, rows = tmp_path / f"{lose}", 0
        while not (directory / "results.csv").exists():
            rows += 30

            def listen(event, rows=rows):
                if getattr(event, "done", 0) >= rows:
                    raise KeyboardInterrupt

            with contextlib.suppress(KeyboardInterrupt):
                run(study, directory, engine=FakeEngine(), storage=server.url, listener=listen)
            if lose:
                with psycopg.connect(server.url.replace("+psycopg", "")) as connection:
                    connection.execute("drop schema public cascade")
                    connection.execute("create schema public")
        assert contents(directory) == contents(tmp_path / "journal")


def test_kills_and_a_lost_database(finished, tmp_path, server, figure):
    import psycopg

    rng = random.Random(5)
    kills = study = 0
    directory = tmp_path / "0"
    while kills < often(2, 100):
        process = start(directory, delay=0.03, more=f"storage={server.url!r}")
        goal = lines(directory) + rng.randrange(2, 8)
        wait_for(lambda out=directory, goal=goal: lines(out) >= goal, process)
        kills += process.poll() is None
        kill_group(process)
        if kills % 2:
            with psycopg.connect(server.url.replace("+psycopg", "")) as connection:
                connection.execute("drop schema public cascade")
                connection.execute("create schema public")
        if lines(directory) >= lines(finished) - 8:
            assert finish(directory, storage=server.url) == contents(finished)
            study += 1
            directory = tmp_path / str(study)
    assert finish(directory, storage=server.url) == contents(finished)
    figure("SIGKILL over PostgreSQL, database emptied", f"{kills} kills, {study + 1} tables equal")


def test_stopped_and_started_in_the_middle(finished, tmp_path, server, figure):
    restarts = 0

    def disturb():
        nonlocal restarts
        for goal in range(10, often(40, 80), 20):
            wait_for(lambda goal=goal: lines(tmp_path / "out") >= goal)
            server.stop()
            time.sleep(1)
            server.start()
            restarts += 1

    thread = threading.Thread(target=disturb, daemon=True)
    thread.start()
    run(make_study(), tmp_path / "out", engine=FakeEngine(delay=0.05), storage=server.url)
    thread.join(30)
    assert restarts
    assert contents(tmp_path / "out") == contents(finished)
    figure("PostgreSQL stopped and started", f"{restarts} times, table equal")


def test_urls_that_cannot_be(tmp_path, monkeypatch):
    monkeypatch.setattr("scorebench.studies.rundir.optuna_storage.PATIENCE", 0.1)
    for url in ("postgres", "sqlite:///x.db", "postgresql+psycopg://u:secret@127.0.0.1:1/db"):
        with pytest.raises(UsageError) as caught:
            run(make_study(), tmp_path / "out", engine=FakeEngine(), storage=url)
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)
