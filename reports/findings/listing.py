"""Findings in a terminal: which there are, and what one gave."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...studies.findings import findings

if TYPE_CHECKING:
    from .result import FindingResult


def findings_view() -> RenderableType:
    """Every finding with the claims that it is held against."""
    parts: list[RenderableType] = []
    for name in findings.names():
        parts.append(Text.assemble((name, "bold"), "  ", findings.summary(name)))
        shown = _grid()
        for claim in findings.get(name).claims:
            shown.add_row(f"  {claim.id}", claim.says)
        parts.append(shown)
    return Group(*parts)


def claims_view(result: "FindingResult") -> RenderableType:
    """The verdict, and every claim with what was expected and measured."""
    from .page import claim_table

    filled = claim_table(result)
    shown = _grid(header=True)
    for k, header in enumerate(filled.headers[:-1]):
        shown.add_column(header, justify="right" if filled.numeric[k] else "left", no_wrap=k != 1)
    for row in filled.rows:
        *fields, _ = (field.text for field in row)
        held = fields[-1] == "yes"
        shown.add_row(*fields[:-1], Text(fields[-1], style="green" if held else "bold red"))
    return Group(Text(result.verdict, style="bold"), Text(), shown)


def _grid(*, header: bool = False) -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header)
