"""Tails that were torn, disks that are full, directories that cannot be written to."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.execution.scheduler import OutOfTime
from scorebench.studies.study import run

from ..studies.conftest import contents, make_study
from ..studies.fake_engine import FakeEngine
from .conftest import often
from .harness import finish, lines, start


def damage(path, rng):
    """What kills, power cuts and full disks leave of a file's end."""
    data = path.read_bytes()
    at = rng.randrange(len(data) // 4, len(data))
    kind = rng.choice(["cut", "zeros", "noise", "page"])
    if kind == "cut":
        path.write_bytes(data[:at])
    elif kind == "zeros":
        path.write_bytes(data[:at] + bytes(rng.randrange(1, 9000)))
    elif kind == "noise":
        path.write_bytes(data[:at] + rng.randbytes(rng.randrange(1, 300)).replace(b"\n", b"?"))
    else:
        # The file's length reached the disk, the last page did not.
        start_of_page = at // 4096 * 4096
        path.write_bytes(data[:start_of_page] + bytes(len(data[start_of_page:at])))


def test_torn_tails(finished, tmp_path, figure):
    expected = contents(finished)
    tries = often(12, 300)
    for seed in range(tries):
        rng = random.Random(seed)
        directory = tmp_path / str(seed)
        shutil.copytree(finished, directory)
        for name in rng.choice([["runs.jsonl"], ["optuna.journal"], ["runs.jsonl"] * 2]):
            damage(directory / name, rng)
        if rng.random() < 0.5:
            damage(directory / "optuna.journal", rng)
        assert finish(directory) == expected, seed
        shutil.rmtree(directory)
    figure("torn, zeroed and truncated tails", f"{tries} tried, 0 tables differ")


def full(directory):
    """Let a study run into the end of its space; gives what it said."""
    said = start(directory, workers=1, delay=0).communicate(timeout=60)
    return said[1].strip()


def test_full_disk(finished, tmp_path, figure):
    disk = tmp_path / "disk"
    disk.mkdir()
    stops, how = 0, "tmpfs"
    mounted = False
    if os.geteuid() == 0:
        command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        for kilobytes in (64, 96, 128):
            if mounted:
                subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(disk)], check=True)
                said = full(disk / "out")
            else:
                how = "RLIMIT_FSIZE"
                limit = kilobytes * 256
                before = (
                    "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
                    f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
                )
                said = start(disk / "out", workers=1, delay=0, before=before).communicate()[1]
            if said:
                assert said.strip().startswith("refused: cannot"), said
                assert len(said.strip().splitlines()) == 1
                stops += 1
        assert stops
        assert lines(disk / "out") > 0
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        assert finish(disk / "out") == contents(finished)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(disk)], check=True)
    figure(f"full disk ({how})", f"{stops} stops with one line, then continued, table equal")


def test_read_only_directory(finished, tmp_path, figure):
    directory = tmp_path / "out"
    study = make_study(limits={"study_seconds": 0.3})
    with pytest.raises(OutOfTime):
        run(study, directory, engine=FakeEngine(delay=0.02))
    before = contents(directory), (directory / "runs.jsonl").read_bytes()
    if os.geteuid() == 0:
        # Root may write anywhere, so somebody else has to try.
        for path in (tmp_path, *tmp_path.parents):
            if path.stat().st_uid == 0 and path != Path("/") and "pytest" in str(path):
                path.chmod(0o755)
        # Python itself may be in root's home, which is closed to them: all is imported before.
        become = (
            "import scorebench.studies.rundir.optuna_storage; os.setgid(65534); os.setuid(65534)"
        )
    else:
        become = "pass"
        directory.chmod(0o500)
    process = start(directory, workers=1, delay=0, before=become)
    said = process.communicate(timeout=60)[1].strip()
    directory.chmod(0o700)
    assert said.startswith("refused: cannot"), said
    assert "\n" not in said
    assert (contents(directory), (directory / "runs.jsonl").read_bytes()) == before
    run(make_study(), directory, engine=FakeEngine())
    assert contents(directory) == contents(finished)
    figure("read-only directory", "refused with one line, later continued, table equal")


def test_nothing_outside_is_written(tmp_path):
    for name in ("../evil", "/tmp/evil", "a/../../evil", "..", "con\0"):
        with pytest.raises(UsageError):
            make_study(name=name)
        with pytest.raises(UsageError):
            make_study(methods=[{"name": "alpha", "label": name}])
    assert not list(tmp_path.iterdir())
