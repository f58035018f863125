"""The files of a finding: page, figure and claims."""

from pathlib import Path

from ...studies.rundir.files import refused, write_if_changed
from ..figures.style import COLUMN, encode
from .page import markdown, page
from .result import FindingResult


def write(result: FindingResult, directory: Path) -> Path:
    """Write ``report.html``, ``report.md``, ``claims.csv``, ``figure.png`` and ``.pdf``.

    Returns:
        Path of the page.

    Raises:
        UsageError: The directory cannot be written to.
    """
    files = {
        "claims.csv": result.claims.to_csv(index=False, lineterminator="\n").encode(),
        "figure.png": encode(result.plot(), "png"),
        "figure.pdf": encode(result.plot(COLUMN), "pdf"),
        "report.md": markdown(result).encode(),
        "report.html": page(result).encode(),
    }
    for name, content in files.items():
        try:
            write_if_changed(directory / name, content)
        except OSError as error:
            raise refused(directory / name, "write", error) from error
    return directory / "report.html"
