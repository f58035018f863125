"""The command line: parse, call, print."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import __version__
from .datasets.errors import UsageError
from .studies.completion import complete_override, complete_study

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(
    name="scorebench",
    help="Tune, compare and reproduce score-matching methods on toys with exact truth.",
    epilog="Example: scorebench run quick && scorebench leaderboard runs/quick",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Run directory of a study.")]
Workers = Annotated[
    int | None, typer.Option("--workers", "-w", help="Processes; all cores unless given.")
]
StudyName = Annotated[
    str,
    typer.Argument(
        help="Name of a packaged study, or path of a TOML file.", autocompletion=complete_study
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--override",
        "-o",
        metavar="KEY=VALUE",
        help="Change a field; TOML values.",
        autocompletion=complete_override,
    ),
]
SamplerLabel = Annotated[
    str | None, typer.Option("--sampler", help="Label of the sampler, where there are several.")
]


class Format(StrEnum):
    """How a table is written."""

    table = "table"
    csv = "csv"
    parquet = "parquet"
    markdown = "markdown"
    json = "json"
    latex = "latex"


class PluginKind(StrEnum):
    """What users write themselves."""

    method = "method"
    dataset = "dataset"


@app.callback(invoke_without_command=True)
def common(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Tune, compare and reproduce score-matching methods on toys with exact truth."""
    if version:
        typer.echo(f"scorebench {__version__}")
        raise typer.Exit


@app.command("list", epilog="Example: scorebench list")
def list_all() -> None:
    """List methods, datasets, samplers, metrics, reference rows and packaged studies."""
    from .reports.api import catalog
    from .reports.listings import catalog_view

    _print(catalog_view(catalog()))


@app.command(epilog="Example: scorebench run quick -o training.steps=500 -o 'datasets=[\"rings\"]'")
def run(
    study: StudyName,
    out: Annotated[Path | None, typer.Option(help="Run directory; runs/NAME unless given.")] = None,
    workers: Workers = None,
    override: Overrides = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write DIR/tensorboard: curves, pictures.")
    ] = False,
    discard: Annotated[
        list[str] | None,
        typer.Option(metavar="CELL", help="Set results aside that no longer fit; 'dsm-*' works."),
    ] = None,
    backend: Annotated[str, typer.Option(help="Where runs go: local, or dask.")] = "local",
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler; a local one if not given."),
    ] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Optuna's database: postgresql+psycopg://...")
    ] = None,
) -> None:
    """Run a study, or finish it: what its directory holds already is not run again."""
    from .reports import api
    from .reports.progress import ProgressListener
    from .studies.scheduler import OutOfTime

    try:
        with ProgressListener() as listener:
            done = api.run(
                study,
                out,
                workers=workers,
                overrides=override or (),
                listener=listener,
                discard=discard or (),
                backend=backend,
                scheduler=scheduler,
                storage=storage,
            )
    except (KeyboardInterrupt, OutOfTime) as stop:
        late = isinstance(stop, OutOfTime)
        why = "stopped: limits.study_seconds are over" if late else "stopped"
        typer.echo(f"scorebench: {why}; run the same command again to continue", err=True)
        # As a shell and timeout(1) say it.
        raise typer.Exit(124 if late else 130) from None
    leaderboard(done.directory)
    if tensorboard:
        from .reports.tensorboard import write_tensorboard

        typer.echo(f"\ntensorboard --logdir {write_tensorboard(done.directory)}")
    typer.echo(f"\nreport: {done.directory / 'report.html'}")


@app.command(epilog="Example: scorebench status runs/quick")
def status(directory: Directory) -> None:
    """Show how far a study is, also while it runs."""
    from .reports.source import load
    from .reports.terminal import status_view

    _print(status_view(load(directory)))


