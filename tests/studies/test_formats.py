"""Run directories of older formats are read; those of newer ones are refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scorebench.bench.environment import environment
from scorebench.datasets.errors import UsageError
from scorebench.reports.api import Study
from scorebench.studies.results import read_results
from scorebench.studies.rundir import versions
from scorebench.studies.rundir.changes import changes
from scorebench.studies.rundir.read import read_environments, read_rows, read_study
from scorebench.studies.study import run

from .conftest import contents, make_study

FORMATS = Path(__file__).with_name("formats")
STORED = [int(path.name) for path in sorted(FORMATS.iterdir())]
OLDER = [number for number in STORED if number < versions.FORMAT]


def test_every_format_has_a_directory_and_every_older_one_a_step():
    assert list(range(1, versions.FORMAT + 1)) == STORED
    assert sorted(versions.STEPS) == OLDER


@pytest.fixture
def stored(tmp_path):
    """A directory of the present format, with runs of every method, made by earlier code."""
    shutil.copytree(FORMATS / str(versions.FORMAT), tmp_path / "stored")
    return tmp_path / "stored"


def test_a_stored_directory_continues_without_a_run(stored):
    table, events = (stored / "results.csv").read_bytes(), []
    run(read_study(stored), stored, listener=events.append)
    assert events[-1].ran == 0
    assert (stored / "results.csv").read_bytes() == table


def test_a_stored_directory_grows_and_keeps_its_rows(stored):
    study, before = read_study(stored), read_rows(stored)
    more = study.model_copy(update={"confirm": study.confirm.model_copy(update={"seeds": 2})})
    run(more, stored)
    now = {row.slot: row for row in read_rows(stored)}
    assert len(now) > len(before)
    assert all(now[row.slot] == row for row in before)


def test_every_stored_method_is_replayed(stored):
    rows = Study(stored).replay()
    assert set(rows["verdict"]) <= {"identical", "within tolerance"}
    assert set(rows["method"]) >= {method.label for method in read_study(stored).methods}
    recorded = next(iter(read_environments(stored).values()))
    causes = {change.cause for change in changes(recorded, environment())}
    if causes == {None} or not causes:
        assert set(rows["verdict"]) == {"identical"}


@pytest.fixture(params=OLDER)
def old(request, tmp_path):
    shutil.copytree(FORMATS / str(request.param), tmp_path / "old")
    return tmp_path / "old"


def test_older_directories_are_read(old):
    stored = pd.read_csv(old / "results.csv", keep_default_na=False)
    before = contents(old)
    study = Study(old)
    assert list(study.results["mmd"]) == list(stored["mmd"])
    assert list(study.results["key"]) == list(stored["key"])
    assert study.leaderboard()["method"].tolist() == ["dsm"]
    assert study.best("dsm", "rings").methods[0].settings["sigma"] > 0
    assert np.isfinite(study.sample("dsm", "rings", n=5)).all()
    assert contents(old) == before


def test_old_rows_are_brought_up_to_date_when_the_directory_is_written_to(old):
    rows, spec = read_rows(old), read_study(old)
    other = spec.model_copy(update={"seed": 1})
    with pytest.raises(UsageError, match="cannot be compared"):
        run(other, old)
    assert not (old / "format.json").exists()
    run(other, old, discard=["*"])
    assert versions.read_format(old) == versions.FORMAT
    lines = (old / "runs.jsonl").read_text().splitlines()
    assert len(lines) == 2 * len(rows) + 1
    assert [json.loads(line)["result"]["key"] for line in lines[: len(rows)]] == [
        row.result.key for row in rows
    ]
    assert read_study(old) == other
    assert len(read_results(old)) == len(rows)


def test_specs_of_the_first_format_get_the_fields_that_they_lack():
    line = json.loads((FORMATS / "1" / "runs.jsonl").read_text().splitlines()[-1])
    whole = json.dumps(line, sort_keys=True)
    del line["spec"]["training"]["ema"], line["spec"]["evaluation"]["split"]
    once = versions.upgrade_row(line, 1)
    assert once["spec"]["training"]["ema"] == 0.0
    assert versions.upgrade_row(once, 1) == once
    for name, stored in json.loads(whole)["spec"].items():
        now = once["spec"][name]
        assert now == ({**now, **stored} if isinstance(stored, dict) else stored)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 99}', "is of format 99, and this version of scorebench knows formats up to"),
        ('{"format": "2"}', "is damaged: the format '2' is not a whole number"),
        ('{"format": true}', "is damaged"),
        ('{"format": 0}', "is damaged"),
        ("[]", "is damaged"),
        ("{", "is damaged"),
    ],
)
def test_other_formats_are_refused(copied, engine, text, message):
    (copied / "format.json").write_text(text)
    before = contents(copied)
    for use in (read_study, read_rows, read_results, lambda d: run(make_study(), d, engine=engine)):
        with pytest.raises(UsageError, match=message) as caught:
            use(copied)
        assert "\n" not in str(caught.value)
    assert contents(copied) == before
