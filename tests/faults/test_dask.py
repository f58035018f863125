"""A real Dask scheduler and real workers, on loopback, killed and started again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.execution.where import Where
from scorebench.studies.results import read_results
from scorebench.studies.study import run

from ..studies.conftest import contents, make_study
from ..studies.fake_engine import FakeEngine
from .conftest import often
from .harness import ROOT, finish, kill_group, lines, start, wait_for

pytest.importorskip("distributed", reason="the extra scorebench[dask] is not installed")


class Cluster:
    """Processes as people start them: ``dask scheduler`` and ``dask worker``."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        self.processes = []

    def launch(self, *words):
        # Workers have to import the fake engine by the name that pytest gave its module.
        folders = [str(self.folder / "first"), str(ROOT), str(ROOT.parent), *sys.path]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *words],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd=self.folder, start_new_session=True, env=environment,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def scheduler(self):
        return self.launch(
            "scheduler", "--host", self.address.removeprefix("tcp://").split(":")[0],
            "--port", self.address.rpartition(":")[2], "--no-dashboard", "--no-show",
        )  # fmt: skip

    def worker(self):
        return self.launch(
            "worker", self.address, "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard",
            "--local-directory", str(self.folder), "--death-timeout", "60",
        )  # fmt: skip

    def close(self):
        for process in self.processes:
            kill_group(process)

    @property
    def options(self):
        module = "__import__('scorebench.studies.execution.where', fromlist=['Where'])"
        return f"where={module}.Where('dask', {self.address!r})"


@pytest.fixture
def cluster(tmp_path):
    folder = tmp_path / "cluster"
    folder.mkdir()
    found = Cluster(folder)
    yield found
    found.close()


def test_a_cluster_of_its_own_gives_the_same_table(finished, tmp_path):
    run(make_study(), tmp_path / "out", workers=2, engine=FakeEngine(), where=Where("dask"))
    assert contents(tmp_path / "out") == contents(finished)


class Doomed(FakeEngine):
    """Runs of ``gamma`` hang or kill their process, as their width says."""

    def _run(self, spec, keep):
        width = spec.method.options.get("width")
        if width == 5:
            time.sleep(600)
        if width == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._run(spec, keep)


def test_limits_and_lost_processes_mean_the_same_on_a_cluster(tmp_path, cluster):
    cluster.scheduler()
    cluster.worker()
    cluster.worker()
    study = make_study(
        methods=[{"name": "gamma", "label": f"gamma_{n}", "width": n} for n in (5, 6)]
        + ["epsilon"],
        search={"trials": 1, "repeats": 1}, confirm={"seeds": 1},
        reference={"floors": 0, "seeds": 0}, limits={"run_seconds": 3.0},
    )  # fmt: skip
    where = Where("dask", cluster.address)
    run(study, tmp_path / "out", engine=Doomed(), where=where)
    table = read_results(tmp_path / "out", FakeEngine())
    found = [(row.method, row.state, row.failure) for row in table.itertuples()]
    assert found[:2] == [
        ("gamma_5", "timeout", "worker: took longer than 3 s"),
        ("gamma_6", "failed", "worker: the worker process was lost 3 times"),
    ]
    assert len(found) > 2
    assert {(method, state) for method, state, _ in found[2:]} == {("epsilon", "ok")}


def test_killed_cluster_parts(finished, tmp_path, cluster, figure):
    scheduler = cluster.scheduler()
    workers = [cluster.worker(), cluster.worker()]
    directory = tmp_path / "out"
    process = start(directory, delay=0.1, more=cluster.options)
    kills = restarts = 0
    for round_ in range(often(2, 12)):
        goal = lines(directory) + 8
        wait_for(lambda goal=goal: lines(directory) >= goal, process)
        if process.poll() is not None:
            break
        if round_ % 2 == 0:
            kill_group(workers.pop(0))
            workers.append(cluster.worker())
            kills += 1
        else:
            kill_group(scheduler)
            for worker in workers:
                kill_group(worker)
            time.sleep(0.5)
            scheduler = cluster.scheduler()
            workers = [cluster.worker(), cluster.worker()]
            restarts += 1
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert contents(directory) == contents(finished)
    figure("Dask", f"{kills} workers killed, {restarts} restarts of the scheduler, table equal")


def test_controller_killed_on_a_cluster(finished, tmp_path, cluster, figure):
    cluster.scheduler()
    cluster.worker()
    kills = 0
    while kills < often(1, 20) and lines(tmp_path / "out") < lines(finished) - 8:
        process = start(tmp_path / "out", delay=0.05, more=cluster.options)
        goal = lines(tmp_path / "out") + 4
        wait_for(lambda goal=goal: lines(tmp_path / "out") >= goal, process)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
    where = Where("dask", cluster.address)
    assert finish(tmp_path / "out", where=where) == contents(finished)
    figure("SIGKILL of the controller of a cluster", f"{kills} kills, table equal")


def test_a_scheduler_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr("scorebench.studies.execution.dask_pool.PATIENCE", 0.1)
    with pytest.raises(UsageError, match="cannot be used") as caught:
        run(
            make_study(),
            tmp_path / "o",
            engine=FakeEngine(),
            where=Where("dask", "tcp://127.0.0.1:1"),
        )
    assert "\n" not in str(caught.value)


def test_workers_without_scorebench_are_named(tmp_path, cluster):
    # They would otherwise end over the first task, and the study wait for them forever.
    (cluster.folder / "first").mkdir()
    (cluster.folder / "first" / "scorebench.py").write_text("raise ImportError('no scorebench')")
    cluster.scheduler()
    cluster.worker()
    with pytest.raises(UsageError, match="install it in the environment of the workers"):
        run(make_study(), tmp_path / "o", engine=FakeEngine(), where=Where("dask", cluster.address))


class Homeless(FakeEngine):
    """Cannot be imported where the workers are."""

    def __reduce__(self):
        return Homeless._arrive, ()

    @staticmethod
    def _arrive():
        raise ModuleNotFoundError("No module named 'mine'")


def test_tasks_that_cannot_be_read_are_rows(tmp_path, cluster):
    cluster.scheduler()
    cluster.worker()
    study = make_study(methods=["epsilon"], reference={"floors": 0, "seeds": 0})
    where = Where("dask", cluster.address)
    run(study, tmp_path / "out", engine=Homeless(), where=where)
    table = read_results(tmp_path / "out", FakeEngine())
    assert set(table.state) == {"failed"}
    assert table.failure.str.contains("No module named").all()


def test_places_that_make_no_sense(tmp_path):
    for where in (Where("dusk"), Where("local", "tcp://127.0.0.1:1")):
        with pytest.raises(UsageError):
            run(make_study(), tmp_path / "o", engine=FakeEngine(), where=where)
    assert not list(tmp_path.iterdir())
