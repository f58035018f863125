"""Terminal views: they fit, they say what is there, and a bar never outlives its study."""

import importlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from cycler import cycler
from rich.console import Console
from scorebench.bench.spec import RunResult
from scorebench.datasets.errors import UsageError
from scorebench.reports import figures as figures_package
from scorebench.reports.figures.named import figure, figures
from scorebench.reports.figures.style import encode
from scorebench.reports.progress import ProgressListener
from scorebench.reports.source import load
from scorebench.reports.terminal import status_view
from scorebench.reports.write import leaderboard_table
from scorebench.studies.cell import Cell, Slot
from scorebench.studies.execution.events import (
    CellFinished,
    ReportStep,
    RunsFinished,
    StudyFinished,
    StudyStarted,
)
from scorebench.studies.rundir.rows import Row

from .conftest import DATASETS, METHODS, study


@pytest.mark.parametrize("samplers", [("langevin",), ("langevin", "annealed_langevin")])
def test_leaderboard_fits_80_columns(
    samplers: tuple[str, ...], make_directory: Callable[[pd.DataFrame], Path]
):
    folder = make_directory(study(samplers=samplers, trials=1))
    text = leaderboard_table(load(folder))
    assert max(len(line) for line in text.split("\n")) <= 80
    for word in (*DATASETS, *METHODS, *samplers[1:], "floor", "exact score", "±"):
        assert word in text
    assert "…" not in text, "nothing is cut off"


def test_every_format_has_every_method(directory: Path):
    source = load(directory)
    assert leaderboard_table(source, "csv").startswith("rank_low,rank_high,method,sampler,score")
    assert leaderboard_table(source, "markdown").count("\n") == 6
    latex = leaderboard_table(source, "latex")
    assert r"ssm\_vr" in latex
    assert latex.count(r"\\") == 5
    for kind in ("table", "csv", "markdown", "json"):
        assert all(method in leaderboard_table(source, kind) for method in METHODS)
    with pytest.raises(UsageError, match="did you mean 'markdown'"):
        leaderboard_table(source, "markdwon")


def test_status_tells_what_is_missing(make_directory: Callable[[pd.DataFrame], Path]):
    results = study(datasets=("rings",))
    gone = (results.method == "dsm") & (results.phase == "confirm")
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(status_view(load(make_directory(results[~gone]))))
    text = console.export_text()
    assert "Without a confirmation run: 1 of 4 cells: dsm on rings (langevin)." in text
    dsm = next(line for line in text.split("\n") if line.startswith("dsm"))
    assert dsm.split()[3] == "8/8"
    assert "0/5" in dsm


def test_figures_can_be_had_one_by_one(directory: Path):
    source = load(directory)
    names = set(figures(source))
    cells = {f"{m}-{d}-langevin" for m in METHODS for d in DATASETS}
    by_dataset = {f"{kind}-{d}" for kind in ("budget", "errors", "training") for d in DATASETS}
    assert (
        names
        == {"overview", "gallery"}
        | cells
        | {f"{kind}-{cell}" for kind in ("slices", "parallel") for cell in cells}
        | by_dataset
    )
    for name in (
        "overview",
        "gallery",
        "budget-rings",
        "slices-ssm-rings-langevin",
        "dsm-rings-langevin",
    ):
        assert figure(source, name, width=3.35).get_size_inches()[0] == 3.35
    panels = figure(source, "dsm-rings-langevin")
    assert [axis.get_title(loc="left") for axis in panels.axes] == [
        "truth", "samples", "energy", "score field",
    ]  # fmt: skip
    limits = {(axis.get_xlim(), axis.get_ylim()) for axis in panels.axes}
    assert limits == {((-4.0, 4.0), (-4.0, 4.0))}
    assert encode(panels, "pdf").startswith(b"%PDF")
    assert encode(figure(source, "overview"), "svg") == encode(figure(source, "overview"), "svg")
    with pytest.raises(UsageError, match="did you mean 'overview'"):
        figure(source, "overveiw")


