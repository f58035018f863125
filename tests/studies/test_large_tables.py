"""Large tables: read once, then from a note; packed in memory; and never a wrong answer."""

import json
import os
import random
import shutil
import time
import tracemalloc

import pandas as pd
import pytest
from scorebench.bench.spec import RunResult
from scorebench.datasets.errors import UsageError
from scorebench.studies import results, tabulate
from scorebench.studies.cell import Cell, Slot
from scorebench.studies.plan import Plan
from scorebench.studies.progress import standing
from scorebench.studies.results import frame, read_results, write_results
from scorebench.studies.rundir import notes, packed
from scorebench.studies.rundir.files import write_pieces_if_changed
from scorebench.studies.rundir.notes import noted
from scorebench.studies.rundir.packed import PackedRows
from scorebench.studies.rundir.read import read_rows, read_study
from scorebench.studies.rundir.rows import Row
from scorebench.studies.study import run
from scorebench.studies.tabulate import light as lightened

from .conftest import make_study
from .fake_engine import FakeEngine

STUDIES = {
    "failures": {},
    "restarts": {"search": {"restarts": 2}},
    "searchers": {"methods": ["alpha", "beta"], "search": {"sampler": ["random", "qmc"]}},
    "require": {"search": {"require": ["sw1 <= 0.4"]}},
}


def settle():
    """Wait until a change of a file shows in its time."""
    time.sleep(2 * notes._TICK)


@pytest.fixture
def slowly(tmp_path, monkeypatch):
    """Notes of a folder of their own, on everything; lists what was read from the lines."""
    read = []
    look = results.read_packed
    monkeypatch.setenv("SCOREBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(notes, "MIN_SECONDS", 0)
    # Those of other engines are not noted.
    monkeypatch.setattr(results, "Engine", FakeEngine)
    monkeypatch.setattr(results, "read_packed", lambda path: read.append(path) or look(path))
    return read


def from_lines(directory):
    plan = Plan(read_study(directory), FakeEngine())
    return frame(standing(plan, read_rows(directory)), plan)


def same(directory, slowly, looks):
    """Check what is read, and how often the lines were."""
    settle()
    before = len(slowly)
    pd.testing.assert_frame_equal(read_results(directory, FakeEngine()), from_lines(directory))
    assert len(slowly) - before == looks


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("piece", [7, 20_000])
def test_the_noted_table_is_that_of_the_lines(tmp_path, monkeypatch, slowly, name, piece):
    monkeypatch.setattr(tabulate, "PIECE", piece)
    monkeypatch.setattr(packed, "_MOST", piece)
    run(make_study(**STUDIES[name]), tmp_path / "out", engine=FakeEngine())
    same(tmp_path / "out", slowly, looks=1)
    same(tmp_path / "out", slowly, looks=0)
    whole = read_results(tmp_path / "out", FakeEngine())
    light = read_results(tmp_path / "out", FakeEngine(), whole=False)
    pd.testing.assert_frame_equal(light, lightened(whole))
    assert set(light["spec"].notna() == (light["phase"] == "confirm")) == {True}
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    assert len(slowly) == 1
    settle()
    slow = read_results(tmp_path / "copy", FakeEngine(), whole=False)
    assert len(slowly) == 2
    pd.testing.assert_frame_equal(slow, light)


def test_a_study_that_grows(tmp_path, slowly):
    out, engine = tmp_path / "out", FakeEngine()
    run(make_study(), out, engine=engine)
    same(out, slowly, looks=1)
    run(make_study(confirm={"seeds": 4}, search={"trials": 12}), out, engine=engine)
    same(out, slowly, looks=1)
    same(out, slowly, looks=0)


def same_size(out):
    """Change a digit of a row, and set the file's date back."""
    path = out / "runs.jsonl"
    before, text = path.stat(), path.read_text()
    at = text.rindex('"sw1":') + 8
    path.write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def truncated(out):
    path = out / "runs.jsonl"
    path.write_bytes(path.read_bytes()[:-40])


def lost_rows(out):
    path = out / "runs.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-3]))


def replaced(out):
    shutil.copy2(out / "runs.jsonl", out / "other")
    same_size(out)
    (out / "other").replace(out / "runs.jsonl")


def smaller(out):
    path = out / "study.toml"
    path.write_text(path.read_text().replace("trials = 10", "trials = 9 "))


def torn_table(out):
    path = out / "results.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_table(out):
    """A table that somebody made, of the same size and date."""
    path = out / "results.parquet"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def no_table(out):
    (out / "results.parquet").unlink()


EDITS = [
    same_size, truncated, lost_rows, replaced, smaller, torn_table, other_table, no_table,
]  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_every_edit_is_noticed(copied, slowly, edit):
    same(copied, slowly, looks=1)
    same(copied, slowly, looks=0)
    edit(copied)
    same(copied, slowly, looks=1)


def test_a_damaged_table_is_refused_in_spite_of_a_note(copied, slowly):
    same(copied, slowly, looks=1)
    path = copied / "runs.jsonl"
    path.write_text(path.read_text().replace('"phase"', '"face"', 1))
    settle()
    with pytest.raises(UsageError, match=r"line 1 of .* is damaged"):
        read_results(copied, FakeEngine())


def test_while_a_study_runs_its_rows_are_read(copied, slowly):
    path = copied / "runs.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for name in ("results.csv", "results.parquet"):
        (copied / name).unlink()
    for count in (20, 21, len(lines)):
        path.write_bytes(b"".join(lines[:count]))
        same(copied, slowly, looks=1)


def note_of(tmp_path):
    (file,) = (tmp_path / "cache" / "notes").iterdir()
    return file


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"state": 1, "notes": {}}', "null", "\x00"])
def test_a_damaged_note_counts_as_none(copied, slowly, tmp_path, content):
    same(copied, slowly, looks=1)
    note_of(tmp_path).write_text(content)
    same(copied, slowly, looks=1)
    same(copied, slowly, looks=0)


