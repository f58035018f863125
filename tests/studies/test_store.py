"""The run directory: whose it is, who may write, what survives."""

import errno
import hashlib
import json
import os
import platform
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scorebench.bench.spec import Failure, RunResult
from scorebench.datasets.errors import UsageError
from scorebench.studies.cell import Cell, Slot
from scorebench.studies.rundir import files
from scorebench.studies.rundir.files import append_lines, locked
from scorebench.studies.rundir.read import read_retried, read_rows, read_study
from scorebench.studies.rundir.rows import Row, parse_line
from scorebench.studies.rundir.store import Store
from scorebench.studies.study import run

from .conftest import contents, make_study
from .fake_engine import FakeEngine

SPEC = '{"a":1}'


def row(replicate=0, **metrics):
    slot = Slot(Cell("alpha", "ring", "walk"), "confirm", 2, replicate)
    return Row(slot, SPEC, RunResult(key="k", state="ok", metrics=metrics), "e", {"sigma": 0.5})


finite = st.floats(width=64)


@given(st.dictionaries(st.text(max_size=5), finite, max_size=4), st.text(max_size=20))
def test_rows_read_back_equal(metrics, reason):
    failure = Failure(stage="train", step=3, reason=reason)
    result = RunResult(key="k", state="diverged", metrics=metrics, failure=failure)
    old = Row(row().slot, SPEC, result, "e", {"a": 1, "b": 0.1, "c": "x", "d": True})
    text = old.to_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert "\n" not in text
    new = parse_line(text)
    # NaN is not equal to itself, its text is.
    assert repr(new) == repr(old)


def test_rows_are_there_once_append_returns(tmp_path):
    with Store(tmp_path / "out", make_study()) as store:
        store.append([row(0, mmd=1.0), row(1, mmd=2.0)], {"e": {"cpu": "x"}})
        assert read_rows(tmp_path / "out") == [row(0, mmd=1.0), row(1, mmd=2.0)]
        assert json.loads((tmp_path / "out" / "environment.json").read_text()) == {
            "e": {"cpu": "x"}
        }
    with Store(tmp_path / "out", make_study()) as store:
        assert list(store.rows) == [row(0).slot, row(1).slot]
        store.append([row(2)], {"f": {"cpu": "y"}})
        assert set(store.environments) == {"e", "f"}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 10**6), tail=st.binary(max_size=20))
def test_any_cut_and_any_tail_leave_the_whole_rows(tmp_path, cut, tail):
    lines = [f"{row(i, mmd=float(i)).to_json()}\n".encode() for i in range(4)]
    whole = b"".join(lines)
    cut %= len(whole) + 1
    with Store(tmp_path / "out", make_study()):
        pass
    table = tmp_path / "out" / "runs.jsonl"
    table.write_bytes(whole[:cut] + tail)
    ends = [sum(map(len, lines[: i + 1])) for i in range(4)]
    kept = sum(end <= cut for end in ends)
    # Part of a row and a lucky tail may make a whole row again.
    kept += tail[:1] == b"\n" and cut + 1 in ends
    with Store(tmp_path / "out", make_study()) as store:
        assert len(store.rows) == kept
        store.append([row(9)], {})
    assert len(read_rows(tmp_path / "out")) == kept + 1


def test_damage_in_the_middle_is_not_taken_for_a_kill(copied, engine):
    table = copied / "runs.jsonl"
    lines = table.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4][:50] + b"\n"
    table.write_bytes(b"".join(lines))
    before = contents(copied)
    with pytest.raises(UsageError, match=r"line 5 of .* is damaged"):
        run(make_study(), copied, engine=engine)
    assert contents(copied) == before
    assert table.read_bytes() == b"".join(lines)


def test_another_version_of_the_study_is_refused_with_the_difference(copied, engine):
    before = contents(copied)
    with pytest.raises(UsageError) as caught:
        run(make_study(training={"steps": 6}, seed=4), copied, engine=engine)
    message = str(caught.value)
    assert "training.steps: 5 -> 6" in message
    assert "seed: 9 -> 4" in message
    assert "--out" in message
    assert "\n" not in message
    assert contents(copied) == before


