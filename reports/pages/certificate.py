"""Certificates of replays on a terminal, as a page, and as JSON."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...datasets.errors import UsageError
from ...studies.certificate import Certificate
from ...studies.replay import Number, Replayed
from ...studies.rundir.changes import Change
from ...studies.rundir.files import refused, write_atomically
from .. import text

_TEMPLATES = Path(__file__).parent / "templates"
_COLOURS = {"identical": "green", "within tolerance": "yellow", "differs": "bold red"}
_DIGITS = 9


def certificate_view(found: Certificate) -> RenderableType:
    """One line per replayed run, its verdict on each metric; then what moved, and why it may."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    metrics = list(dict.fromkeys(number.metric for run in found.runs for number in run.numbers))
    for header in ("method", "dataset", "sampler", "replicate"):
        shown.add_column(header, no_wrap=True)
    for metric in metrics:
        shown.add_column(metric)
    for run in found.runs:
        verdicts = {number.metric: number.verdict for number in run.numbers}
        words = [verdicts.get(metric, "") for metric in metrics]
        cells = [Text(word, style=_COLOURS.get(word, "")) for word in words]
        shown.add_row(*run.row.slot.cell, str(run.row.slot.replicate), *cells)
    said = [found.summary, found.explanation, *_moved(found), *map(_change, _relevant(found))]
    return Group(shown, *(Text(line) for line in said if line))


def write_certificate(found: Certificate, path: Path) -> None:
    """Write a certificate as a page (``.html``) or as JSON (``.json``).

    Raises:
        UsageError: It can be written in neither form, or not there.
    """
    check_form(path)
    content = found.to_json() if path.suffix == ".json" else certificate_page(found)
    try:
        write_atomically(path, content.encode())
    except OSError as error:
        raise refused(path, "write", error) from error


def check_form(path: Path) -> None:
    """Refuse what a certificate cannot be written as, before it is worked for.

    Raises:
        UsageError: The name says no known form.
    """
    if path.suffix not in (".html", ".json"):
        raise UsageError(f"the certificate {str(path)!r} should end in .html or .json")


def certificate_page(found: Certificate) -> str:
    """A certificate as a page that needs no network."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True,
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
    )  # fmt: skip
    from markupsafe import Markup

    css = Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704
    return environment.get_template("certificate.html.j2").render(
        css=css, found=found, numbers=list(_numbers(found)),
        changed=[(change, _value(change.before), _value(change.now)) for change in found.changed],
    )  # fmt: skip


def _numbers(found: Certificate) -> Iterator[dict[str, Any]]:
    for run in found.runs:
        for number in run.numbers:
            yield {
                "run": " on ".join(run.row.slot.cell[:2]), "sampler": run.row.slot.cell.sampler,
                "replicate": run.row.slot.replicate, "number": number,
                "stored": _exact(number.stored), "replayed": _exact(number.replayed),
            }  # fmt: skip


def _moved(found: Certificate) -> Iterator[str]:
    for run in found.runs:
        for number in run.numbers:
            if number.verdict != "identical":
                yield _movement(run, number)


def _movement(run: Replayed, number: Number) -> str:
    method, dataset, _ = run.row.slot.cell
    now = _exact(number.replayed)
    if run.again.state != run.row.result.state:
        now = f"{now} ({run.again.state} instead of {run.row.result.state})"
    return f"{method} on {dataset}: {number.metric} {_exact(number.stored)} → {now}"


def _relevant(found: Certificate) -> list[Change]:
    return [change for change in found.changed if change.cause]


def _change(change: Change) -> str:
    values = f": {_value(change.before)} → {_value(change.now)}"
    return f"changed: {change.field}{values if change.before or change.now else ''}"


def _value(value: Any) -> str:
    return text.MISSING if value is None else str(value)


def _exact(value: float) -> str:
    return text.number(value, _DIGITS)
