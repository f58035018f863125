"""Plain listings for a terminal: what there is to name, and what a check found."""

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from . import text

if TYPE_CHECKING:
    from ..bench.plugin_check import CheckResult
    from ..studies.execution.estimate import Estimate

_PLURALS = {"study": "studies"}


def catalog_view(entries: Iterable[tuple[str, str, str]]) -> RenderableType:
    """Names and summaries by kind, in the order given.

    Args:
        entries: Kind, name and summary.
    """
    parts: list[RenderableType] = []
    for kind, group in groupby(entries, key=lambda entry: entry[0]):
        shown = _grid()
        shown.add_column(style="cyan", no_wrap=True, min_width=18)
        shown.add_column()
        for _, name, summary in group:
            shown.add_row(f"  {name}", Text(summary.replace("``", "`")))
        parts += [Text(_PLURALS.get(kind, f"{kind}s"), style="bold"), shown]
    return Group(*parts)


def estimate_text(found: "Estimate") -> str:
    """Number of runs and their time, as comments of TOML."""
    counts = ", ".join(f"{count} {phase}" for phase, count in found.runs.items() if count)
    lines = [
        f"{sum(found.runs.values())} runs in {found.cells} cells: {counts}",
        f"about {text.seconds(found.seconds)} of one core on this machine, "
        f"estimated in {text.seconds(found.measured)}",
    ]
    return "\n".join(f"# {line}" for line in lines)


def findings_view(found: "Iterable[CheckResult]") -> RenderableType:
    """What a plug-in promises: kept, or what is wrong and what would be right."""
    parts: list[RenderableType] = []
    for plugin, group in groupby(found, key=lambda finding: finding.plugin):
        shown = _grid()
        shown.add_column(no_wrap=True, min_width=7)
        shown.add_column()
        kept = 0
        for _, promise, complaint in group:
            if complaint is None:
                kept += 1
                shown.add_row(Text("  ok", style="green"), Text(promise.replace("`", "")))
            else:
                shown.add_row(Text("  wrong", style="bold red"), Text(promise.replace("`", "")))
                shown.add_row("", Text(complaint.replace("`", ""), style="bold"))
        total = sum(cell != "" for cell in shown.columns[0].cells)
        parts += [Text(f"{plugin}: {kept} of {total} promises kept", style="bold"), shown]
    return Group(*parts)


def _grid(*, show_header: bool = False) -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=show_header)