def test_a_foreign_directory_is_left_alone(tmp_path, engine):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match=r"'thesis\.tex'"):
        run(make_study(), tmp_path, engine=engine)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_way(tmp_path, engine):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="cannot make the run directory"):
            run(make_study(), out, engine=engine)
    with pytest.raises(UsageError, match="cannot be the name"):
        run(make_study(), "a\0b", engine=engine)
    assert (tmp_path / "file").read_text() == "x"


def test_an_empty_directory_and_a_killed_first_start_are_taken(tmp_path, engine):
    (tmp_path / ".lock").touch()
    (tmp_path / ".study.toml.draft").write_text("name = ")
    run(make_study(methods=["alpha"]), tmp_path, engine=engine)
    assert not (tmp_path / ".study.toml.draft").exists()
    assert read_study(tmp_path) == make_study(methods=["alpha"])


def test_bad_input_leaves_no_directory(tmp_path, engine):
    for study, workers in ((make_study(), 0), (make_study(methods=["omega"]), 1)):
        with pytest.raises(UsageError):
            run(study, tmp_path / "a" / "b", workers=workers, engine=engine)
    assert list(tmp_path.iterdir()) == []


def test_a_first_start_that_fails_takes_its_folders_with_it(tmp_path, engine, monkeypatch):
    def fail(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("scorebench.studies.rundir.store.write_atomically", fail)
    with pytest.raises(UsageError, match="No space left"):
        run(make_study(), tmp_path / "a" / "b", engine=engine)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_stops_the_study_and_loses_nothing(finished, tmp_path, engine, monkeypatch):
    real = os.write
    left = [20_000]

    def write(file, data):
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data = bytes(data)[: left[0]]
        left[0] -= len(data)
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(UsageError, match="No space left"):
        run(make_study(), tmp_path / "out", engine=engine)
    monkeypatch.undo()
    assert (tmp_path / "out" / "runs.jsonl").read_bytes().endswith(b"\n")
    assert read_rows(tmp_path / "out")
    run(make_study(), tmp_path / "out", engine=engine)
    assert contents(tmp_path / "out") == contents(finished)


def test_lines_are_appended_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "lines"
    append_lines(path, ["one", "two"])
    with path.open("a") as file:
        file.write("cut sho")
    append_lines(path, ["three"])
    assert path.read_text() == "one\ntwo\ncut sho\nthree\n"

    def write(file, data):
        if len(data) < 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data[:4])

    real = os.write
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(UsageError, match=r"cannot write to .*No space left"):
        append_lines(path, ["a long line"])
    assert path.read_text() == "one\ntwo\ncut sho\nthree\n"


def test_a_directory_has_one_writer(tmp_path):
    with (
        locked(tmp_path / "a" / "b"),
        pytest.raises(UsageError, match="in use by another process: wait"),
        locked(tmp_path / "a" / "b"),
    ):
        pass
    with locked(tmp_path / "a" / "b"):
        pass


def test_the_lock_is_given_back(tmp_path, engine):
    with Store(tmp_path / "out", make_study(methods=["alpha"])):
        with pytest.raises(UsageError, match="in use by another process"):
            run(make_study(methods=["alpha"]), tmp_path / "out", engine=engine)
        assert read_rows(tmp_path / "out") == []
    run(make_study(methods=["alpha"]), tmp_path / "out", engine=engine)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(tmp_path, copied, engine):
    tmp_path.chmod(0o500)
    copied.chmod(0o500)
    try:
        with pytest.raises(UsageError, match="Permission denied"):
            run(make_study(), tmp_path / "new", engine=engine)
        with pytest.raises(UsageError, match="Permission denied"):
            run(make_study(seed=9), copied, engine=engine)
    finally:
        copied.chmod(0o700)
        tmp_path.chmod(0o700)


def test_refused_permission_is_one_line(tmp_path, engine, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("scorebench.studies.rundir.store.Path.mkdir", refuse)
    with pytest.raises(UsageError, match="Permission denied") as caught:
        run(make_study(), tmp_path / "new", engine=engine)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["study.toml", "environment.json"])
