"""Listings for a terminal: registered names, estimates, and results of plug-in checks."""

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from . import text

if TYPE_CHECKING:
    from ..bench.plugin_check import CheckResult
    from ..studies.execution.estimate import StudyEstimate

_PLURALS = {"study": "studies"}


def catalog_view(entries: Iterable[tuple[str, str, str]]) -> RenderableType:
    """Return names and summaries by kind, in the order of the entries (kind, name, summary)."""
    parts: list[RenderableType] = []
    for kind, group in groupby(entries, key=lambda entry: entry[0]):
        shown = text.grid(header=False)
        shown.add_column(style="cyan", no_wrap=True, min_width=18)
        shown.add_column()
        for _, name, summary in group:
            shown.add_row(f"  {name}", Text(summary.replace("``", "`")))
        parts += [Text(_PLURALS.get(kind, f"{kind}s"), style="bold"), shown]
    return Group(*parts)


def estimate_text(estimate: "StudyEstimate") -> str:
    """Return the number of runs and their time as TOML comments."""
    counts = ", ".join(f"{count} {phase}" for phase, count in estimate.runs.items() if count)
    about = "at least" if estimate.warnings else "about"
    lines = [f"WARNING: {sentence}" for sentence in estimate.warnings]
    lines += [
        f"{sum(estimate.runs.values())} runs in {estimate.cells} cells: {counts}",
        f"{about} {text.seconds(estimate.seconds)} of one core on this machine, "
        f"estimated in {text.seconds(estimate.measured)}",
    ]
    return "\n".join(f"# {line}" for line in lines)


def check_view(results: "Iterable[CheckResult]") -> RenderableType:
    """Return the checks of plug-ins: passed, or what is wrong and how to fix it."""
    parts: list[RenderableType] = []
    for plugin, group in groupby(results, key=lambda result: result.plugin):
        shown = text.grid(header=False)
        shown.add_column(no_wrap=True, min_width=7)
        shown.add_column()
        passed = total = 0
        for _, check, problem, name in group:
            total += 1
            if problem is None:
                passed += 1
                shown.add_row(Text("  ok", style="green"), Text(check.replace("`", "")))
            else:
                shown.add_row(Text("  wrong", style="bold red"), Text(check.replace("`", "")))
                shown.add_row("", Text(problem.replace("`", ""), style="bold"))
                shown.add_row("", Text(f"to leave it out: --skip {name}", style="dim"))
        parts += [Text(f"{plugin}: {passed} of {total} checks passed", style="bold"), shown]
    return Group(*parts)
