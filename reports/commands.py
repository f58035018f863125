"""Commands that read run directories; ``__main__`` puts all together."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..datasets.errors import UsageError
from ..studies.commands import Directory

if TYPE_CHECKING:
    from rich.console import RenderableType

commands = typer.Typer()


class Format(StrEnum):
    """How a table is written."""

    table = "table"
    csv = "csv"
    parquet = "parquet"
    markdown = "markdown"
    json = "json"
    latex = "latex"


@commands.command(epilog="Example: scorebench status runs/quick")
def status(directory: Directory) -> None:
    """Show how far a study is, also while it runs."""
    from .source import load
    from .terminal import status_view

    print_view(status_view(load(directory)))


@commands.command(epilog="Example: scorebench leaderboard runs/quick --format markdown")
def leaderboard(
    directory: Directory,
    kind: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.table,
    table: Annotated[
        str,
        typer.Option(
            help="board, cells, pairs, errors, front, budgets, sensitivity, failures or results."
        ),
    ] = "board",
    exact: Annotated[
        bool, typer.Option("--exact", help="All columns and digits in Markdown and LaTeX too.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="File to write it to.")] = None,
) -> None:
    """Rank the methods on their confirmed runs, or export any other table."""
    if out is None and kind is Format.table and table == "board" and sys.stdout.isatty():
        from .source import load
        from .terminal import leaderboard_view

        print_view(leaderboard_view(load(directory).evidence))
        return
    from .write import leaderboard_table, write_table

    if out is not None:
        write_table(directory, out, "markdown" if kind is Format.table else kind, table, exact)
    elif kind is Format.parquet:
        raise UsageError("parquet is not for reading: say where to write it with --out")
    else:
        typer.echo(leaderboard_table(directory, kind.value, table, exact).rstrip("\n"))


@commands.command(epilog="Example: scorebench figure overview runs/quick --out overview.pdf")
def figure(
    name: Annotated[str, typer.Argument(help="overview, budget-DATASET, errors-DATASET, ...")],
    directory: Directory,
    out: Annotated[
        Path | None, typer.Option(help="File ending in .svg, .pdf or .png; NAME.pdf unless given.")
    ] = None,
    width: Annotated[float, typer.Option(help="Inches; a column of a paper unless given.")] = 3.35,
) -> None:
    """Write one figure of a report, in the size of a paper's column."""
    from .write import write_figure

    target = out or Path(f"{name}.pdf")
    write_figure(directory, name, target, width)
    typer.echo(target)


@commands.command(epilog="Example: scorebench report runs/quick")
def report(directory: Directory) -> None:
    """Write report.html, report.md and leaderboard.csv, and print the page's path."""
    from .write import write_report

    typer.echo(write_report(directory))


@commands.command(epilog="Example: scorebench diff runs/before runs/after")
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Run directory.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Run directory.")],
    out: Annotated[Path | None, typer.Option(help="Also write it as a page, FILE.html.")] = None,
) -> None:
    """Say what two studies differ in, and which ranks moved more than their uncertainty."""
    from .write import write_diff

    print_view(write_diff(old, new, out))


@commands.command(epilog="Example: scorebench merge runs/all runs/mine runs/yours")
def merge(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New run directory.")],
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Two or more.")],
) -> None:
    """Put run directories together into one board; refuse what cannot be compared."""
    from .merge import merge as put_together
    from .write import write_report

    typer.echo(write_report(put_together(out, directories)))


@commands.command(epilog="Example: scorebench dashboard runs/quick")
def dashboard(
    directory: Directory,
    port: Annotated[int, typer.Option(help="Where to listen, on this machine only.")] = 8080,
) -> None:
    """Watch the searches of a study in Optuna's dashboard; nothing in it is changed."""
    from .dashboard import HOST, serve

    typer.echo(f"http://{HOST}:{port}, until Ctrl-C")
    serve(directory, port)


def print_view(view: "RenderableType") -> None:
    """Print in colour on a terminal, and as wide as it is; plainly into a pipe or file."""
    from rich.console import Console

    console = Console() if sys.stdout.isatty() else Console(width=80, color_system=None)
    console.print(view)
