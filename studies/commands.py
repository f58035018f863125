"""Commands on studies that print no tables or pages; ``__main__`` adds them to the others."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..datasets.errors import UsageError, visible

commands = typer.Typer()

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Run directory of a study.")]
SamplerLabel = Annotated[
    str | None, typer.Option("--sampler", help="Label of the sampler, if there are several.")
]


def say(text: object, *, err: bool = False) -> None:
    """Print text, which may come from files, without characters that control the terminal."""
    # Not by ``typer.echo``, which writes UTF-8 where the encoding of the stream is ASCII.
    print(visible(str(text)), file=sys.stderr if err else sys.stdout, flush=True)


class PluginKind(StrEnum):
    """Kinds of plug-ins."""

    method = "method"
    dataset = "dataset"
    network = "network"


@commands.command(epilog="Example: scorebench best runs/quick dsm rings > my.toml")
def best(
    directory: Directory,
    method: Annotated[str, typer.Argument(help="Label of the method.")],
    dataset: Annotated[str, typer.Argument(help="Label of the dataset.")],
    sampler: SamplerLabel = None,
) -> None:
    """Print a winning configuration as a study that `run` accepts."""
    from .winners import best as best_of

    say(best_of(directory, method, dataset, sampler).to_toml().rstrip("\n"))


@commands.command(
    epilog="Example: scorebench sample runs/quick dsm rings -n 10000 --out points.npy"
)
def sample(
    directory: Directory,
    method: Annotated[str, typer.Argument(help="Label of the method.")],
    dataset: Annotated[str, typer.Argument(help="Label of the dataset.")],
    sampler: SamplerLabel = None,
    count: Annotated[int, typer.Option("-n", help="Number of points.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed; equal seeds give equal points.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="NumPy file (default: METHOD-DATASET.npy).")
    ] = None,
) -> None:
    """Draw points from the best stored model of a method; print the path of their file."""
    import io

    import numpy as np

    from .rundir.files import write_output
    from .sample import sample as sample_of

    out = out or Path(f"{method}-{dataset}.npy")
    if out.suffix != ".npy":
        raise UsageError(f"--out {str(out)!r}: must end in .npy")
    points = sample_of(directory, method, dataset, sampler, n=count, seed=seed)
    file = io.BytesIO()
    np.save(file, points)
    write_output(out, file.getvalue())
    say(out)


@commands.command(epilog="Example: scorebench export runs/quick && scorebench replay quick.zip")
def export(
    directory: Directory,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write (default: NAME.zip).")
    ] = None,
) -> None:
    """Export a study as one replayable archive."""
    from .archive import export as export_of

    say(export_of(directory, out))


@commands.command(epilog="Example: scorebench record runs/mine --out mine-recorded")
def record(
    directory: Directory,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder (default: NAME-recorded).")
    ] = None,
) -> None:
    """Record searches with several seeds a trial as problems for Optuna, replayed at once."""
    from .record import PROBLEM, TABLE
    from .record import record as record_of

    made = record_of(directory, out)
    say(
        f"searches: {made.cells}, configurations: {made.configurations}, seeds: {made.seeds}; "
        f"{made.directory / TABLE}, read by {made.directory / PROBLEM}"
    )


@commands.command(epilog="Example: scorebench show theirs.zip && scorebench trust theirs.zip")
def trust(
    study: Annotated[
        str | None,
        typer.Argument(metavar="STUDY|DIR|ARCHIVE", help="Study file, run directory or archive."),
    ] = None,
    every: Annotated[bool, typer.Option("--list", help="List all trusted code.")] = False,
    remove: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|HASH", help="Take trust back from code in the list."),
    ] = None,
) -> None:
    """Allow the code of a study to be executed on this machine, now and later; nothing is run."""
    from .foreign import trust as trust_study
    from .trust import distrust, trusted

    if (study is not None) + every + bool(remove) != 1:
        raise UsageError("give a study, run directory or archive, or --list, or --remove NAME")
    if study is not None:
        found, what = trust_study(study), "trusted"
        if not found:
            say(f"{study} contains no code: nothing to trust")
    elif remove:
        found, what = [item for name in remove for item in distrust(name)], "removed"
    else:
        found, what = trusted(), "trusted"
    for digest, name in found:
        say(f"{what} {digest[:16]} {name}")


@commands.command(epilog="Example: scorebench new method mine && scorebench check mine.py")
def new(
    kind: Annotated[PluginKind, typer.Argument(help="Kind of the plug-in.")],
    name: Annotated[str, typer.Argument(help="Name: small letters, digits and _.")],
) -> None:
    """Create a new method, dataset or network with a test and a study."""
    from .scaffold import scaffold, title_of

    plugin, test, study = scaffold(kind.value, name)
    network = f":{title_of(name)}" if kind is PluginKind.network else ""
    say(f"wrote {plugin}, {test} and {study}; next:")
    say(f"  scorebench check {plugin}{network}")
    say(f"  scorebench run {study}")


@commands.command(epilog="Example: scorebench verify entry.zip --rows 20")
def verify(
    source: Annotated[
        Path, typer.Argument(metavar="ENTRY", help="Archive from `export`, or a run directory.")
    ],
    rows: Annotated[int, typer.Option(help="Ranked rows to draw at random.")] = 5,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the draw (default: random).")
    ] = None,
    budget: Annotated[
        float, typer.Option(metavar="SECONDS", help="Start no run after this time.")
    ] = 3600,
    proofs: Annotated[Path, typer.Option(help="Folder for the outcome.")] = Path("proofs"),
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY", help="SSH key to sign the outcome with.")
    ] = None,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Trust code of the entry: run it in any process, sandboxed or not."
        ),
    ] = False,
) -> None:
    """Replay random rows and all winners of an entry, sandboxed; exit status 1 if any differs."""
    from .rundir.files import refusing, write_output
    from .signing import SUFFIX
    from .signing import sign as signed
    from .verify import verify as verified

    if sign is not None:
        # So a key that cannot sign is found before hours of work.
        signed(b"", sign)
    outcome = verified(source, rows=rows, seed=seed, budget=budget, trust=trust)
    content = outcome.to_json().encode()
    signature = b"" if sign is None else signed(content, sign)
    path = proofs / f"{outcome.study}-{outcome.archive[:12]}.json"
    beside = path.with_name(path.name + SUFFIX)
    with refusing(proofs, "write to"):
        proofs.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
    write_output(path, content)
    if signature:
        write_output(beside, signature)
    for line in (outcome.headline, *outcome.problems, *outcome.unchecked, *outcome.sentences):
        say(line)
    say(path)
    if outcome.verdict == "differs":
        raise typer.Exit(1)
