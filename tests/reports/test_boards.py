"""Public boards: which entries are compared, what is said of their proof, and the pages."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import scorebench as sb
from scorebench.bench.plugins import PluginFile
from scorebench.datasets.errors import UsageError
from scorebench.reports import boards as module
from scorebench.reports.boards import ENTRY, boards, describe, load_entries
from scorebench.reports.site import _files, write_site
from scorebench.studies.archive import export
from scorebench.studies.engine import Engine
from scorebench.studies.rundir.artifacts import FOLDERS
from scorebench.studies.verify import verify

from ..security.conftest import MICRO
from ..security.strangers import edited, rows_changed

DOCS = Path(__file__).resolve().parents[2] / "docs"


def halved(row):
    row["result"]["metrics"] = {k: float(v) / 2 for k, v in row["result"]["metrics"].items()}


def cut(members):
    """Leave out the confirmation runs of a cell, and its files."""
    rows = members["runs.jsonl"].splitlines(keepends=True)
    kept = [row for row in rows if json.loads(row)["phase"] != "confirm"]
    members["runs.jsonl"] = b"".join(kept)
    for name in [name for name in members if name.split("/")[0] in FOLDERS]:
        del members[name]


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """A folder of entries: two of one protocol, one of another, doctored and unfinished copies."""
    folder = tmp_path_factory.mktemp("sent")
    entries = folder / "entries"
    entries.mkdir()
    changes = {"alice": [], "bob": ["methods=['ssm']"], "dora": ["datasets=['moons']"]}
    for name, changed in changes.items():
        settings = [o for o in MICRO if o.split("=")[0] not in {c.split("=")[0] for c in changed}]
        study = sb.run("quick", folder / name, workers=1, overrides=[*settings, *changed])
        export(study.directory, entries / f"{name}.zip")
    edit = rows_changed(halved, phase="confirm")
    edited(entries / "alice.zip", entries / "mallory.zip", edit)
    edited(entries / "alice.zip", entries / "early.zip", cut)
    proofs = folder / "proofs"
    proofs.mkdir()
    for name in ("alice", "mallory"):
        outcome = verify(entries / f"{name}.zip", rows=2, seed=1, engine=Engine())
        (proofs / f"{name}.json").write_text(outcome.to_json())
    return folder


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    """Read entries in this process: that a process of their own does the same is tested below."""
    monkeypatch.setattr(module, "ask", lambda _, folder, *__: (describe(folder / ENTRY), []))


@pytest.fixture(scope="module")
def found(sent):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ask", lambda _, folder, *__: (describe(folder / ENTRY), []))
        return boards(load_entries([sent / "entries"], sent / "proofs"))


@pytest.fixture(scope="module")
def pages(found):
    return {n: c.decode() for n, c in _files(found, "Ours").items() if n.endswith(".html")}


def test_entries_that_differ_in_methods_only_are_compared(found):
    by_name = {board.name: [entry.name for entry in board.entries] for board in found}
    assert by_name == {"theirs": ["alice", "bob", "early", "mallory"], "theirs-2": ["dora"]}
    (first, _) = found
    ranked = {contestant.method for contestant in first.evidence.contestants}
    # What is refuted is not there; what is not finished has no rank.
    assert ranked == {"dsm (alice)", "ssm", "dsm (early)"}
    assert {c.method for c in first.evidence.contestants if c.rank is None} == {"dsm (early)"}


def test_the_same_runs_count_once(found):
    (first, _) = found
    copy = dataclasses.replace(first.entries[0], name="zoe", record=None)
    (board,) = boards([*first.entries, copy])
    assert board.labels["zoe", "dsm"] == board.labels["alice", "dsm"] == "dsm (alice)"
    assert board.owner("dsm (alice)").name == "alice"
    scores = [[(c.method, c.score.value) for c in b.evidence.contestants] for b in (first, board)]
    assert repr(scores[0]) == repr(scores[1])


def test_code_of_its_own_is_not_taken_for_a_method_whose_keys_it_claims(found):
    (first, _) = found
    alice = first.entries[0]
    own = alice.study.methods[0].model_copy(update={"name": "own", "label": "dsm"})
    plugins = (PluginFile(file="own.py", code="own"),)
    study = alice.study.model_copy(update={"methods": (own,), "plugins": plugins})
    thief = dataclasses.replace(alice, name="aaa", study=study)
    assert thief.protocol == alice.protocol
    (board,) = boards([thief, alice])
    assert board.labels == {("aaa", "dsm"): "dsm (aaa)", ("alice", "dsm"): "dsm (alice)"}


def test_a_board_ranks_as_the_study_of_both_would(found, sent):
    together = [*(o for o in MICRO if "methods" not in o), "methods=['dsm', 'ssm']"]
    study = sb.run("quick", sent / "both", workers=1, overrides=together)
    expected = {c.method: c.mean for c in study.source.evidence.cells}
    means = {c.method.split()[0]: c.mean for c in found[0].evidence.cells if not c.missing}
    assert means == expected


def test_proofs_are_matched_by_content(found):
    proofs = {entry.name: entry.proof for board in found for entry in board.entries}
    assert proofs == {
        "alice": "replayed 2 of 2, identical, unsigned",
        "bob": "not verified",
        "dora": "not verified",
        "early": "not verified",
        "mallory": "refuted: 2 of 6 runs did not replay, unsigned",
    }


def test_what_is_not_finished_or_doctored_is_named(pages, sent):
    assert "Not finished. Without a confirmation run: 1 of 1 cell" in pages["entries/early.html"]
    assert "of its stored samples" in pages["entries/mallory.html"]
    # Without an outcome the check of its files speaks.
    (entry,) = load_entries([sent / "entries" / "mallory.zip"], sent / "none")
    assert re.fullmatch(r"refused: \w+ = \S+, but \S+ of its stored samples", entry.proof)
    assert (entry.sentence, entry.ranked) == (entry.proof, False)
    (board,) = boards([entry])
    assert board.evidence is None
    assert b"No entry is ranked" in _files([board], "Ours")["boards/theirs.html"]


def test_what_nobody_can_run_is_named_and_not_ranked(sent, tmp_path):
    def gone(members):
        text = members["study.toml"].replace(b'"dsm"', b'{ name = "gone", label = "dsm" }')
        members["study.toml"] = text

    edited(sent / "entries" / "alice.zip", tmp_path / "gone.zip", gone)
    (entry,) = load_entries([tmp_path / "gone.zip"], sent / "none")
    assert entry.sentence == "refused: method 'gone' is not installed"
    assert not entry.ranked


class Page(HTMLParser):
    """Links, texts for those who see no pictures, headings and balance of a page."""

    EMPTY = ("meta", "link", "img", "source", "br", "input")

    def __init__(self, text):
        super().__init__()
        self.links, self.open, self.headings, self.loads, self.lang = [], [], [], [], None
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag == "html":
            self.lang = attrs["lang"]
        if tag == "a":
            self.links.append(attrs["href"])
        if tag == "img":
            assert attrs["alt"]
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)
        assert tag != "th" or "scope" in attrs
        self.loads += [attrs[name] for name in ("src", "srcset") if name in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_pages_load_nothing_and_their_links_lead_somewhere(pages, found):
    names = set(_files(found, "Ours"))
    assert {"index.html", "boards/theirs.html", "methods/dsm.html", "datasets/moons.html"} <= names
    for name, text in pages.items():
        page = Page(text)
        assert page.lang == "en"
        assert page.headings[0] == "h1"
        assert page.headings.count("h1") == 1
        assert all(load.startswith("data:") for load in page.loads)
        assert "url(" not in text
        for link in page.links:
            # Relative: the site may stand in any folder of a host.
            assert not re.match(r"/|[a-z]+:", link)
            parts = (Path(name).parent / unquote(link.split("#")[0])).parts
            path: list[str] = []
            for part in parts:
                path = path[:-1] if part == ".." else [*path, part]
            assert "/".join(path) in names, f"{name}: {link}"


def test_text_of_entries_is_escaped(found):
    attack = "</pre><script>alert(1)</script>\x1b[2J"
    code = (PluginFile(file="own.py", code=attack),)
    entry = found[1].entries[0]
    study = entry.study.model_copy(update={"plugins": code})
    hostile = dataclasses.replace(entry, study=study, problems=(attack,), notes=(attack,))
    for content in _files(boards([hostile]), "Ours").values():
        assert b"<script>alert" not in content
        assert b"\x1b[2J" not in content or b"PK" in content[:2]


def test_the_same_entries_give_the_same_files(sent, tmp_path):
    for folder in ("a", "b", "b"):
        write_site([sent / "entries" / "alice.zip"], tmp_path / folder, sent / "proofs")
    a, b = (
        {p.relative_to(tmp_path / f): p.read_bytes() for p in (tmp_path / f).rglob("*.*")}
        for f in ("a", "b")
    )
    assert a == b
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_folders_of_others_and_two_entries_of_one_name_are_refused(sent, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="contains other files"):
        write_site([sent / "entries"], tmp_path / "mine")
    shutil.copy(sent / "entries" / "bob.zip", tmp_path / "alice.zip")
    with pytest.raises(UsageError, match="two entries are called 'alice'"):
        write_site([sent / "entries" / "alice.zip", tmp_path / "alice.zip"], tmp_path / "new")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty"):
        write_site([tmp_path / "empty"], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def scripts(folder):
    """Write the scripts of the recipe."""
    text = (DOCS / "publishing.md").read_text()
    for block in re.findall(r"```sh\n(# (?:check|publish)\.sh.*?)```", text, re.DOTALL):
        (folder / block.split()[1]).write_text(block)


@pytest.mark.slow
def test_the_recipe_for_pull_requests(sent, tmp_path, monkeypatch):
    tools, board = tmp_path / "tools", tmp_path / "board"
    tools.mkdir()
    root = DOCS.parents[1]
    shim = f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} -m scorebench "$@"\n'
    (tools / "scorebench").write_text(shim)
    (tools / "scorebench").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "board")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "board@example.org")
    (board / "proofs").mkdir(parents=True)
    (board / "proofs" / "README").write_text("Outcomes.\n")
    scripts(board)
    key = tmp_path / "key"
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key]
    subprocess.run(words, check=True)
    public = key.with_suffix(".pub").read_text()
    (board / "signers").write_text(f'board@example.org namespaces="scorebench" {public}')

    def call(*words):
        done = subprocess.run(words, cwd=board, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def commit():
        assert call("git", "add", ".")[0] == 0
        assert call("git", "commit", "-qm", "x")[0] == 0

    call("git", "init", "-qb", "main")
    commit()
    call("git", "checkout", "-qb", "alice")
    (board / "entries").mkdir()
    shutil.copy(sent / "entries" / "alice.zip", board / "entries")
    commit()
    status, said = call("sh", "check.sh", "main")
    assert (status, "identical" in said) == (0, True), said
    call("git", "checkout", "-q", "main")
    call("git", "merge", "-q", "alice")
    status, said = call("sh", "publish.sh", key)
    assert status == 0, said
    page = (board / "public" / "entries" / "alice.html").read_text()
    assert re.search(
        r"replayed 2 of 2, identical, on [\d-]+, signed by board@example\.org", page, re.I
    )
    assert sorted(path.suffix for path in (board / "proofs").iterdir()) == ["", ".json", ".sig"]
    assert call("git", "status", "--porcelain")[1] == "?? public/\n"

    call("git", "checkout", "-qb", "mallory")
    shutil.copy(sent / "entries" / "mallory.zip", board / "entries")
    call("git", "add", "entries")
    call("git", "commit", "-qm", "x")
    status, said = call("sh", "check.sh", "main")
    assert (status, "refuted" in said) == (1, True), said
    call("git", "checkout", "-q", "main")
    call("git", "checkout", "-qb", "eve")
    (board / "proofs" / "forged.json").write_text("{}")
    call("git", "add", "proofs")
    call("git", "commit", "-qm", "x")
    status, said = call("sh", "check.sh", "main")
    assert (status, "only new archives in entries/" in said) == (2, True), said
