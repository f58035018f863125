"""The command `finding`; ``__main__`` puts it beside the others."""

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()


def _complete(incomplete: str) -> list[str]:
    from ...studies.findings import findings

    return [name for name in findings.names() if name.startswith(incomplete)]


@commands.command(epilog="Example: scorebench finding langevin")
def finding(
    name: Annotated[
        str | None,
        typer.Argument(help="Which; without one all are listed.", autocompletion=_complete),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory to keep it in; runs/findings/NAME unless given.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", help="Processes; all cores unless given.")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--override", "-o", metavar="KEY=VALUE", help="Change a setting; TOML values."
        ),
    ] = None,
) -> None:
    """Reproduce a known result, with a figure, a table and a verdict; status 1 if a claim fails."""
    from ..commands import print_view
    from .listing import claims_view, findings_view

    if name is None:
        print_view(findings_view())
        return
    from .api import finding as of_name
    from .progress import FindingProgress

    try:
        with FindingProgress(name) as progress:
            result = of_name(name, out, workers=workers, overrides=override or (),
                             listener=progress)  # fmt: skip
    except KeyboardInterrupt:
        typer.echo("scorebench: stopped; run the same command again to continue", err=True)
        raise typer.Exit(130) from None
    print_view(claims_view(result))
    typer.echo(f"\nreport: {Path(result.directory or '') / 'report.html'}")
    if not result.holds:
        raise typer.Exit(1)
