"""The commands that read run directories; ``__main__`` adds them to the others."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..datasets.errors import UsageError
from ..studies.commands import Directory, say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .source import Source

commands = typer.Typer()


Format = StrEnum("Format", ["table", "csv", "parquet", "markdown", "json", "latex"])


@commands.command(epilog="Example: scorebench status runs/quick")
def status(directory: Directory) -> None:
    """Show the progress of a study, even while it runs."""
    from .source import load
    from .terminal import status_view

    print_view(status_view(load(directory, whole=False)))


@commands.command(epilog="Example: scorebench leaderboard runs/quick --format markdown")
def leaderboard(
    directory: Directory,
    kind: Annotated[
        Format | None,
        typer.Option("--format", help="Format of the table (default: as --out ends, else table)."),
    ] = None,
    table: Annotated[
        str,
        typer.Option(
            help="board, cells, pairs, claims, questions, errors, front, budgets, sensitivity, "
            "failures or results."
        ),
    ] = "board",
    exact: Annotated[
        bool, typer.Option("--exact", help="All columns and digits in Markdown and LaTeX too.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="File (default: print).")] = None,
) -> None:
    """Rank the methods on their confirmed runs, or export another table."""
    if out is None and kind is Format.parquet:
        raise UsageError("parquet is binary: choose a file with --out")
    from .source import load
    from .write import format_of, leaderboard_table, write_table

    shown = kind.value if kind is not None else format_of(out) if out is not None else "table"
    source = load(directory, whole=table == "results")
    if out is not None or shown != "table":
        # The table itself is for other programs.
        for doubt in source.doubts:
            say(f"scorebench: {doubt}", err=True)
    if out is not None:
        write_table(source, out, shown, table, exact)
    elif shown == "table" and table == "board" and not exact:
        print_board(source)
    else:
        say(leaderboard_table(source, shown, table, exact).rstrip("\n"))


@commands.command(epilog="Example: scorebench figure overview runs/quick --out overview.pdf")
def figure(
    name: Annotated[str, typer.Argument(help="overview, budget-DATASET, errors-DATASET, ...")],
    directory: Directory,
    out: Annotated[
        Path | None, typer.Option(help="File ending in .svg, .pdf or .png (default: NAME.pdf).")
    ] = None,
    width: Annotated[float, typer.Option(help="Width in inches (default: 3.35).")] = 3.35,
) -> None:
    """Write one figure of a report, by default as wide as a column of a paper."""
    from .source import load
    from .write import write_figure

    target = out or Path(f"{name}.pdf")
    write_figure(load(directory, whole=False), name, target, width)
    say(target)


@commands.command(epilog="Example: scorebench report runs/quick")
def report(directory: Directory) -> None:
    """Write report.html, report.md and leaderboard.csv; print the path of report.html."""
    from .progress import ProgressBar
    from .source import load
    from .write import write_report

    with ProgressBar() as bar:
        bar.step("reading the results", 0, 0)
        written = write_report(load(directory, whole=False), bar.step)
    say(written)


ScoreFormat = StrEnum("ScoreFormat", ["table", "csv", "markdown", "json"])


@commands.command(epilog="Example: scorebench score mine.npy rings --metrics mmd,sw1")
def score(
    points: Annotated[Path, typer.Argument(metavar="POINTS", help="CSV, NPY, NPZ or Parquet.")],
    dataset: Annotated[
        str | None, typer.Argument(help="Dataset that the points should follow.")
    ] = None,
    metrics: Annotated[
        str, typer.Option(metavar="NAME,...", help="Metrics (default: mmd,sw1,sw2).")
    ] = "",
    against: Annotated[
        Path | None, typer.Option(metavar="POINTS", help="File of points instead of a dataset.")
    ] = None,
    floors: Annotated[
        int, typer.Option(help="Samples of the truth that are scored like the points.")
    ] = 99,
    seed: Annotated[int, typer.Option(help="Seed of the truth.")] = 0,
    kind: Annotated[
        ScoreFormat, typer.Option("--format", help="Format of the table.")
    ] = ScoreFormat.table,
) -> None:
    """Score points from elsewhere: their distance from the truth, beside that of the truth."""
    from .exports import written
    from .scoring import score as scored
    from .scoring import score_view

    names = [name.strip() for name in metrics.split(",") if name.strip()]
    frame = scored(points, dataset, names, against=against, floors=floors, seed=seed)
    if kind is ScoreFormat.table:
        print_view(score_view(frame, floors))
    else:
        say(written(frame, kind.value).rstrip("\n"))


@commands.command(
    epilog="Example: scorebench plan quick --pilot runs/quick --difference 0.1 > planned.toml"
)
def plan(
    study: Annotated[str, typer.Argument(help="Name of a packaged study, or path of a file.")],
    difference: Annotated[
        float,
        typer.Option(help="Smallest difference to detect (score 0: noise floor, 1: untrained)."),
    ],
    pilot: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run directory to estimate the variation from."),
    ] = None,
    spread: Annotated[
        float | None,
        typer.Option(metavar="SD", help="Or the standard deviation of a score between restarts."),
    ] = None,
    power: Annotated[float, typer.Option(help="Probability to detect the difference.")] = 0.8,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'A < B'", help="Claim to test: A is better than B (or 'A < B on DATASET')."
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--override", "-o", metavar="KEY=VALUE", help="Override a field of the study."
        ),
    ] = None,
) -> None:
    """Choose restarts and seeds for a power; print the study with its registration."""
    from .progress import ProgressBar
    from .publishing.planning import planned, planned_view

    with ProgressBar() as bar:
        study_planned, found = planned(
            study, difference, power=power, pilot=pilot, spread=spread, claims=claim or (),
            overrides=override or (), progress=bar.step,
        )  # fmt: skip
    say(study_planned.to_toml())
    say(planned_view(study_planned, found))


@commands.command(epilog="Example: scorebench cite runs/quick > references.bib")
def cite(directory: Directory) -> None:
    """Print the works behind a study as BibTeX: methods, data, samplers, metrics, statistics."""
    from ..studies.rundir.read import read_study
    from .publishing.citing import bibtex, uncited

    study = read_study(directory)
    say(bibtex(study).rstrip("\n"))
    if without := uncited(study):
        say(f"scorebench: no publication is known of {', '.join(without)}", err=True)


@commands.command(epilog="Example: scorebench publish runs/quick --author 'Ada Lovelace'")
def publish(
    directory: Directory,
    out: Annotated[
        Path | None, typer.Option(help="Folder, new or empty (default: DIR/publish).")
    ] = None,
    license: Annotated[  # noqa: A002
        str, typer.Option(metavar="SPDX", help="Licence of results and reference samples.")
    ] = "CC-BY-4.0",
    author: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="An author; may be repeated.")
    ] = None,
    data_license: Annotated[
        str, typer.Option(metavar="SPDX", help="Licence of files of points that the study uses.")
    ] = "",
) -> None:
    """Write a folder to attach to a paper: results, samples, figures, metadata, works cited."""
    from .progress import ProgressBar
    from .publishing.publish import publish as write
    from .source import load

    with ProgressBar() as bar:
        target = write(
            load(directory), out, license=license, authors=author or (),
            data_license=data_license, progress=bar.step,
        )  # fmt: skip
    say(target)


@commands.command(epilog="Example: scorebench diff runs/before runs/after")
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Run directory.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Run directory.")],
    out: Annotated[
        Path | None, typer.Option(help="Also write the comparison as FILE.html.")
    ] = None,
) -> None:
    """Compare two studies; show ranks that moved beyond their uncertainty."""
    from .source import load
    from .write import write_diff

    print_view(write_diff(load(old), load(new), out))


@commands.command(epilog="Example: scorebench merge runs/all runs/mine runs/yours")
def merge(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New run directory.")],
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Two or more run directories.")
    ],
) -> None:
    """Merge run directories into one; refuse those that cannot be compared."""
    from .merge import merge as merged
    from .source import load
    from .write import write_report

    say(write_report(load(merged(out, directories))))


@commands.command(epilog="Example: scorebench site entries --out public")
def site(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Run directories, archives or folders of archives."),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("public"),
    proofs: Annotated[Path, typer.Option(help="Folder with outcomes of `verify`.")] = Path(
        "proofs"
    ),
    signers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Allowed signers of outcomes, in ssh-keygen's format."),
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the first page.")] = "Leaderboards",
) -> None:
    """Write a public board as a folder of pages for any static host."""
    from .site import write_site

    say(write_site(sources, out, proofs, title, signers))


@commands.command(epilog="Example: scorebench dashboard runs/quick")
def dashboard(
    directory: Directory,
    port: Annotated[
        int,
        typer.Option(min=1, max=65535, help="Port on this machine (not reachable from others)."),
    ] = 8080,
) -> None:
    """Show the searches of a study in Optuna's dashboard, read-only."""
    from .dashboard import HOST, serve

    say(f"http://{HOST}:{port}, until Ctrl-C")
    serve(directory, port)


def print_board(source: "Source") -> None:
    """Print the leaderboard: in colour on a terminal, else as plain text of 80 columns."""
    from .terminal import leaderboard_view, plain

    view = leaderboard_view(source.evidence, source.doubts)
    if sys.stdout.isatty():
        print_view(view)
    else:
        say(plain(view).rstrip("\n"))


def print_view(view: "RenderableType") -> None:
    """Print in colour and full width on a terminal, else as plain text of 80 columns."""
    from rich.console import Console

    from .text import Visible

    console = Console() if sys.stdout.isatty() else Console(width=80, color_system=None)
    console.print(Visible(view))