@pytest.mark.parametrize("damage", [b"", b"\xff\xff", b"[", b"{}", b"[1]", b'{"a": 1}', b"x = 1"])
def test_damaged_records_are_named(copied, engine, name, damage):
    (copied / name).write_bytes(damage)
    if (name, damage) == ("environment.json", b"{}"):
        run(make_study(), copied, engine=engine)
        return
    with pytest.raises(UsageError, match=name.replace(".", r"\.")) as caught:
        run(make_study(), copied, engine=engine)
    assert "\n" not in str(caught.value)


def test_reading_what_is_no_run_directory(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        read_study(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is not a run directory"):
        read_study(tmp_path)


def test_copies_of_a_run_directory_work(finished, tmp_path, engine):
    shutil.copytree(finished, tmp_path / "copy")
    run(make_study(), tmp_path / "copy", engine=engine)
    assert contents(tmp_path / "copy") == contents(finished)


def test_the_log_of_the_command_may_lie_in_the_directory(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "log").write_text("what was printed before")
    with pytest.raises(UsageError, match="it holds 'log'"), Store(tmp_path, make_study()):
        pass
    before = os.dup(2)
    with (tmp_path / "log").open("a") as log:
        os.dup2(log.fileno(), 2)
    try:
        with Store(tmp_path, make_study()):
            pass
    finally:
        os.dup2(before, 2)
        os.close(before)
    assert {"log", "study.toml"} <= {path.name for path in tmp_path.iterdir()}


@pytest.fixture
def no_locks(monkeypatch):
    """A file system without locks, where holders of a file are known by touching it."""

    def missing(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files.fcntl, "flock", missing)
    monkeypatch.setattr(files, "_BEAT", 0.05)
    monkeypatch.setattr(files, "_SILENCE", 0.4)


def test_one_writer_where_a_file_system_has_no_locks(tmp_path, no_locks):
    with locked(tmp_path):
        with pytest.raises(UsageError) as caught, locked(tmp_path):
            pass
        for word in (str(os.getpid()), platform.node(), str(tmp_path / ".lock"), "delete"):
            assert word in str(caught.value)
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("left", ["{dead}\n{host}\n", "17\nnode17\n", "{own}\n{host}\n", "?"])
def test_a_lock_that_a_dead_process_left_is_taken_over(tmp_path, no_locks, left):
    process = subprocess.Popen(["true"])
    process.wait()
    names = {"dead": process.pid, "own": os.getpid(), "host": platform.node()}
    (tmp_path / ".lock").write_text(left.format(**names))
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_text().startswith(f"{os.getpid()}\n")


class Unlucky(FakeEngine):
    """Some runs of ``alpha`` in one phase fail for want of a disk."""

    def __init__(self, phase):
        super().__init__()
        self.phase = phase

    def _run(self, spec, keep):
        bad = hashlib.sha256(spec.canonical().encode()).digest()[0] % 3 == 0
        if bad and spec.method.name == "alpha" and spec.phase == self.phase:
            raise OSError("no space left")
        return super()._run(spec, keep)


@pytest.mark.parametrize("phase", ["search", "confirm"])
def test_failed_runs_are_run_again_as_if_they_had_never_failed(phase, tmp_path, engine):
    study, out, clean = make_study(methods=["alpha", "beta"]), tmp_path / "out", tmp_path / "clean"
    run(study, clean, engine=engine)
    run(study, out, engine=Unlucky(phase))
    failed = [old for old in read_rows(out) if old.result.state == "failed"]
    assert failed
    run(study, out, engine=engine)
    assert contents(out) != contents(clean)
    run(study, out, engine=engine, retry=["beta-*"])
    assert read_retried(out) == []
    run(study, out, engine=engine, retry=["*"])
    assert contents(out) == contents(clean)
    assert read_retried(out) == failed
    with pytest.raises(UsageError, match="did you mean 'alpha-ring-walk'"):
        run(study, out, engine=engine, retry=["alpha-rings-walk"])
