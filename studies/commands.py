"""Commands on studies that print no tables or pages; ``__main__`` adds them to the others."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..datasets.errors import UsageError

commands = typer.Typer()

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Run directory of a study.")]
SamplerLabel = Annotated[
    str | None, typer.Option("--sampler", help="Label of the sampler, if there are several.")
]


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

    typer.echo(best_of(directory, method, dataset, sampler).to_toml().rstrip("\n"))


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
    import numpy as np

    from .sample import sample as sample_of

    out = out or Path(f"{method}-{dataset}.npy")
    if out.suffix != ".npy":
        raise UsageError(f"--out {str(out)!r}: must end in .npy")
    points = sample_of(directory, method, dataset, sampler, n=count, seed=seed)
    try:
        np.save(out, points)
    except OSError as error:
        raise UsageError(f"cannot write {str(out)!r}: {error.strerror}") from error
    typer.echo(out)


@commands.command(epilog="Example: scorebench export runs/quick && scorebench replay quick.zip")
def export(
    directory: Directory,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write (default: NAME.zip).")
    ] = None,
) -> None:
    """Export a study as one replayable archive."""
    from .archive import export as export_of

    typer.echo(export_of(directory, out))


@commands.command(epilog="Example: scorebench new method mine && scorebench check mine.py")
def new(
    kind: Annotated[PluginKind, typer.Argument(help="Kind of the plug-in.")],
    name: Annotated[str, typer.Argument(help="Name: small letters, digits and _.")],
) -> None:
    """Create a new method, dataset or network with a test and a study."""
    from .scaffold import scaffold, title_of

    plugin, test, study = scaffold(kind.value, name)
    network = f":{title_of(name)}" if kind is PluginKind.network else ""
    typer.echo(f"wrote {plugin}, {test} and {study}; next:")
    typer.echo(f"  scorebench check {plugin}{network}")
    typer.echo(f"  scorebench run {study}")
