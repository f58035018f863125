"""The difference of two studies as text and as a page."""

from .diff import Difference, move_columns
from .render import render
from .tables import Table, table, to_markdown


def diff_table(found: Difference) -> Table:
    """Contestants and cells of both studies as a table."""
    return table(move_columns, found.moves)


def diff_text(found: Difference) -> str:
    """The difference as Markdown, which a terminal shows as well."""
    parts = [found.answer]
    for title, lines in _sections(found):
        parts.append(f"{title}:\n" + "\n".join(f"- {line}" for line in lines))
    if found.moves:
        parts.append(to_markdown(diff_table(found)).rstrip("\n"))
    return "\n\n".join(parts) + "\n"


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
