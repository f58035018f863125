"""The files that reports write into a run directory, and tables for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from ..datasets.errors import UsageError, unknown
from ..studies.rundir.files import refused, write_if_changed, write_output
from .source import Source

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .progress import Steps

Format = Literal["table", "csv", "markdown", "json", "latex"]


def write_report(source: Source, progress: "Steps" = lambda *_: None) -> Path:
    """Write ``report.html``, ``report.md`` and ``leaderboard.csv`` of a study, finished or not.

    Equal results give equal bytes. Each file is replaced as a whole, so a reader never sees half.

    Returns:
        Path of the report.

    Raises:
        UsageError: A file cannot be written.
    """
    from .exports import export
    from .pages.markdown import markdown
    from .pages.page import page

    report = source.directory / "report.html"
    html = page(source, progress)
    try:
        write_if_changed(source.directory / "leaderboard.csv", export(source, "board", "csv"))
        write_if_changed(source.directory / "report.md", markdown(source).encode())
        write_if_changed(report, html.encode())
    except OSError as error:
        raise refused(report, "write", error) from error
    return report


def leaderboard_table(
    source: Source, kind: str = "table", name: str = "board", exact: bool = False
) -> str:
    """Return a table of a run directory as text.

    Args:
        source: The run directory.
        kind: ``table`` for a terminal of 80 columns, ``csv``, ``markdown``, ``json`` or ``latex``.
        name: ``board``, or another key of ``exports.TABLES``; only ``board`` has a form for a
            terminal, the others are written as Markdown.
        exact: Whether Markdown and LaTeX have all columns and digits.

    Raises:
        UsageError: There is no such table or format.
    """
    from .exports import export

    if kind not in get_args(Format):
        raise unknown("format", kind, get_args(Format))
    if kind == "table" and name == "board" and not exact:
        from .terminal import leaderboard_view, plain

        return plain(leaderboard_view(source.evidence, source.doubts))
    return export(source, name, "markdown" if kind == "table" else kind, exact).decode()


SUFFIXES = {
    ".csv": "csv", ".parquet": "parquet", ".json": "json", ".md": "markdown",
    ".markdown": "markdown", ".tex": "latex", ".txt": "table",
}  # fmt: skip
"""Formats of tables by the end of a file's name."""


def format_of(out: Path) -> str:
    """Return the format of a table that a file's name asks for.

    Raises:
        UsageError: The name ends otherwise.
    """
    kind = SUFFIXES.get(out.suffix.lower())
    if kind is None:
        known = ", ".join(SUFFIXES)
        raise UsageError(f"--out {str(out)!r}: should end in one of {known}, or give --format")
    return kind


def write_table(
    source: Source, out: Path, kind: str, name: str = "board", exact: bool = False
) -> None:
    """Write a table of a run directory into a file; see ``leaderboard_table``.

    Raises:
        UsageError: There is no such table or format, or the file cannot be written.
    """
    from .exports import export

    if kind == "table":
        write_output(out, leaderboard_table(source, kind, name, exact).encode())
    else:
        write_output(out, export(source, name, kind, exact))


def write_figure(source: Source, name: str, out: Path, width: float | None = None) -> None:
    """Write one figure of a run directory; see ``figures.named.figure``.

    Args:
        source: The run directory.
        name: Name of the figure.
        out: File that ends in .svg, .pdf or .png.
        width: Width in inches; 3.35 is a column of a two-column paper.

    Raises:
        UsageError: There is no such figure, or the file cannot be written.
    """
    from .figures.named import figure
    from .figures.style import encode

    kinds: dict[str, Literal["svg", "pdf", "png"]] = {".svg": "svg", ".pdf": "pdf", ".png": "png"}
    if out.suffix not in kinds:
        raise UsageError(f"--out {str(out)!r}: should end in .svg, .pdf or .png")
    if width is not None and not 2 <= width <= 40:
        raise UsageError(f"--width {width:g}: should be 2 to 40 inches")
    write_output(out, encode(figure(source, name, width), kinds[out.suffix], dpi=300))


def write_diff(old: Source, new: Source, out: Path | None = None) -> "RenderableType":
    """Compare two run directories, and write the result as a page if a file is given.

    Returns:
        The difference for a terminal.

    Raises:
        UsageError: The page cannot be written.
    """
    from .diff import diff
    from .diff_views import diff_page, diff_view

    difference = diff(old, new)
    if out is not None:
        names = (f"{source.study.name} ({source.directory})" for source in (old, new))
        write_output(out, diff_page(difference, *names).encode())
    return diff_view(difference)
