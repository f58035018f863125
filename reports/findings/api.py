"""Findings in Python, with their tables as DataFrames."""

from collections.abc import Sequence
from pathlib import Path

from ..session import cores
from .page import write
from .result import FindingResult
from .run import PartListener, compute, load_finding

HOME = Path("runs") / "findings"
"""Default directory of findings."""


def finding(
    name: str,
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    overrides: Sequence[str] = (),
    listener: PartListener | None = None,
) -> FindingResult:
    """Reproduce a known result: compute the missing parts of its table, and write its page.

    Args:
        name: Name of the finding; ``scorebench finding`` lists them.
        out: Directory for finished parts, table, figure and page (default:
            ``runs/findings/<name>``).
        workers: Number of processes (default: all cores that this process may use). No number
            depends on it.
        overrides: ``setting=value`` pairs in TOML, such as ``"chains=1000"``.
        listener: Called after every part.

    Raises:
        UsageError: The finding or a setting is unknown, or the directory cannot be used.
    """
    settings = load_finding(name, overrides)
    directory = HOME / name if out is None else Path(out)
    workers = cores() if workers is None else workers
    table = compute(name, settings, directory, workers, listener)
    result = FindingResult(name, settings, table, directory)
    write(result, directory)
    return result
