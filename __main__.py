"""The command line: parse, call, print."""

import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from . import __version__
from .datasets.errors import UsageError
from .reports import commands as report_commands
from .reports.findings import command as finding_command
from .studies import commands as study_commands
from .studies.commands import SamplerLabel, say
from .studies.execution import interrupt, streams
from .studies.specs.completion import complete_override, complete_study

if TYPE_CHECKING:
    from .reports.source import Source

app = typer.Typer(
    name="scorebench",
    help="Tune, compare and reproduce score-matching methods on toys with exact truth.",
    epilog="Example: scorebench run quick && scorebench leaderboard runs/quick",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Workers = Annotated[
    int | None, typer.Option("--workers", "-w", help="Number of processes (default: all cores).")
]
_STUDY = typer.Argument(
    help="Name of a packaged study, or path of a TOML file or run directory.",
    autocompletion=complete_study,
    callback=finding_command.refuse_finding,
)
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--override",
        "-o",
        metavar="KEY=VALUE",
        help="Override a field with a TOML value.",
        autocompletion=complete_override,
    ),
]

DaskScheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Address of the Dask scheduler (default: a local one)."),
]

Retry = Annotated[
    list[str] | None,
    typer.Option(metavar="[CELL]", help="Run failed runs again: all, or those of 'dsm-*'."),
]

Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="SCOREBENCH_STORAGE",
        help="Optuna's database: postgresql+psycopg://...",
    ),
]


@app.callback(invoke_without_command=True)
def common(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Tune, compare and reproduce score-matching methods on toys with exact truth."""
    if version:
        say(f"scorebench {__version__}")
        raise typer.Exit


@app.command("list", epilog="Example: scorebench list")
def list_all() -> None:
    """List methods, datasets, samplers, metrics, reference rows, packaged studies and findings."""
    from .reports.findings.catalog import catalog
    from .reports.listings import catalog_view

    report_commands.print_view(catalog_view(catalog()))


_INTERRUPTED = 130


class RunCommand(TyperCommand):
    """The command `run`, with an option whose value may be left out, which Typer does not know."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Complete ``--retry`` by a pattern for every cell, unless a pattern follows."""
        following = [*args[1:], "-"]
        completed = [
            word + "=*" * (word == "--retry" and after.startswith("-"))
            for word, after in zip(args, following, strict=False)
        ]
        return super().parse_args(ctx, completed)


@app.command(
    cls=RunCommand,
    epilog="Example: scorebench run quick -o training.steps=500 -o 'datasets=[\"rings\"]'",
)
def run(
    study: Annotated[str, _STUDY],
    out: Annotated[Path | None, typer.Option(help="Run directory (default: runs/NAME).")] = None,
    workers: Workers = None,
    override: Overrides = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write DIR/tensorboard: curves, pictures.")
    ] = False,
    discard: Annotated[
        list[str] | None,
        typer.Option(metavar="CELL", help="Exclude results that no longer match, e.g. 'dsm-*'."),
    ] = None,
    backend: Annotated[str, typer.Option(help="Backend: local or dask.")] = "local",
    scheduler: DaskScheduler = None,
    storage: Storage = None,
    retry: Retry = None,
    until_decided: Annotated[
        bool,
        typer.Option("--until-decided", help="Add restarts until every pair is decided."),
    ] = False,
    track: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Also report to mlflow, wandb or trackio."),
    ] = None,
) -> None:
    """Run or resume a study; completed runs are skipped."""
    from .reports import api
    from .reports.progress import ProgressListener
    from .studies.execution.scheduler import OutOfTime

    if tensorboard:
        from .reports.tensorboard import require_tensorboard

        require_tensorboard()
    try:
        with ProgressListener() as listener:
            result = api.run(
                study,
                out,
                workers=workers,
                overrides=override or (),
                listener=listener,
                discard=discard or (),
                retry=retry or (),
                backend=backend,
                scheduler=scheduler,
                storage=storage,
                until_decided=until_decided,
                track=track or (),
                report=lambda said: say(said, err=True),
            )
    except (KeyboardInterrupt, OutOfTime) as stopped:
        timed_out = isinstance(stopped, OutOfTime)
        why = "stopped: limits.study_seconds reached" if timed_out else "stopped"
        say(f"scorebench: {why}; run the same command again to continue", err=True)
        # As a shell and timeout(1) say it.
        _leave(124 if timed_out else interrupt.status())
    raise typer.Exit(_show_results(result.source, tensorboard))


def _show_results(source: "Source", tensorboard: bool) -> int:
    """Print what a study found; return the exit status: 1 if a cell has confirmed nothing."""
    from .reports.pages.protocol import unconfirmed

    report_commands.print_board(source)
    if tensorboard:
        from .reports.tensorboard import write_tensorboard

        say(f"\ntensorboard --logdir {write_tensorboard(source)}")
    say(f"\nreport: {source.directory / 'report.html'}")
    problems = unconfirmed(source)
    for problem in problems:
        say(f"scorebench: {problem}", err=True)
    # Whether the tables above could be printed does not count.
    return 1 if problems else 0


