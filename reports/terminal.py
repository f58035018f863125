"""Leaderboard and status for a terminal, 80 columns wide."""

import io
import math

from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from . import text
from .pages.protocol import missing
from .pages.tables import table
from .ranking.board_columns import board_columns
from .ranking.cell_columns import show_mean
from .ranking.cell_results import CellResults
from .ranking.evidence import Contestant, Evidence
from .ranking.statistics import estimate
from .ranking.verdict import verdict
from .source import Source

WIDTH = 80
_SPARE = ("at_floor", "failure_rate", "optimism")
_BOARD = ("rank_low", "score", "probability_best", "at_floor", "failure_rate", "optimism")


def leaderboard_view(evidence: Evidence) -> RenderableType:
    """The answer in words, the ranking, and the confirmed means on every dataset.

    Args:
        evidence: The gathered results.
    """
    parts: list[RenderableType] = [Text(verdict(evidence)), Text()]
    parts += [Text(note, style="yellow") for note in evidence.notes]
    parts.append(_board(evidence))
    for some in _side_by_side(evidence):
        parts += [Text(), _means(evidence, some)]
    return Group(*parts)


def status_view(source: Source) -> RenderableType:
    """How far each cell is, and what is missing.

    Args:
        source: The run directory, read.
    """
    study = source.study
    shown = text.grid(
        left=("method", "dataset", "sampler"),
        right=("trials", "best", "confirmed", study.objective.upper(), "failed"),
    )
    for cell in sorted(source.evidence.cells, key=lambda cell: cell.cell):
        trials = int((cell.search["replicate"] == 0).sum())
        states = cell.runs["state"]
        shown.add_row(
            *(cell.method, cell.dataset, cell.sampler),
            f"{trials}/{study.search.trials}",
            text.number(cell.search_best),
            f"{len(cell.losses)}/{study.confirm.seeds}",
            text.MISSING if cell.missing else show_mean(cell),
            str(int((states != "ok").sum())),
        )
    gaps = missing(source)
    state = Text("\n".join(gaps), style="yellow") if gaps else Text("finished", style="green")
    name = Text(f"{study.name}: {text.plural(len(source.results), 'run')} in the table")
    return Group(name, shown, state)


def plain(view: RenderableType) -> str:
    """What a terminal would show, as text of its width without colours."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(view)
    return "\n".join(line.rstrip() for line in captured.get().split("\n"))


def _board(evidence: Evidence) -> RichTable:
    """The ranking, without the columns that long labels leave no room for."""
    labels = [contestant.label for contestant in evidence.contestants]
    names = list(_BOARD)
    for spare in ("", *_SPARE):
        names = [name for name in names if name != spare]
        others = [column.name for column in board_columns.shown if column.name not in names]
        board = table(board_columns, evidence.contestants, others)
        entries = [board.headers, *([field.text for field in row] for row in board.rows)]
        widths = [max(map(len, column)) + 2 for column in zip(*entries, strict=True)]
        if max(map(len, [*labels, "method"])) + sum(widths) <= WIDTH:
            break
    shown = text.grid()
    shown.add_column("method", no_wrap=True)
    for header in board.headers:
        shown.add_column(header, justify="right", no_wrap=True)
    for label, row in zip(labels, board.rows, strict=True):
        shown.add_row(label, *(field.text for field in row))
    return shown


def _side_by_side(evidence: Evidence) -> list[list[str]]:
    """Groups of datasets whose columns fit beside the labels."""
    labels = max((len(c.label) for c in evidence.contestants), default=0)
    groups: list[list[str]] = []
    room = 0
    for dataset in evidence.datasets:
        entries = [len(_short(contestant, dataset)) for contestant in evidence.contestants]
        width = 2 + max([len(dataset), *entries])
        if not groups or room < width:
            groups.append([])
            room = WIDTH - max(labels, len("exact score"))
        groups[-1].append(dataset)
        room -= width
    return groups


def _means(evidence: Evidence, datasets: list[str]) -> RichTable:
    shown = text.grid()
    shown.add_column(evidence.objective.upper(), no_wrap=True)
    for dataset in datasets:
        shown.add_column(dataset, justify="right", no_wrap=True)
    for contestant in evidence.contestants:
        shown.add_row(contestant.label, *(_short(contestant, name) for name in datasets))
    for name, kind in (("exact score", "oracle"), ("untrained", "untrained"), ("floor", "truth")):
        shown.add_row(name, *(_reference(evidence.on(d), kind) for d in datasets), style="dim")
    return shown


def _short(contestant: Contestant, dataset: str) -> str:
    cell = contestant.cells[dataset]
    if cell.missing or cell.failed:
        return show_mean(cell)
    mark = " =" if cell.at_floor else ""
    return text.measured(cell.mean, cell.loss.half_width()) + mark


def _reference(cells: list[CellResults], kind: str) -> str:
    """Mean of a reference; of the sampler that does best with it where there are several."""
    means = [
        known.value
        for cell in cells
        if not math.isnan((known := estimate([getattr(cell, kind)])).value)
    ]
    if not means:
        return text.MISSING
    return text.number(min(means))