def test_a_note_is_of_this_code(copied, slowly, monkeypatch):
    same(copied, slowly, looks=1)
    monkeypatch.setattr(notes, "_code", lambda: ["other"])
    same(copied, slowly, looks=1)


def test_what_others_could_have_noted_is_not_believed(copied, slowly, tmp_path):
    same(copied, slowly, looks=1)
    (tmp_path / "cache" / "notes").chmod(0o777)
    same(copied, slowly, looks=1)


def test_without_a_cache_there_are_no_notes(copied, slowly, monkeypatch):
    monkeypatch.setenv("SCOREBENCH_CACHE", "")
    same(copied, slowly, looks=1)
    same(copied, slowly, looks=1)


def test_files_that_may_change_within_a_tick_are_not_noted(copied, slowly, monkeypatch):
    monkeypatch.setattr(notes, "_TICK", 60.0)
    found = [noted(copied, "n", lambda n=n: [str(n)]) for n in range(2)]
    assert found == [["0"], ["1"]]


def test_a_change_while_it_is_read_is_not_noted(copied, slowly):
    settle()

    def changing():
        (copied / "results.csv").write_text("")
        return ["before"]

    assert noted(copied, "n", changing) == ["before"]
    settle()
    assert noted(copied, "n", lambda: ["after"]) == ["after"]
    assert noted(copied, "n", lambda: ["never"]) == ["after"]


@pytest.mark.parametrize("name", ["samples/alpha-ring-walk.npz", "code.json", "environment.json"])
def test_every_file_that_is_checked_counts(copied, slowly, name):
    settle()
    assert noted(copied, "doubts", lambda: ["first"]) == ["first"]
    path = copied / name
    path.write_bytes(path.read_bytes() + b" ")
    settle()
    assert noted(copied, "doubts", lambda: ["second"]) == ["second"]
    path.unlink()
    assert noted(copied, "doubts", lambda: ["third"]) == ["third"]


@pytest.mark.parametrize(
    "changes",
    [
        {"plugins": [{"file": "mine.py", "code": "pass"}]},
        {"network": {"module": "mine.py:Net"}},
        {"methods": ["alpha", "points"]},
        {"search": {"sampler": ["mine.py:Mine"]}},
    ],
)
def test_what_brings_its_own_code_or_data_is_not_self_contained(changes):
    assert make_study().self_contained
    assert not make_study(**changes).self_contained


