"""The comparison of two studies for a terminal and as a page."""

from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from . import text
from .diff import Difference, Move, move_columns
from .pages.render import render
from .pages.tables import table


def diff_view(difference: Difference) -> RenderableType:
    """Return the difference for a terminal of 80 columns."""
    parts: list[RenderableType] = [Text(difference.answer)]
    for title, lines in _sections(difference):
        parts += [Text(), Text(f"{title}:"), *(Text(f"- {line}") for line in lines)]
    for where, moves in groupby(difference.moves, key=lambda move: move.where):
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
    means = (text.mean_of(mean.value, mean.half_width()) for mean in (move.old, move.new))
    change = text.measured(move.change.value, move.change.half_width())
    return [old if old == new else f"{old} → {new}", *means, change, move.what]


def diff_page(difference: Difference, old: str, new: str) -> str:
    """Return the difference as a self-contained page; ``old`` and ``new`` name the studies."""
    return render(
        "diff.html.j2",
        old=old,
        new=new,
        answer=difference.answer,
        sections=_sections(difference),
        table=table(move_columns, difference.moves) if difference.moves else None,
    )


def _sections(difference: Difference) -> list[tuple[str, list[str]]]:
    sections = [
        ("Configuration", difference.settings),
        ("Environment", difference.environment),
        ("Not in both", difference.unmatched),
    ]
    return [(title, lines) for title, lines in sections if lines]
