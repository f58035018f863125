"""Files that reports leave in a run directory, and tables for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from ..datasets.errors import UsageError, unknown
from ..studies.rundir.files import refused, write_if_changed
from .ranking.evidence import Evidence
from .ranking.leaderboard import board_frame
from .source import load

if TYPE_CHECKING:
    from rich.console import RenderableType

Format = Literal["table", "csv", "markdown", "json", "latex"]


def write_report(directory: str | Path) -> Path:
    """Write ``report.html``, ``report.md`` and ``leaderboard.csv``; equal results, equal bytes.

    Each is replaced as a whole: whoever reads meanwhile sees the old or the new one.

    Args:
        directory: A run directory, of a finished study or not.

    Returns:
        Path of the report.

    Raises:
        UsageError: It is no run directory, or it cannot be written.
    """
    from .pages.markdown import markdown
    from .pages.page import page

    source = load(directory)
    report = source.directory / "report.html"
    try:
        write_if_changed(source.directory / "leaderboard.csv", _csv(source.evidence).encode())
        write_if_changed(source.directory / "report.md", markdown(source).encode())
        write_if_changed(report, page(source).encode())
    except OSError as error:
        raise refused(report, "write", error) from error
    return report


def leaderboard_table(
    directory: str | Path, kind: str = "table", name: str = "board", exact: bool = False
) -> str:
    """A table of a run directory as text.

    Args:
        directory: A run directory.
        kind: ``table`` for a terminal of 80 columns, ``csv``, ``markdown``, ``json`` or ``latex``.
        name: ``board``, or another key of ``exports.TABLES``; those have no form for a terminal
            and are written as Markdown.
        exact: Whether Markdown and LaTeX have all columns and digits.

    Raises:
        UsageError: It is no run directory, or there is no such table or format.
    """
    from .exports import export

    if kind not in get_args(Format):
        raise unknown("format", kind, get_args(Format))
    source = load(directory)
    if kind == "table" and name == "board" and not exact:
        from .terminal import leaderboard_view, plain

        return plain(leaderboard_view(source.evidence))
    return export(source, name, "markdown" if kind == "table" else kind, exact).decode()


def write_table(
    directory: str | Path, out: Path, kind: str, name: str = "board", exact: bool = False
) -> None:
    """Write a table of a run directory into a file; see ``exports.export``.

    Raises:
        UsageError: There is no such table or format, or the file cannot be written.
    """
    from .exports import export

    _write(out, export(load(directory), name, kind, exact))


def write_figure(directory: str | Path, name: str, out: Path, width: float | None = None) -> None:
    """Write one figure of a run directory; see ``figures.figure``.

    Args:
        directory: A run directory.
        name: Of the figure.
        out: A file that ends in .svg, .pdf or .png.
        width: In inches; 3.35 is a column of a two-column paper.

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
    _write(out, encode(figure(load(directory), name, width), kinds[out.suffix], dpi=300))


def write_diff(old: str | Path, new: str | Path, out: Path | None = None) -> "RenderableType":
    """What two run directories differ in, for a terminal; and as a page if that is asked for.

    Args:
        old: The first.
        new: The second.
        out: File of the page.

    Raises:
        UsageError: One is no run directory, or the page cannot be written.
    """
    from .diff import diff
    from .diff_views import diff_page, diff_view

    before, after = load(old), load(new)
    found = diff(before, after)
    if out is not None:
        names = (f"{one.study.name} ({one.directory})" for one in (before, after))
        _write(out, diff_page(found, *names).encode())
    return diff_view(found)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise refused(path, "write", error) from error


def _csv(evidence: Evidence) -> str:
    return str(board_frame(evidence).to_csv(index=False, lineterminator="\n"))
