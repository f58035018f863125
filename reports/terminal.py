"""Leaderboard and progress of a study for a terminal of 80 columns."""

import io
import math
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from . import text
from .pages.protocol import missing
from .pages.tables import table
from .ranking.board_columns import board_columns
from .ranking.cell_columns import failures, show_mean
from .ranking.cell_results import CellResults
from .ranking.evidence import Contestant, Evidence
from .ranking.statistics import estimate
from .ranking.verdict import headline, verdict
from .source import Source

WIDTH = 80
_SPARE = ("at_floor", "failure_rate", "optimism")
_BOARD = ("rank_low", "score", "probability_best", "at_floor", "failure_rate", "optimism")


def leaderboard_view(evidence: Evidence, doubts: Sequence[str] = ()) -> RenderableType:
    """Return the answer in words, the ranking, and the confirmed means on every dataset.

    Args:
        evidence: The ranked results.
        doubts: Sentences that come first: what does not fit the study.
    """
    parts: list[RenderableType] = [Text(doubt, style="bold red") for doubt in doubts]
    parts += [Text(f"{headline(evidence)}.", style="bold"), Text(verdict(evidence)), Text()]
    parts += [Text(note, style="yellow") for note in evidence.notes]
    parts.append(_board(evidence))
    for datasets in _side_by_side(evidence):
        parts += [Text(), _means(evidence, datasets)]
    return Group(*parts)


def status_view(source: Source) -> RenderableType:
    """Return the progress of each cell, and what is missing."""
    study = source.study
    shown = text.grid(
        left=("method", "dataset", "sampler"),
        right=("trials", "best", "confirmed", study.objective.upper(), "failed"),
    )
    for results in sorted(source.evidence.cells, key=lambda results: results.cell):
        shown.add_row(
            *results.cell.labels,
            f"{len(results.trials)}/{study.search.trials}",
            text.number(results.search_best),
            f"{len(results.confirm)}/{study.confirm.seeds * study.search.restarts}",
            text.MISSING if results.missing else show_mean(results),
            str(failures([results])[0]),
        )
    gaps = missing(source)
    state = Text("\n".join(gaps), style="yellow") if gaps else Text("finished", style="green")
    name = Text(f"{study.name}: {text.plural(len(source.results), 'run')} in the table")
    return Group(name, shown, state)


def plain(view: RenderableType) -> str:
    """Return a view as text of 80 columns without colours."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(text.Visible(view))
    return "\n".join(line.rstrip() for line in captured.get().split("\n"))


def _board(evidence: Evidence) -> RichTable:
    """Return the ranking; columns that do not fit beside long labels are left out."""
    labels = [contestant.label for contestant in evidence.contestants]
    names = list(_BOARD)
    for spare in ("", *_SPARE):
        names = [name for name in names if name != spare]
        hidden = [column.name for column in board_columns.named() if column.name not in names]
        board = table(board_columns, evidence.contestants, hidden)
        entries = [board.headers, *([field.text for field in row] for row in board.rows)]
        widths = [max(map(len, column)) + 2 for column in zip(*entries, strict=True)]
        if max(map(len, [*labels, _header(evidence)])) + sum(widths) <= WIDTH:
            break
    shown = text.grid()
    shown.add_column(_header(evidence), no_wrap=True)
    for header in board.headers:
        shown.add_column(header, justify="right", no_wrap=True)
    for label, row in zip(labels, board.rows, strict=True):
        shown.add_row(label, *(field.text for field in row))
    return shown


def _header(evidence: Evidence) -> str:
    return "sampler" if evidence.nouns == "samplers" else "method"


def _side_by_side(evidence: Evidence) -> list[list[str]]:
    """Return groups of datasets whose columns fit beside the labels."""
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
    """Return the confirmed means of the contestants and references on some datasets."""
    shown = text.grid()
    shown.add_column(evidence.objective.upper(), no_wrap=True)
    for dataset in datasets:
        shown.add_column(dataset, justify="right", no_wrap=True)
    for contestant in evidence.contestants:
        shown.add_row(contestant.label, *(_short(contestant, name) for name in datasets))
    for name, kind in (("exact score", "oracle"), ("untrained", "untrained"), ("floor", "truth")):
        # Data that can only be drawn from have no exact score.
        if any(len(getattr(cell, kind)) for d in datasets for cell in evidence.on(d)):
            shown.add_row(name, *(_reference(evidence.on(d), kind) for d in datasets), style="dim")
    return shown


def _short(contestant: Contestant, dataset: str) -> str:
    """Return a confirmed mean with its interval; ``=`` marks the noise floor."""
    results = contestant.cells[dataset]
    if results.missing or results.failed:
        return show_mean(results)
    mark = " =" if results.at_floor else ""
    return text.measured(results.mean, results.loss.half_width()) + mark


def _reference(cells: list[CellResults], kind: str) -> str:
    """Return the mean of a reference, with the best sampler if there are several."""
    means = [estimate([getattr(results, kind)]).value for results in cells]
    return text.number(min((mean for mean in means if not math.isnan(mean)), default=math.nan))