def row(number, cell="a"):
    slot = Slot(Cell(cell, "ring", "walk"), "search", number, 0)
    result = RunResult(key=f"{random.getrandbits(256):064x}", state="ok", metrics={"mmd": 1.0})
    return Row(slot, json.dumps({"text": "x" * 700, "n": number}), result, "here", {"x": 0.5})


def test_packed_rows_are_like_a_dictionary(monkeypatch):
    monkeypatch.setattr(packed, "_MOST", 5)
    draw, rows, plain = random.Random(0), PackedRows(), {}
    for step in range(2000):
        new = row(draw.randrange(40), draw.choice("abc"))
        if new.slot not in rows:
            assert new.slot not in plain
            rows.add(new)
            plain[new.slot] = new
        elif step % 3:
            assert rows.pop(new.slot) == plain.pop(new.slot)
        if step % 5 == 0:
            rows.pack(new.slot.cell)
        if step % 400 == 0:
            rows.drop({new.slot.cell})
            plain = {slot: own for slot, own in plain.items() if slot.cell != new.slot.cell}
        assert len(rows) == len(plain)
    assert dict(rows.items()) == plain
    assert rows.names == {slot.cell for slot in plain}
    for cell, own in rows.cells():
        assert own == rows.of(cell) == [r for slot, r in plain.items() if slot.cell == cell]
    with pytest.raises(KeyError):
        rows[row(999).slot]


def test_memory_of_packed_rows():
    tracemalloc.start()
    try:
        rows = PackedRows()
        for cell in range(50):
            for number in range(200):
                rows.add(row(number, f"m{cell}"))
            rows.pack(Cell(f"m{cell}", "ring", "walk"))
        assert tracemalloc.get_traced_memory()[0] / len(rows) < 400
    finally:
        tracemalloc.stop()


def test_pieces_are_written_only_if_they_differ(tmp_path):
    path = tmp_path / "x"
    assert write_pieces_if_changed(path, lambda: [b"ab", b"c"])
    before = path.stat()
    assert not write_pieces_if_changed(path, lambda: [b"a", b"bc"])
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    for content in (b"abcd", b"ab", b"abd", b""):
        assert write_pieces_if_changed(path, lambda content=content: [content])
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_rows_of_a_cell_that_the_study_lacks_are_refused(copied):
    plan = Plan(make_study(methods=["alpha"]), FakeEngine())
    rows = PackedRows()
    for known in read_rows(copied):
        rows.add(known)
    with pytest.raises(UsageError, match="not in its study"):
        write_results(copied, rows, plan)


@pytest.mark.slow
def test_a_hundred_thousand_rows(tmp_path, slowly):
    """Reading is a small multiple of parsing the same JSON; with a note it is a small part."""
    out = tmp_path / "out"
    study = make_study(methods=["alpha"], search={"trials": 100_000, "sampler": "random"})
    run(make_study(methods=["alpha"]), out, engine=FakeEngine())
    plan = Plan(study, FakeEngine())
    first = next(r for r in read_rows(out) if r.slot.phase == "search")
    (out / "study.toml").write_text(study.to_toml())
    others = (first.slot._replace(trial=number) for number in range(100_000))
    rows = [Row(slot, first.spec, first.result, "fake", first.suggested) for slot in others]
    (out / "runs.jsonl").write_text("".join(f"{r.to_json()}\n" for r in rows))
    packed_rows = PackedRows()
    for known in rows:
        packed_rows.add(known)
    write_results(out, packed_rows, plan)
    settle()
    began = time.process_time()
    for line in (out / "runs.jsonl").open():
        json.loads(line)
    parsing = time.process_time() - began
    seconds = []
    for _ in range(2):
        began = time.process_time()
        assert len(read_results(out, FakeEngine(), whole=False)) == 100_000
        seconds.append((time.process_time() - began) / parsing)
    assert len(slowly) == 1
    assert seconds[0] < 20
    assert seconds[1] < 0.2
