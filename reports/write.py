"""Files that reports leave in a run directory, and tables for other programs."""

from pathlib import Path
from typing import Literal, get_args

from ..datasets.errors import unknown
from ..studies.files import refused, write_if_changed
from .board_columns import board_columns
from .evidence import Evidence
from .leaderboard import board_frame
from .source import load
from .tables import table, to_json, to_latex, to_markdown

Format = Literal["table", "csv", "markdown", "json", "latex"]


def write_report(directory: str | Path) -> Path:
    """Write ``report.html`` and ``leaderboard.csv``; equal results give equal bytes.

    Both are replaced as a whole: whoever reads meanwhile sees the old or the new one.

    Args:
        directory: A run directory, of a finished study or not.

    Returns:
        Path of the report.

    Raises:
        UsageError: It is no run directory, or it cannot be written.
    """
    from .page import page

    source = load(directory)
    report = source.directory / "report.html"
    try:
        write_if_changed(source.directory / "leaderboard.csv", _csv(source.evidence).encode())
        write_if_changed(report, page(source).encode())
    except OSError as error:
        raise refused(report, "write", error) from error
    return report


def leaderboard_table(directory: str | Path, kind: str = "table") -> str:
    """The leaderboard of a run directory as text.

    Args:
        directory: A run directory.
        kind: ``table`` for a terminal of 80 columns, ``csv``, ``markdown``, ``json`` or ``latex``.

    Raises:
        UsageError: It is no run directory, or there is no such format.
    """
    if kind not in get_args(Format):
        raise unknown("format", kind, get_args(Format))
    evidence = load(directory).evidence
    if kind == "csv":
        return _csv(evidence)
    if kind == "json":
        return to_json(board_frame(evidence))
    if kind == "table":
        from .terminal import plain

        return plain(evidence)
    shown = table(board_columns, evidence.contestants)
    return to_markdown(shown) if kind == "markdown" else to_latex(shown)


def _csv(evidence: Evidence) -> str:
    return str(board_frame(evidence).to_csv(index=False, lineterminator="\n"))
