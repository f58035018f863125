"""Findings in a terminal: their list, and the claims of one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from .. import text
from . import findings

if TYPE_CHECKING:
    from .result import FindingResult


def list_view() -> RenderableType:
    """List every finding with its claims."""
    parts: list[RenderableType] = []
    for name in findings.names():
        parts.append(Text.assemble((name, "bold"), "  ", findings.summary(name)))
        shown = text.grid(header=False)
        for claim in findings.get(name).claims:
            shown.add_row(f"  {claim.id}", claim.says)
        parts.append(shown)
    return Group(*parts)


def summary_view(results: "Mapping[str, tuple[FindingResult, float]]") -> RenderableType:
    """Show for each finding how many claims hold and fail with a wrong one, and its seconds."""
    shown = text.grid(["finding"], ["claims", "hold", "fail with a wrong one", "time"])
    for name, (result, seconds) in results.items():
        good = result.claims[["holds", "fails"]].sum()
        style = "green" if result.holds else "bold red"
        counts = [str(len(result.claims)), str(good["holds"]), str(good["fails"])]
        shown.add_row(Text(name, style=style), *counts, text.seconds(seconds))
    return shown


def claims_view(result: "FindingResult") -> RenderableType:
    """Show the verdict, and every claim with its expected and measured number."""
    from .page import claim_table

    table = claim_table(result)
    shown = text.grid()
    for k, header in enumerate(table.headers[:-1]):
        shown.add_column(header, justify="right" if table.numeric[k] else "left", no_wrap=k != 1)
    good = {"yes": "green", "NO": "bold red", "NOTHING": "bold red"}
    for row in table.rows:
        *fields, _ = (Text(field.text, style=good.get(field.text, "")) for field in row)
        shown.add_row(*fields)
    return Group(Text(result.verdict, style="bold"), Text(), shown)
