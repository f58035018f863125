"""Nothing outside of a run directory is written, deleted, or copied into what is shared."""

import json
import os
import re
import stat

import numpy as np
import pytest
from scorebench.datasets.errors import UsageError
from scorebench.datasets.private import write_atomically
from scorebench.reports.merge import merge
from scorebench.studies.archive import export, unpacked
from scorebench.studies.rundir.artifacts import ArtifactFiles
from scorebench.studies.rundir.files import append_lines, locked, truncate, write_output
from scorebench.studies.rundir.read import read_rows
from scorebench.studies.rundir.requirements import requirements
from scorebench.studies.rundir.rows import parse_line
from scorebench.studies.scaffold import scaffold

SECRET = "what is here stays here\n"


@pytest.fixture
def precious(tmp_path):
    """A file of the victim outside of the run directory."""
    path = tmp_path / "precious.npz"
    path.write_text(SECRET)
    return path


def rows_of(folder):
    return [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]


PLACES = {
    "a label": {"cell": ["../../precious", "x", "y"]},
    "an absolute label": {"cell": ["dsm", "/tmp/x", "y"]},
    "a label with a pattern": {"cell": ["*", "*", "*"]},
    "no label": {"cell": ["", "rings", "langevin"]},
    "a restart": {"cell": ["dsm", "rings", "langevin", -1]},
    "a restart that is text": {"cell": ["dsm", "rings", "langevin", "/../../x"]},
    "a phase": {"phase": "../confirm"},
    "a replicate": {"replicate": "../../precious"},
    "a trial": {"trial": -1},
    "an environment": {"environment": "../../precious"},
    "a discarded cell": {"discard": [["../../precious", "x", "y"]], "because": []},
}


@pytest.mark.parametrize("place", PLACES)
def test_names_in_rows_are_checked_when_they_are_read(place, micro_run):
    row = rows_of(micro_run)[-1]
    assert parse_line(json.dumps(row))
    with pytest.raises(ValueError, match=r"not a row|is no|impossible|damaged"):
        parse_line(json.dumps({**row, **PLACES[place]}))


def test_a_key_cannot_lead_elsewhere(micro_run):
    row = rows_of(micro_run)[-1]
    row["result"]["key"] = "x/../../../precious"
    with pytest.raises(ValueError, match=r"not a row|is no"):
        parse_line(json.dumps(row))


def test_discarding_deletes_nothing_outside(theirs, precious, command):
    """The labels lead from ``samples/`` to the victim's file; the command is a proposed one."""
    *rows, last = rows_of(theirs)
    for row in rows:
        row["cell"] = ["/../../precious", *row["cell"][1:]]
    (theirs / "runs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, last]))
    more = ["-o", "training.steps=6", "--discard", "*"]
    for words in (["run", "theirs/study.toml", "--out", "theirs", *more], ["report", "theirs"]):
        status, _, err = command(*words)
        assert (status, err.count("\n"), "damaged" in err) == (2, 1, True), err
    assert precious.read_text() == SECRET


WRITTEN = {
    ".lock": "run", "runs.jsonl": "run", "study.toml": "run", "optuna.journal": "run",
    "environment.json": "run", "samples": "run", "report.html": "run",
    "samples/dsm-rings-langevin.npz": "export", "code.json": "export", "models": "export",
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_links_in_a_run_directory_are_not_followed(name, theirs, precious, command):
    target = precious
    if (theirs / name).is_dir():
        target = precious.parent / "folder"
        (theirs / name).rename(target)
    (theirs / name).unlink(missing_ok=True)
    if name == "study.toml":
        # Reading it would stop first.
        target.write_bytes((theirs.parent / "theirs" / "runs.jsonl").read_bytes())
    (theirs / name).symlink_to(target)
    before = target.read_bytes() if target.is_file() else sorted(target.iterdir())
    if WRITTEN[name] == "run":
        with pytest.raises(UsageError, match="is a link to another place"), locked(theirs):
            raise AssertionError("it was opened for writing")
    else:
        status, _, err = command("export", "theirs")
        assert (status, "is a link to another place" in err) == (2, True)
        assert not (theirs.parent / "theirs.zip").exists()
        with pytest.raises(UsageError, match="is a link to another place"):
            merge(theirs.parent / "merged", [theirs, theirs])
    assert before == (target.read_bytes() if target.is_file() else sorted(target.iterdir()))


def test_writing_a_file_replaces_a_link_and_leaves_its_target(tmp_path, precious):
    link = tmp_path / "board.csv"
    link.symlink_to(precious)
    write_atomically(link, b"new")
    assert (precious.read_text(), link.read_bytes(), link.is_symlink()) == (SECRET, b"new", False)
    link.unlink()
    link.symlink_to(precious)
    write_output(link, b"new")
    assert precious.read_text() == SECRET
    for step in (lambda path: append_lines(path, ["x"]), lambda path: truncate(path, 0)):
        table = tmp_path / "runs.jsonl"
        table.unlink(missing_ok=True)
        table.symlink_to(precious)
        with pytest.raises((UsageError, OSError)):
            step(table)
        assert precious.read_text() == SECRET


def test_drafts_have_names_that_nobody_can_lay_a_link_at(tmp_path, precious, monkeypatch):
    (tmp_path / ".x.json.draft").symlink_to(precious)
    (tmp_path / ".00000000.draft").symlink_to(precious)
    write_atomically(tmp_path / "x.json", b"new")
    assert (tmp_path / "x.json").read_bytes() == b"new"
    # Even a guessed name is refused.
    monkeypatch.setattr("scorebench.datasets.private.secrets.token_hex", lambda _: "00000000")
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "x.json", b"newer")
    assert precious.read_text() == SECRET
    assert (tmp_path / "x.json").read_bytes() == b"new"


def test_devices_are_written_to_as_they_are(tmp_path, capfd):
    write_output(tmp_path.__class__("/dev/stdout"), b"to the pipe")
    assert capfd.readouterr().out == "to the pipe"
    assert os.path.lexists("/dev/stdout")


def test_new_files_are_laid_at_free_names_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").symlink_to(tmp_path / "elsewhere.py")
    with pytest.raises(UsageError):
        scaffold("method", "mine", tmp_path)
    assert not (tmp_path / "elsewhere.py").exists()


def test_unpacked_archives_are_private(micro_run, tmp_path):
    archive = export(micro_run, tmp_path / "x.zip")
    with unpacked(archive) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


def test_discarding_a_cell_touches_its_own_files_only(theirs, precious):
    others = theirs / "samples" / "dsm-rings-other.npz"
    np.savez(others, x=1)
    cell = read_rows(theirs)[-1].slot.cell
    ArtifactFiles(theirs).discard(cell)
    assert not (theirs / "samples" / f"{cell.stem}.npz").exists()
    assert others.exists()
    assert precious.read_text() == SECRET


def test_requirements_hold_no_urls_and_no_options():
    packages = {
        "torch": "2.1+cpu",
        "torch @ http://evil/x.whl #": "1",
        "x\n--index-url http://evil": "1",
        "y": "1\n-e .",
        "-r": "1",
    }
    text = requirements({"packages": packages, "scorebench": "1\n--index-url http://evil"})
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert "torch==2.1+cpu" in lines
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.+!-]+", line) for line in lines), lines
