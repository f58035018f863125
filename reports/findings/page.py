"""The page of a finding and the files beside it: verdict, figure, claims, every number."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...studies.results import to_csv
from ...studies.rundir.files import refused, write_if_changed
from .. import text
from ..figures.style import COLUMN, encode
from ..pages.drawings import by_theme
from ..pages.render import render
from ..pages.tables import Field, ShownTable, exactly, to_markdown
from .result import FindingResult

_HEADERS = ("", "claim", "expected", "measured", "holds", "wrong: measured", "fails with", "source")
_NUMERIC = (False, False, True, True, False, True, False, False)


def write(result: FindingResult, directory: Path) -> None:
    """Write ``report.html``, ``report.md``, ``claims.csv``, ``figure.png`` and ``.pdf``.

    Raises:
        UsageError: The directory cannot be written to.
    """
    files = {
        "claims.csv": to_csv(result.claims).encode(),
        "figure.png": encode(result.plot(), "png"),
        "figure.pdf": encode(result.plot(COLUMN), "pdf"),
        "report.md": _markdown(result).encode(),
        "report.html": _page(result).encode(),
    }
    for name, content in files.items():
        _write(directory / name, content)


def _write(path: Path, content: bytes) -> None:
    try:
        write_if_changed(path, content)
    except OSError as error:
        raise refused(path, "write", error) from error


def write_all(results: Sequence[FindingResult], directory: Path) -> None:
    """Write all claims of several findings on one page: ``report.html`` and ``report.md``.

    Raises:
        UsageError: The directory cannot be written to.
    """
    tables = [claim_table(result) for result in results]
    rows = [
        (Field(result.name, result.name), *fields)
        for result, table in zip(results, tables, strict=True)
        for fields in table.rows
    ]
    first = tables[0]
    helps, numeric = ("", *first.helps), (False, *first.numeric)
    table = ShownTable(("finding", *first.headers), helps, numeric, tuple(rows))
    good = sum(result.holds for result in results)
    verdict = f"{good} of {len(results)} findings hold, {len(rows)} claims in all."
    page = render("finding.html.j2", name="all", title="All claims", verdict=verdict, claims=table)
    for name, content in (
        ("report.html", page),
        ("report.md", f"# All claims\n\n{verdict}\n\n{to_markdown(table)}"),
    ):
        _write(directory / name, content.encode())


def _page(result: FindingResult) -> str:
    """The finding as one self-contained HTML file; equal results give equal text."""
    return render(
        "finding.html.j2",
        name=result.name,
        title=result.summary.rstrip("."),
        verdict=result.verdict,
        figure=by_theme(result.draw),
        alt=f"{result.summary} {result.verdict}",
        claims=claim_table(result),
        about=result.about[1:],
        wrongs=result.finding.wrongs,
        settings=_settings(result),
        command=_command(result),
        data=_numbers(result.table),
    )


def _markdown(result: FindingResult) -> str:
    """The finding as Markdown, with its figure in a file beside it."""
    settings = "".join(f"- `{name}` = {value}\n" for name, value in _settings(result))
    parts = [
        f"# {result.name}: {result.summary}",
        f"**{result.verdict}**",
        "![figure](figure.png)",
        "## Claims",
        to_markdown(claim_table(result)),
        "".join(f"- *{name}*: {says}\n" for name, says in result.finding.wrongs.items()),
        "## Protocol",
        *result.about[1:],
        settings,
        f"```sh\n{_command(result)}\n```",
        "## All numbers",
        to_markdown(_numbers(result.table)),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def claim_table(result: FindingResult) -> ShownTable:
    """Make the table of claims, with numbers rounded to their uncertainty."""
    rows = []
    for claim in result.claims.to_dict("records"):
        half = 1.96 * claim["error"]
        fields = (
            claim["id"],
            claim["claim"],
            _expected(claim),
            text.measured(claim["measured"], half) if half else text.number(claim["measured"], 4),
            "yes" if claim["holds"] else "NO",
            text.number(claim["wrong_measured"], 4),
            claim["wrong"] if claim["fails"] else "NOTHING",
            claim["source"],
        )
        rows.append(tuple(Field(field, field) for field in fields))
    return ShownTable(_HEADERS, ("",) * len(_HEADERS), _NUMERIC, tuple(rows))


def _expected(claim: Mapping[Any, Any]) -> str:
    least, most = float(claim["least"]), float(claim["most"])
    expected = claim["expected"]
    if expected is not None and not pd.isna(expected):
        half = max(most - expected, expected - least)
        return text.measured(expected, half) if half else text.number(expected, 4)
    if least == -float("inf"):
        return f"at most {text.number(most)}"
    if most == float("inf"):
        return f"at least {text.number(least)}"
    return f"{text.number(least)} to {text.number(most)}"


def _settings(result: FindingResult) -> list[tuple[str, str]]:
    """Names and values of the settings."""
    return [(name, json.dumps(value)) for name, value in result.finding.model_dump().items()]


def _command(result: FindingResult) -> str:
    """The command that reproduces this page."""
    chosen = result.finding.model_dump(exclude_defaults=True)
    words = ["scorebench", "finding", result.name]
    for name, value in chosen.items():
        words += ["-o", f"{name}={json.dumps(value)}"]
    return shlex.join(words)


def _numbers(table: pd.DataFrame) -> ShownTable:
    """The finding's table, rounded."""
    exact = exactly(table.drop(columns="part"))
    rows = []
    for row in table.drop(columns="part").itertuples(index=False):
        fields = (
            text.number(value, 5) if isinstance(value, float) else str(value) for value in row
        )
        rows.append(tuple(Field("" if field == text.MISSING else field, field) for field in fields))
    return ShownTable(exact.headers, exact.helps, exact.numeric, tuple(rows))
