"""Plain listings for a terminal: what there is to name, and what a replay found."""

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from . import text

if TYPE_CHECKING:
    import pandas as pd

    from ..bench.plugin_check import Finding
    from ..studies.estimate import Estimate

_PLURALS = {"study": "studies"}
_COLOURS = {"identical": "green", "within tolerance": "yellow", "differs": "bold red"}


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
            shown.add_row(f"  {name}", Text(summary))
        parts += [Text(_PLURALS.get(kind, f"{kind}s"), style="bold"), shown]
    return Group(*parts)


def replay_view(found: "pd.DataFrame") -> RenderableType:
    """One line per replayed run: its verdict on each metric, and what has changed where one moved.

    Args:
        found: What ``replay`` returned.
    """
    shown = _grid(show_header=True)
    for header in ("method", "dataset", "sampler", "replicate"):
        shown.add_column(header, no_wrap=True)
    metrics = list(dict.fromkeys(found["metric"]))
    for metric in metrics:
        shown.add_column(metric)
    reasons: list[RenderableType] = []
    for key, lines in found.groupby(["dataset", "method", "sampler", "replicate"], sort=False):
        dataset, method, sampler, replicate = map(str, key)
        verdicts = dict(zip(lines["metric"], lines["verdict"], strict=True))
        words = [str(verdicts.get(metric, "")) for metric in metrics]
        verdict_cells = [Text(word, style=_COLOURS.get(word, "")) for word in words]
        shown.add_row(method, dataset, sampler, replicate, *verdict_cells)
        for line in lines[lines["verdict"] != "identical"].itertuples():
            before, after = text.number(line.stored, 6), text.number(line.replayed, 6)
            why = f"; changed: {line.changed!s}" if line.changed else ""
            reasons.append(Text(f"{method} on {dataset}: {line.metric!s} {before} → {after}{why}"))
    return Group(shown, *reasons)


def estimate_text(found: "Estimate") -> str:
    """Number of runs and their time, as comments of TOML."""
    counts = ", ".join(f"{count} {phase}" for phase, count in found.runs.items() if count)
    lines = [
        f"{sum(found.runs.values())} runs in {found.cells} cells: {counts}",
        f"about {text.seconds(found.seconds)} of one core on this machine, "
        f"estimated in {text.seconds(found.measured)}",
    ]
    return "\n".join(f"# {line}" for line in lines)


def findings_view(found: "Iterable[Finding]") -> RenderableType:
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