@app.command(epilog="Example: scorebench replay runs/quick dsm rings")
def replay(
    source: Annotated[
        Path, typer.Argument(metavar="DIR|ARCHIVE", help="Run directory, or what `export` wrote.")
    ],
    method: Annotated[str | None, typer.Argument(help="Label of the method.")] = None,
    dataset: Annotated[str | None, typer.Argument(help="Label of the dataset.")] = None,
    sampler: SamplerLabel = None,
    every: Annotated[bool, typer.Option("--all", help="Every best configuration.")] = False,
    certificate: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Also write it as a page, .html, or as .json."),
    ] = None,
    rows: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of all rows to run again, searches too (default: ranked and reference "
            "rows).",
        ),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Trust the code of the study, which a replay runs.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Run the rows behind a leaderboard again; exit status 1 if any number differs."""
    if every and method is not None:
        raise UsageError(f"--all replays every method: leave out {method!r}, or --all")
    if not every and dataset is None and (method is not None or source.is_dir()):
        raise UsageError("nothing to replay: give METHOD DATASET, or --all")
    from .reports.pages.certificate import certificate_view, check_form, write_certificate
    from .reports.session import cores
    from .studies.certificate import certify

    for path in certificate or ():
        check_form(path)
    workers = workers or cores()
    began = time.monotonic()
    found = certify(source, method, dataset, sampler, rows=rows, workers=workers, trust=trust)
    report_commands.print_view(certificate_view(found, time.monotonic() - began))
    for path in certificate or ():
        write_certificate(found, path)
    if found.verdict == "differs":
        raise typer.Exit(1)


@app.command(epilog="Example: scorebench show quick -o training.steps=500 > my.toml")
def show(
    study: Annotated[str | None, _STUDY] = None,
    override: Overrides = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of study files instead.")
    ] = False,
) -> None:
    """Print a study with all its defaults, its number of runs, and about how long they take.

    Code that is not yet trusted is printed, but not run: then there is no estimate.
    """
    from .studies.specs.schema import SCHEMA

    if schema:
        say(SCHEMA.read_text(encoding="utf-8").rstrip("\n"))
        return
    if study is None:
        raise UsageError("say which study to show, or --schema")
    from .studies.foreign import study_of
    from .studies.trust import untrusted

    spec = study_of(study, override or ())
    if names := untrusted(spec.code):
        say(spec.to_toml())
        say(
            f"# not checked and not estimated: {', '.join(names)} is not yet trusted on this "
            f"machine;\n# `scorebench trust {shlex.quote(study)}` allows it"
        )
        return
    from .reports.listings import estimate_text
    from .studies.engine import Engine
    from .studies.execution.estimate import estimate
    from .studies.specs.check import settled

    spec = settled(spec, Engine())
    say(spec.to_toml())
    say(estimate_text(estimate(spec)))


@app.command(epilog="Example: scorebench check mine.py")
def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE", help="A name, a plug-in file, or a network as FILE:CLASS."
        ),
    ],
    dim: Annotated[
        int | None, typer.Option(min=1, help="Dimension of the data (default: 2).")
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="Leave out a check that the plug-in fails by design."),
    ] = None,
) -> None:
    """Check a method, dataset, sampler, metric or network; exit status 1 if a check fails."""
    from .bench.plugin_check import check as check_plugin
    from .reports.listings import check_view

    results = list(check_plugin(name, dim, skip or ()))
    report_commands.print_view(check_view(results))
    if any(result.problem for result in results):
        raise typer.Exit(1)


app.add_typer(report_commands.commands)
app.add_typer(study_commands.commands)
app.add_typer(finding_command.commands)


@interrupt.obeyed()
def main() -> None:
    """Run the command line; bad input is one line on standard error and exit status 2."""
    streams.settle()
    try:
        # None unless a command has an exit status of its own.
        status = app(standalone_mode=False)
    except UsageError as error:
        _refuse(str(error))
    except typer.Abort:
        _refuse("interrupted")
    except typer.TyperException as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if not message:
            # Nothing was asked for, so the help was shown.
            raise SystemExit(0) from None
        _refuse(message)
    lost = streams.lost(sys.stdout)
    if status is None and isinstance(lost, BrokenPipeError):
        # The reader of our output has left, as in `scorebench list | head`.
        status = 141
    elif status is None and lost is not None:
        _refuse(f"the output cannot be written: {lost.strerror}")
    elif status == _INTERRUPTED:
        status = interrupt.status()
    raise SystemExit(status or 0)


def _leave(status: int) -> NoReturn:
    """End at once: taking an interpreter with torch down takes a second by itself."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _refuse(message: str) -> None:
    say(f"scorebench: {' '.join(message.split())}", err=True)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
