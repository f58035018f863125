"""The difference of two studies for a terminal and as a page."""

from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from . import text
from .diff import Difference, Move, move_columns
from .pages.render import render
from .pages.tables import Table, table


def diff_table(found: Difference) -> Table:
    """Contestants and cells of both studies as a table."""
    return table(move_columns, found.moves)


def diff_view(found: Difference) -> RenderableType:
    """The difference for a terminal of 80 columns."""
    parts: list[RenderableType] = [Text(found.answer)]
    for title, lines in _sections(found):
        parts += [Text(), Text(f"{title}:"), *(Text(f"- {line}") for line in lines)]
    for where, moves in groupby(found.moves, key=lambda move: move.where):
        shown = text.grid()
        shown.add_column(where, no_wrap=True, min_width=18)
        for header in ("rank", "old", "new", "new − old", "moved"):
            shown.add_column(header, justify="right", no_wrap=True)
        for move in moves:
            shown.add_row(move.label, *_entries(move))
        parts += [Text(), shown]
    return Group(*parts)


def _entries(move: Move) -> list[str]:
    old, new = text.ranks(move.old_rank), text.ranks(move.new_rank)
    means = (text.mean_of(one.value, one.half_width()) for one in (move.old, move.new))
    change = text.measured(move.change.value, move.change.half_width())
    return [old if old == new else f"{old} → {new}", *means, change, move.what]


def diff_page(found: Difference, old: str, new: str) -> str:
    """The difference as a self-contained page.

    Args:
        found: What ``diff`` gave.
        old: Name of the first study.
        new: Of the second.
    """
    return render(
        "diff.html.j2", old=old, new=new, answer=found.answer, sections=_sections(found),
        table=diff_table(found) if found.moves else None,
    )  # fmt: skip


def _sections(found: Difference) -> list[tuple[str, list[str]]]:
    every = [
        ("Configuration", found.settings),
        ("Environment", found.environment),
        ("Not in both", found.gone),
    ]
    return [(title, lines) for title, lines in every if lines]