@app.command(epilog="Example: scorebench leaderboard runs/quick --format markdown")
def leaderboard(
    directory: Directory,
    kind: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.table,
    table: Annotated[
        str,
        typer.Option(help="board, cells, pairs, budgets, sensitivity, failures or results."),
    ] = "board",
    exact: Annotated[
        bool, typer.Option("--exact", help="All columns and digits in Markdown and LaTeX too.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="File to write it to.")] = None,
) -> None:
    """Rank the methods on their confirmed runs, or export any other table."""
    if out is None and kind is Format.table and table == "board" and sys.stdout.isatty():
        from .reports.source import load
        from .reports.terminal import leaderboard_view

        _print(leaderboard_view(load(directory).evidence))
        return
    from .reports.write import leaderboard_table, write_table

    if out is not None:
        write_table(directory, out, "markdown" if kind is Format.table else kind, table, exact)
    elif kind is Format.parquet:
        raise UsageError("parquet is not for reading: say where to write it with --out")
    else:
        typer.echo(leaderboard_table(directory, kind.value, table, exact).rstrip("\n"))


@app.command(epilog="Example: scorebench figure overview runs/quick --out overview.pdf")
def figure(
    name: Annotated[str, typer.Argument(help="overview, budget-DATASET, training-DATASET, ...")],
    directory: Directory,
    out: Annotated[
        Path | None, typer.Option(help="File ending in .svg, .pdf or .png; NAME.pdf unless given.")
    ] = None,
    width: Annotated[float, typer.Option(help="Inches; a column of a paper unless given.")] = 3.35,
) -> None:
    """Write one figure of a report, in the size of a paper's column."""
    from .reports.write import write_figure

    target = out or Path(f"{name}.pdf")
    write_figure(directory, name, target, width)
    typer.echo(target)


@app.command(epilog="Example: scorebench report runs/quick")
def report(directory: Directory) -> None:
    """Write report.html, report.md and leaderboard.csv, and print the page's path."""
    from .reports.write import write_report

    typer.echo(write_report(directory))


@app.command(epilog="Example: scorebench diff runs/before runs/after")
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Run directory.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Run directory.")],
    out: Annotated[Path | None, typer.Option(help="Also write it as a page, FILE.html.")] = None,
) -> None:
    """Say what two studies differ in, and which ranks moved more than their uncertainty."""
    from .reports.write import write_diff

    typer.echo(write_diff(old, new, out).rstrip("\n"))


@app.command(epilog="Example: scorebench merge runs/all runs/mine runs/yours")
def merge(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New run directory.")],
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Two or more.")],
) -> None:
    """Put run directories together into one board; refuse what cannot be compared."""
    from .reports.merge import merge as put_together
    from .reports.write import write_report

    typer.echo(write_report(put_together(out, directories)))


@app.command(epilog="Example: scorebench dashboard runs/quick")
def dashboard(
    directory: Directory,
    port: Annotated[int, typer.Option(help="Where to listen, on this machine only.")] = 8080,
) -> None:
    """Watch the searches of a study in Optuna's dashboard; nothing in it is changed."""
    from .reports.dashboard import HOST, serve

    typer.echo(f"http://{HOST}:{port}, until Ctrl-C")
    serve(directory, port)


@app.command(epilog="Example: scorebench best runs/quick dsm rings > my.toml")
def best(
    directory: Directory,
    method: Annotated[str, typer.Argument(help="Label of the method.")],
    dataset: Annotated[str, typer.Argument(help="Label of the dataset.")],
    sampler: SamplerLabel = None,
) -> None:
    """Print a winning configuration as a study that `run` accepts."""
    from .studies.best import best as best_of

    typer.echo(best_of(directory, method, dataset, sampler).to_toml().rstrip("\n"))


@app.command(epilog="Example: scorebench sample runs/quick dsm rings -n 10000 --out points.npy")
def sample(
    directory: Directory,
    method: Annotated[str, typer.Argument(help="Label of the method.")],
    dataset: Annotated[str, typer.Argument(help="Label of the dataset.")],
    sampler: SamplerLabel = None,
    count: Annotated[int, typer.Option("-n", help="Number of points.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal points.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="File of NumPy's; METHOD-DATASET.npy unless given.")
    ] = None,
) -> None:
    """Draw points from the best stored model of a method, and print the path of their file."""
    import numpy as np

    from .studies.sample import sample as sample_of

    out = out or Path(f"{method}-{dataset}.npy")
    if out.suffix != ".npy":
        raise UsageError(f"--out {str(out)!r}: should end in .npy")
    points = sample_of(directory, method, dataset, sampler, n=count, seed=seed)
    try:
        np.save(out, points)
    except OSError as error:
        raise UsageError(f"cannot write {str(out)!r}: {error.strerror}") from error
    typer.echo(out)


@app.command(epilog="Example: scorebench replay runs/quick dsm rings")
def replay(
    directory: Directory,
    method: Annotated[str | None, typer.Argument(help="Label of the method.")] = None,
    dataset: Annotated[str | None, typer.Argument(help="Label of the dataset.")] = None,
    sampler: SamplerLabel = None,
    every: Annotated[bool, typer.Option("--all", help="Every best configuration.")] = False,
    workers: Workers = None,
) -> None:
    """Train best configurations again and compare the numbers; exit status 1 if any differs."""
    if every and method is not None:
        raise UsageError(f"--all replays every method: leave out {method!r}, or --all")
    if not every and dataset is None:
        raise UsageError("say what to replay: METHOD DATASET, or --all")
    from .reports.api import cores
    from .reports.listings import replay_view
    from .studies.replay import replay as replay_of

    found = replay_of(directory, method, dataset, sampler, workers=workers or cores())
    _print(replay_view(found))
    if bool((found["verdict"] == "differs").any()):
        raise typer.Exit(1)


@app.command(epilog="Example: scorebench show quick -o training.steps=500 > my.toml")
def show(
    study: Annotated[
        str | None,
        typer.Argument(
            help="Name of a packaged study, or path of a TOML file.", autocompletion=complete_study
        ),
    ] = None,
    override: Overrides = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of study files instead.")
    ] = False,
) -> None:
    """Print a study with all its defaults, its number of runs, and about how long they take."""
    from .studies.schema import SCHEMA

    if schema:
        typer.echo(SCHEMA.read_text(encoding="utf-8").rstrip("\n"))
        return
    if study is None:
        raise UsageError("say which study to show, or --schema")
    from .reports.api import load_study
    from .reports.listings import estimate_text
    from .studies.estimate import estimate

    spec = load_study(study, override or ())
    typer.echo(spec.to_toml())
    typer.echo(estimate_text(estimate(spec)))


@app.command(epilog="Example: scorebench new method mine && scorebench check mine.py")
def new(
    kind: Annotated[PluginKind, typer.Argument(help="What to write.")],
    name: Annotated[str, typer.Argument(help="Small letters, digits and _.")],
) -> None:
    """Write a method or dataset of your own to start from, with a test and a study."""
    from .studies.scaffold import scaffold

    plugin, test, study = scaffold(kind.value, name)
    typer.echo(f"wrote {plugin}, {test} and {study}; next:")
    typer.echo(f"  scorebench check {plugin}")
    typer.echo(f"  scorebench run {study}")


@app.command(epilog="Example: scorebench check mine.py")
def check(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A name, or a plug-in file.")],
) -> None:
    """Try what a method or dataset promises; exit status 1 if a promise is broken."""
    from .bench.plugin_check import check as findings_of
    from .reports.listings import findings_view

    found = list(findings_of(name))
    _print(findings_view(found))
    if any(finding.complaint for finding in found):
        raise typer.Exit(1)


def _print(view: "RenderableType") -> None:
    from rich.console import Console

    console = Console() if sys.stdout.isatty() else Console(width=100, color_system=None)
    console.print(view)


def main() -> None:
    """Run the command line; bad input is one line on standard error and exit status 2."""
    try:
        status = app(standalone_mode=False)
    except UsageError as error:
        _refuse(str(error))
    except typer.Abort:
        _refuse("interrupted")
    except BrokenPipeError:
        # Whoever read our output has left, as in `scorebench list | head`.
        sys.stderr.close()
        raise SystemExit(141) from None
    except typer.TyperException as error:
        _refuse(error.format_message() if hasattr(error, "format_message") else str(error))
    else:
        raise SystemExit(status or 0)


def _refuse(message: str) -> None:
    typer.echo(f"scorebench: {' '.join(message.split())}", err=True)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
