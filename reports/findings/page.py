"""The page of a finding: verdict, figure, claims, every number, and how to have it again."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

import pandas as pd

from .. import text
from ..pages.pictures import by_theme
from ..pages.render import render
from ..pages.tables import Field, ShownTable, exactly, to_markdown
from .result import FindingResult

_HEADERS = ("", "claim", "expected", "measured", "holds", "source")


def page(result: FindingResult) -> str:
    """The finding as one HTML file that holds everything; equal results give equal text."""
    return render(
        "finding.html.j2",
        name=result.name,
        title=result.summary.rstrip("."),
        verdict=result.verdict,
        figure=by_theme(result.draw),
        alt=f"{result.summary} {result.verdict}",
        claims=claim_table(result),
        about=result.about[1:],
        settings=settings(result),
        command=command(result),
        data=numbers(result.table),
    )


def markdown(result: FindingResult) -> str:
    """The finding as Markdown, with the figure as a file beside it."""
    described = "".join(f"- `{name}` = {value}\n" for name, value in settings(result))
    parts = [
        f"# {result.name}: {result.summary}",
        f"**{result.verdict}**",
        "![figure](figure.png)",
        "## Claims",
        to_markdown(claim_table(result)),
        "## What was done",
        *result.about[1:],
        described,
        f"```sh\n{command(result)}\n```",
        "## Every number",
        to_markdown(numbers(result.table)),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def claim_table(result: FindingResult) -> ShownTable:
    """Claims as people read them."""
    rows = []
    for claim in result.claims.to_dict("records"):
        half = 1.96 * claim["error"]
        fields = (
            claim["id"],
            claim["claim"],
            _expected(claim),
            text.measured(claim["measured"], half) if half else text.number(claim["measured"], 4),
            "yes" if claim["holds"] else "NO",
            claim["source"],
        )
        rows.append(tuple(Field(field, field) for field in fields))
    return ShownTable(_HEADERS, ("",) * 6, (False, False, True, True, False, False), tuple(rows))


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


def settings(result: FindingResult) -> list[tuple[str, str]]:
    """Name and value of every setting."""
    return [(name, json.dumps(value)) for name, value in result.finding.model_dump().items()]


def command(result: FindingResult) -> str:
    """The command that makes this page."""
    chosen = result.finding.model_dump(exclude_defaults=True)
    words = ["scorebench", "finding", result.name]
    for name, value in chosen.items():
        words += ["-o", f"{name}={json.dumps(value)}"]
    return shlex.join(words)


def numbers(table: pd.DataFrame) -> ShownTable:
    """The finding's table with the digits that people read."""
    whole = exactly(table.drop(columns="part"))
    rows = []
    for row in table.drop(columns="part").itertuples(index=False):
        shown = (text.number(value, 5) if isinstance(value, float) else str(value) for value in row)
        rows.append(tuple(Field("" if s == text.MISSING else s, s) for s in shown))
    return ShownTable(whole.headers, whole.helps, whole.numeric, tuple(rows))
