"""The command `finding`, which ``__main__`` adds to the others."""

import time
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from ...datasets.errors import UsageError
from ...studies.commands import say
from ...studies.execution import interrupt

commands = typer.Typer()

AnyStudy = TypeVar("AnyStudy")


def _complete(incomplete: str) -> list[str]:
    from . import findings

    return [name for name in findings.names() if name.startswith(incomplete)]


def refuse_finding(study: AnyStudy) -> AnyStudy:
    """Pass a study or its name through, unless only a finding has that name.

    Raises:
        UsageError: The name is that of a finding.
    """
    from ...studies.specs.load import presets
    from . import findings

    known = isinstance(study, str) and study in findings.names() and study not in presets()
    if known and not Path(str(study)).exists():
        raise UsageError(f"{study!r} is a finding, not a study: scorebench finding {study}")
    return study


@commands.command(epilog="Example: scorebench finding langevin")
def finding(
    name: Annotated[
        str | None,
        typer.Argument(help="Finding to run (default: list all).", autocompletion=_complete),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory (default: runs/findings/NAME).")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", "-w", help="Number of processes (default: all cores)."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Run all findings; ends with a table and a page.")
    ] = False,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--override", "-o", metavar="KEY=VALUE", help="Override a setting with a TOML value."
        ),
    ] = None,
) -> None:
    """Reproduce a known result with figure, table and verdict; exit status 1 if a claim fails."""
    from ..commands import print_view
    from . import findings
    from .listing import claims_view, list_view, summary_view

    if every and (name or override):
        raise UsageError(f"--all runs all findings as they are: leave out {name or override}")
    if name is None and not every:
        print_view(list_view())
        return
    from .api import HOME
    from .api import finding as reproduce
    from .page import write_all
    from .progress import FindingProgress
    from .result import FindingResult

    results: dict[str, tuple[FindingResult, float]] = {}
    try:
        for one in findings.names() if every else [str(name)]:
            started = time.monotonic()
            place = out / one if every and out else out
            with FindingProgress(one) as progress:
                result = reproduce(
                    one, place, workers=workers, overrides=override or (), listener=progress
                )
            results[one] = result, time.monotonic() - started
    except KeyboardInterrupt:
        say("scorebench: stopped; run the same command again to continue", err=True)
        raise typer.Exit(interrupt.status()) from None
    if every:
        print_view(summary_view(results))
        write_all([result for result, _ in results.values()], out or HOME)
    else:
        print_view(claims_view(result))
    say(f"\nreport: {Path(out or HOME if every else result.directory or '') / 'report.html'}")
    if not all(result.holds for result, _ in results.values()):
        raise typer.Exit(1)
