"""The process that checks entries of strangers: what it can do, and that outcomes say so."""

from pathlib import Path

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies import closed_in
from scorebench.studies.archive import export
from scorebench.studies.closed_in import ENTRY, _allow_code, ask
from scorebench.studies.verify import open_entry

from .strangers import PLUGIN, edited

PROBES = "tests.security.strangers"


@pytest.fixture
def folder(theirs, tmp_path):
    """A folder with an unpacked entry."""
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    open_entry(export(theirs, tmp_path / "theirs.zip"), folder)
    return folder


def test_nothing_else_can_be_read_written_or_reached(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "secret")
    secret, outside = tmp_path / "secret", tmp_path / "outside"
    secret.write_text("secret")
    before = secret.stat()
    request = {"outside": str(outside), "secret": str(secret), "home": str(Path.home())}
    said, closed = ask(f"{PROBES}:tries", folder, 60, (), request)
    if not closed:
        pytest.skip("this machine cannot close a process in, and says so")
    assert said.pop("own folder") == "x"
    assert "TOKEN" not in said.pop("environment")
    # Linux says of a link to what must not be read that it is on another device.
    assert said.pop("link") in ("PermissionError", "OSError")
    assert {name: what for name, what in said.items() if what != "PermissionError"} == {}
    assert (secret.read_text(), secret.stat().st_mode) == ("secret", before.st_mode)
    assert not outside.exists()
    assert [sentence.split(":")[0] for sentence in closed] == ["files", "refused"]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("forever", "its process was stopped after"),
        ("greedy", "its process ended without an answer: MemoryError"),
        ("forging", "its process ended without an answer"),
        ("linking", "its process ended without an answer"),
        ("silent", "its process ended without an answer: status 3"),
    ],
)
def test_what_does_not_end_or_answer_is_stopped_and_named(folder, monkeypatch, function, said):
    if function == "forever":
        monkeypatch.setattr(closed_in, "_REST", 3.0)
    with pytest.raises(UsageError, match=said):
        ask(f"{PROBES}:{function}", folder, 1, (), {})


def test_code_that_nothing_closes_in_is_named_and_not_run(folder, canary):
    study = folder / ENTRY / "study.toml"
    code = PLUGIN.format(attack=f"open({str(canary)!r}, 'w')", factor=0.5)
    study.write_text(
        f"plugins = [{{file = 'own.py', code = '''{code}'''}}]\n"
        + study.read_text().replace("plugins = []\n", "")
    )
    with pytest.raises(UsageError, match=r"contains code of its own \(own.py\).*no sandbox for it"):
        _allow_code(folder / ENTRY, [], False)
    _allow_code(folder / ENTRY, [], True)
    assert not canary.exists()


def test_machine_code_that_others_can_write_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(closed_in, "_PACKAGE", tmp_path / "package")
    cache = tmp_path / "package" / "methods" / "derivatives" / "__pycache__"
    for name, mode in {"compiled-mine": 0o700, "compiled-open": 0o777}.items():
        (cache / name).mkdir(parents=True)
        (cache / name).chmod(mode)
    taken = closed_in._compiled(tmp_path / "private")
    assert [folder.name for folder in taken.iterdir()] == ["compiled-mine"]


def test_an_archive_with_a_fitting_manifest_is_an_archive(folder, tmp_path):
    """Else the doctored archives of these tests would be refused for the wrong reason."""
    same = edited(tmp_path / "theirs.zip", tmp_path / "same.zip", lambda members: None)
    assert same.read_bytes() == (tmp_path / "theirs.zip").read_bytes()
