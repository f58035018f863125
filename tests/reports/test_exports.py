"""Every table, written every way, reads back to the same numbers."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scorebench.datasets.errors import UsageError
from scorebench.reports.exports import FORMATS, TABLES, export
from scorebench.reports.source import Source, load
from scorebench.reports.write import leaderboard_table, write_figure, write_table
from scorebench.studies.specs.tables import Registration

from .conftest import fail, study, write_directory

ENTITIES = {r"\textbackslash{}": "\\", r"\ldots{}": "…", r"$\pm$": "±", r"$\times$": "×",
            r"$\cdot$": "·", r"$<$": "<", r"$>$": ">", "--": "–"}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    results = study()
    fail(results, (results.method == "dsm") & (results.replicate == 2))
    found = load(write_directory(tmp_path_factory.mktemp("exports") / "run", results))
    # Two trials of each cell trained again, as where costs count besides.
    again = found.results.query("phase == 'search' and trial < 2")
    fresh = [again.assign(replicate=number, mmd=again.mmd + number / 100) for number in (1, 2)]
    plan = Registration(difference=0.1, claims=("dsm < ssm", "ssm < dsm on rings"))
    spec = found.study.model_copy(update={"costs": ("train_evaluations",), "plan": plan})
    return replace(found, results=pd.concat([found.results, *fresh]), study=spec)


def read_markdown(text: str) -> pd.DataFrame:
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines()]
    head, _, *body = [[entry.strip().replace(r"\|", "|") for entry in line] for line in lines]
    return pd.DataFrame(body, columns=head)


def read_latex(text: str) -> pd.DataFrame:
    rows = [line.removesuffix(r"\\") for line in text.splitlines() if line.endswith(r"\\")]
    cells = [[_plain(entry) for entry in re.split(r"(?<!\\)&", row)] for row in rows]
    return pd.DataFrame(cells[1:], columns=cells[0])


def _plain(entry: str) -> str:
    for written, meant in ENTITIES.items():
        entry = entry.replace(written, meant)
    return re.sub(r"\\([&%$#_{}])", r"\1", entry).strip()


READERS = {
    "csv": lambda data: pd.read_csv(io.BytesIO(data)),
    "parquet": lambda data: pd.read_parquet(io.BytesIO(data)),
    "json": lambda data: pd.DataFrame(json.loads(data, parse_constant=pytest.fail)),
    "markdown": lambda data: read_markdown(data.decode()),
    "latex": lambda data: read_latex(data.decode()),
}


def test_every_format_has_a_reader():
    assert set(READERS) == set(FORMATS)


# Tables of contests have rows in studies of several: see test_searchers.py, test_samplers.py.
@pytest.mark.parametrize("name", sorted({*TABLES} - {"searchers", "samplers"}))
@pytest.mark.parametrize("kind", FORMATS)
def test_reads_back_to_the_same_numbers(source: Source, name: str, kind: str):
    reads_back(source, name, kind)


def reads_back(source: Source, name: str, kind: str):
    frame = TABLES[name].frame(source)
    assert len(frame), "an empty table would not test anything"
    back = READERS[kind](export(source, name, kind, exact=kind in ("markdown", "latex")))
    assert list(back.columns) == [str(column) for column in frame.columns]
    assert len(back) == len(frame)
    for column in frame.select_dtypes("number").columns:
        expected = frame[column].astype("float64").to_numpy(na_value=np.nan)
        found = pd.to_numeric(back[column].replace("", np.nan)).astype("float64").to_numpy()
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", TABLES)
def test_every_column_is_explained(source: Source, name: str):
    said = TABLES[name].columns
    assert all(said.values()), [column for column in said if not said[column]]
    patterns = [re.sub("DATASET|NAME|METRIC", ".+", re.escape(one)) for one in said]
    metrics = ("mmd", "sw1", "sw2")
    patterns = [p for one in patterns for p in ([*metrics] if one == ".+" else [one])]
    patterns = ["(train|sample)_evaluations" if one == "COST" else one for one in patterns]
    for column in TABLES[name].frame(source).columns:
        assert any(re.fullmatch(pattern, column) for pattern in patterns), column


@pytest.mark.parametrize("name", [name for name, one in TABLES.items() if one.shown])
@pytest.mark.parametrize("kind", ["markdown", "latex"])
def test_what_people_read_is_written_as_it_is(source: Source, name: str, kind: str):
    make = TABLES[name].shown
    assert make is not None
    shown = make(source)
    back = READERS[kind](export(source, name, kind))
    assert list(back.columns) == list(shown.headers)
    assert back.to_numpy().tolist() == [[field.text for field in row] for row in shown.rows]


def test_wrong_names_are_refused_with_the_right_ones(source: Source):
    with pytest.raises(UsageError, match="did you mean 'pairs'"):
        export(source, "pair", "csv")
    with pytest.raises(UsageError, match="leave out --exact"):
        export(source, "board", "csv", exact=True)


def test_files_are_written(directory: Path, tmp_path: Path):
    write_table(load(directory), tmp_path / "cells.parquet", "parquet", "cells")
    assert len(pd.read_parquet(tmp_path / "cells.parquet")) == 16
    assert leaderboard_table(load(directory), "table", "pairs").startswith("| first")
    for kind, start in {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}.items():
        write_figure(load(directory), "overview", tmp_path / f"figure.{kind}", 3.35)
        assert (tmp_path / f"figure.{kind}").read_bytes().startswith(start)
    with pytest.raises(UsageError, match=r"should end in \.svg"):
        write_figure(load(directory), "overview", tmp_path / "figure.gif")
    with pytest.raises(UsageError, match="write"):
        write_figure(load(directory), "overview", tmp_path / "nowhere" / "figure.pdf")
