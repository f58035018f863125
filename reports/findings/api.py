"""Findings in Python: computed, with their tables as DataFrames."""

from collections.abc import Sequence
from pathlib import Path

from ...studies.findings.run import Listener, compute, load_finding
from ..api import cores
from .result import FindingResult
from .write import write

HOME = Path("runs") / "findings"
"""Where findings are kept unless a directory is given."""


def finding(
    name: str,
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    overrides: Sequence[str] = (),
    listener: Listener | None = None,
) -> FindingResult:
    """Reproduce a known result: compute its table, or what is missing of it, and write its page.

    Args:
        name: Of the finding; ``scorebench finding`` lists them.
        out: Directory that keeps finished parts, table, figure and page;
            ``runs/findings/<name>`` unless given.
        workers: Processes; as many as this process may use cores unless given. No number depends
            on it.
        overrides: ``setting=value`` pairs in TOML, such as ``"chains=1000"``.
        listener: Told of every part that is done.

    Raises:
        UsageError: There is no such finding or setting, or the directory cannot be used.
    """
    settings = load_finding(name, overrides)
    directory = HOME / name if out is None else Path(out)
    workers = cores() if workers is None else workers
    table = compute(name, settings, directory, workers, listener)
    result = FindingResult(name, settings, table, directory)
    write(result, directory)
    return result
