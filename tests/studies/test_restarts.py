"""Restarts: independent repetitions of a study, which are resumed, replayed and discarded."""

import shutil

import pandas as pd
import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.cell import Cell, restart_seed
from scorebench.studies.replay import replayed
from scorebench.studies.results import read_results
from scorebench.studies.rundir.artifacts import PARTS, ArtifactFiles
from scorebench.studies.rundir.read import read_rows
from scorebench.studies.rundir.rows import parse_line
from scorebench.studies.study import run
from scorebench.studies.winners import best

from .conftest import contents, make_study
from .fake_engine import FakeEngine


def with_restarts(restarts, **changes):
    search = changes.pop("search", {})
    return make_study(search={"restarts": restarts, **search}, **changes)


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """Run a study of three restarts, which tests must not change."""
    directory = tmp_path_factory.mktemp("repeated") / "small"
    run(with_restarts(3), directory, engine=FakeEngine())
    return directory


def rows_of(directory, restart):
    return {
        (row.slot.cell.labels, *row.slot[1:]): row
        for row in read_rows(directory)
        if row.slot.cell.restart == restart and row.slot.phase != "reference"
    }


def test_a_restart_equals_the_study_with_its_seed(repeated, tmp_path, engine):
    other = make_study(seed=restart_seed(9, 2))
    run(other, tmp_path / "other", engine=engine)
    expected, rows = rows_of(tmp_path / "other", 0), rows_of(repeated, 2)
    assert rows.keys() == expected.keys()
    for slot, row in rows.items():
        assert row.spec == expected[slot].spec
        assert row.result.key == expected[slot].result.key
        assert row.suggested == expected[slot].suggested


def test_restarts_share_neither_seeds_nor_runs(repeated):
    seeds = {
        row.slot.cell.restart: row.run.seed
        for row in read_rows(repeated)
        if row.slot.phase != "reference"
    }
    assert seeds[0] == 9
    assert len(set(seeds.values())) == 3
    keys = [row.result.key for row in read_rows(repeated)]
    assert len(keys) == len(set(keys))


def test_the_first_restart_equals_the_study_without_restarts(repeated, finished):
    first, plain = rows_of(repeated, 0), rows_of(finished, 0)
    assert {slot: row.to_json() for slot, row in first.items()} == {
        slot: row.to_json() for slot, row in plain.items()
    }


def test_adding_restarts_executes_only_new_runs(repeated, copied, engine):
    before = len(read_rows(copied))
    events = []
    run(with_restarts(3), copied, engine=engine, listener=events.append)
    assert events[-1].ran == len(read_rows(copied)) - before
    assert contents(copied) == contents(repeated)


@pytest.mark.parametrize("workers", [2, 4])
def test_the_number_of_workers_changes_nothing(repeated, tmp_path, workers):
    run(with_restarts(3), tmp_path / "out", workers=workers, engine=FakeEngine())
    assert contents(tmp_path / "out") == contents(repeated)


def test_fewer_restarts_are_refused_and_can_be_discarded(repeated, tmp_path, engine):
    shutil.copytree(repeated, tmp_path / "out")
    with pytest.raises(UsageError, match=r"search.restarts: 3 -> 2"):
        run(with_restarts(2), tmp_path / "out", engine=engine)
    run(with_restarts(2), tmp_path / "out", engine=engine, discard=["*-r2"])
    run(with_restarts(2), tmp_path / "fresh", engine=engine)
    assert contents(tmp_path / "out", table_only=True) == contents(
        tmp_path / "fresh", table_only=True
    )


def test_the_table_has_a_column_of_restarts(repeated, finished, engine):
    table = read_results(repeated, engine)
    assert list(table.columns[:6]) == [
        "phase", "method", "dataset", "sampler", "restart", "trial",
    ]  # fmt: skip
    assert "restart" not in read_results(finished, engine)
    confirm = table[table.phase == "confirm"]
    counts = confirm.groupby(["method", "restart"]).size()
    assert (counts == 3).all()
    assert (table[table.phase == "reference"].restart == 0).all()
    assert pd.read_csv(repeated / "results.csv").restart.tolist() == table.restart.tolist()


def test_the_best_of_all_restarts_is_reproduced_bitwise(repeated, tmp_path, engine):
    table = read_results(repeated, engine)
    confirm = table[(table.phase == "confirm") & (table.method == "alpha")]
    restart = int(confirm.groupby("restart").mmd.mean().idxmin())
    study = best(repeated, "alpha", "ring", engine=engine)
    assert (study.seed, study.search.restarts) == (restart_seed(9, restart), 1)
    run(study, tmp_path / "best", engine=engine)
    reproduced = read_results(tmp_path / "best", engine)
    values = confirm[confirm.restart == restart].mmd.tolist()
    assert reproduced[reproduced.phase == "confirm"].mmd.tolist() == values


def test_a_replay_covers_the_winner_of_each_restart(repeated, engine):
    found = replayed(repeated, ("alpha", "ring", None), None, 1, engine)
    ranked = [run for run in found.runs if run.row.slot.phase == "confirm"]
    assert {run.row.slot.cell.restart for run in ranked} == {0, 1, 2}
    assert {number.verdict for run in ranked for number in run.numbers} == {"identical"}
    assert not found.problems


@pytest.mark.parametrize(
    "stored", [["a", "b"], ["a", "b", "c", 0], ["a", "b", "c", "1"], [1, 2, 3]]
)
def test_rows_with_invalid_cells_are_refused(stored):
    with pytest.raises(ValueError, match=r"is no (cell|label|number of a restart)"):
        parse_line(f'{{"discard": [{stored!r}], "because": []}}'.replace("'", '"'))


def test_parts_of_restarts_outlive_the_cell_whose_name_starts_theirs(tmp_path):
    files, kept = ArtifactFiles(tmp_path), []
    for restart in (0, 2):
        part = tmp_path / PARTS / f"{Cell('a', 'b', 'c', restart).stem}-0123.npz"
        part.parent.mkdir(exist_ok=True)
        part.touch()
        kept.append(part)
    files.discard(Cell("a", "b", "c"))
    assert [part.exists() for part in kept] == [False, True]
    files.assemble(Cell("a", "b", "c"), [], {})
    assert kept[1].exists()
    files.assemble(Cell("a", "b", "c", 2), [], {})
    assert not kept[1].parent.exists()


def test_file_names_contain_the_restart():
    assert Cell("a", "b", "c").stem == "a-b-c"
    assert Cell("a", "b", "c", 2).stem == "a-b-c-r2"