@pytest.mark.parametrize("name", ["overview", "dsm-rings-langevin", "slices-ssm-rings-langevin"])
def test_figures_have_the_same_bytes_whatever_matplotlib_is_set_to(directory: Path, name: str):
    source = load(directory)
    plain = encode(figure(source, name), "png", dpi=40)
    settings: dict[Any, Any] = {
        "text.usetex": True, "font.family": "serif", "font.size": 30, "lines.linewidth": 9,
        "axes.grid": True, "axes.prop_cycle": cycler(color="rgb"), "axes.unicode_minus": False,
        "axes.formatter.use_locale": True, "figure.dpi": 30, "figure.autolayout": True,
        "figure.constrained_layout.use": True, "image.cmap": "gray", "image.origin": "lower",
        "savefig.dpi": 30, "savefig.bbox": "tight", "savefig.transparent": True,
        "savefig.facecolor": "red", "svg.hashsalt": None, "path.sketch": (1, 100, 2),
    }  # fmt: skip
    with mpl.rc_context(settings):
        assert encode(figure(source, name), "png", dpi=40) == plain
        assert mpl.rcParams["font.size"] == 30
    with mpl.rc_context(settings):
        drawn = figure(source, name)
    assert encode(drawn, "png", dpi=40) == plain


@pytest.mark.parametrize("backend", ["nonsense", "module://no.such", "agg", None])
def test_matplotlib_is_imported_whatever_its_backend_is_called(
    backend: str | None, monkeypatch: pytest.MonkeyPatch
):
    seen, found = [], importlib.import_module

    def importing(name: str, *package: str) -> object:
        if name == "matplotlib":
            seen.append(os.environ.get("MPLBACKEND"))
        return found(name, *package)

    monkeypatch.delenv("MPLBACKEND", raising=False)
    if backend is not None:
        monkeypatch.setenv("MPLBACKEND", backend)
    monkeypatch.setattr(importlib, "import_module", importing)
    with mpl.rc_context():
        importlib.reload(figures_package)
    assert seen == [None]
    assert os.environ.get("MPLBACKEND") == backend


def test_no_run_directory_is_one_line(tmp_path: Path):
    with pytest.raises(UsageError, match="not a run directory"):
        load(tmp_path)


def rows(*values: float) -> list[Row]:
    cell = Cell("dsm", "rings", "langevin")
    return [
        Row(
            Slot(cell, "search", i, 0), "{}",
            RunResult(
                key=str(i), state="ok", metrics={"sw1": value}, compute={"train_seconds": 2.0}
            ),
            "e0",
        )
        for i, value in enumerate(values)
    ]  # fmt: skip


def listen(directory: Path, console: Console) -> None:
    cell = Cell("dsm", "rings", "langevin")
    spec = load(directory).study
    with ProgressListener(console) as listener:
        left = {cell: 13, Cell("deen", "rings", "langevin"): 3}
        listener(StudyStarted(spec, directory, 20, 4, 2, 2, left, tuple(left)))
        listener(RunsFinished(rows(0.5, 0.3125, 0.4), done=7, total=20))
        listener(CellFinished(cell, 1, 0.3125, 1, fresh=True, finished=1))
        listener(CellFinished(cell, 1, 0.3, 0, fresh=False, finished=2))
        assert listener.time_left >= 0
        listener(StudyFinished(directory, rows=20, failures=1, ran=16, seconds=12.0))
        listener(ReportStep("ranking", 0, 0))
        listener(ReportStep("drawing", 0, 4))
        listener(ReportStep("drawing", 1, 4))


def test_one_line_per_new_cell_without_a_terminal(directory: Path):
    out = io.StringIO()
    listen(directory, Console(file=out, width=60))
    lines = out.getvalue().strip().split("\n")
    assert len(lines) == 3
    assert "20 runs, 4 already there; 2 workers" in lines[0]
    assert lines[1].startswith("[1/2] dsm on rings (langevin): SW1 0.312 (1 failed)")
    assert "left" in lines[1]
    assert lines[2].startswith("20 runs in ")
    assert "\x1b" not in out.getvalue()


def test_a_bar_in_a_terminal_that_goes_away(directory: Path):
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    listen(directory, console)
    assert "dsm on rings, best 0.312" in out.getvalue()
    assert "7/20" in out.getvalue()
    report = out.getvalue().partition("20 runs in ")[2]
    assert all(part in report for part in ("ranking", "drawing", "1/4", "left"))
    assert console._live_stack == []
    with pytest.raises(RuntimeError):
        interrupt(directory, console)
    assert console._live_stack == []


def interrupt(directory: Path, console: Console) -> None:
    with ProgressListener(console) as listener:
        listener(StudyStarted(load(directory).study, directory, 20, 4, 2, 1, {}, ()))
        raise RuntimeError
