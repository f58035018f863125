"""The difference of two studies as text and as a page."""

from pathlib import Path

import jinja2

from .diff import Difference, move_columns
from .tables import Table, table, to_markdown

_TEMPLATES = Path(__file__).parent / "templates"


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
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True,
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
    )  # fmt: skip
    from markupsafe import Markup

    css = Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704
    return environment.get_template("diff.html.j2").render(
        css=css, old=old, new=new, answer=found.answer, sections=_sections(found),
        table=diff_table(found) if found.moves else None,
    )  # fmt: skip


def _sections(found: Difference) -> list[tuple[str, list[str]]]:
    every = [
        ("Configuration", found.settings),
        ("Environment", found.environment),
        ("Not in both", found.gone),
    ]
    return [(title, lines) for title, lines in every if lines]
