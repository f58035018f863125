"""Certificates of replays for a terminal, as a page, and as JSON."""

import math
from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from ...datasets.errors import UsageError
from ...studies.certificate import Certificate
from ...studies.comparison import Replayed
from ...studies.rundir.changes import Change
from ...studies.rundir.files import write_output
from .. import text
from .render import render

_COLOURS = {"identical": "green", "within tolerance": "yellow", "differs": "bold red"}
_DIGITS = 9


def certificate_view(certificate: Certificate, seconds: float | None = None) -> RenderableType:
    """Show the verdict on each metric of each run, then the differences and their causes.

    ``seconds`` is how long the replay took.
    """
    numbers = [number for run in certificate.runs for number in run.numbers]
    metrics = list(dict.fromkeys(number.metric for number in numbers))
    shown = text.grid()
    for header in ("method", "dataset", "sampler", "replicate"):
        shown.add_column(header, no_wrap=True)
    for metric in metrics:
        shown.add_column(metric)
    for run in certificate.runs:
        verdicts = {number.metric: number.verdict for number in run.numbers}
        words = [verdicts.get(metric, "") for metric in metrics]
        fields = [Text(word, style=_COLOURS.get(word, "")) for word in words]
        shown.add_row(*run.row.slot.cell.labels, str(run.row.slot.replicate), *fields)
    changes = [change for change in certificate.changed if change.cause]
    lines = [certificate.summary, certificate.explanation, certificate.coverage]
    lines += [f"not checked: {reason}" for reason in certificate.replay.open]
    lines += [*_differences(certificate), *map(_change, changes)]
    problems = (f"does not fit: {text}" for text in certificate.replay.problems)
    if seconds is not None:
        made = sum(_seconds(run) for run in certificate.runs)
        lines.append(f"The replay took {text.seconds(seconds)}; the runs {text.seconds(made)}.")
    bad = [Text(problem, style="bold red") for problem in problems]
    return Group(*bad, shown, *(Text(line) for line in lines if line))


def write_certificate(certificate: Certificate, path: Path) -> None:
    """Write a certificate as a page (``.html``) or as JSON (``.json``).

    Raises:
        UsageError: The name ends otherwise, or the file cannot be written.
    """
    check_form(path)
    as_json = path.suffix == ".json"
    content = certificate.to_json() if as_json else certificate_page(certificate)
    write_output(path, content.encode())


def check_form(path: Path) -> None:
    """Refuse a file name of an unknown form before the replay starts.

    Raises:
        UsageError: The name does not end in .html or .json.
    """
    if path.suffix not in (".html", ".json"):
        raise UsageError(f"the certificate {str(path)!r} should end in .html or .json")


def certificate_page(certificate: Certificate) -> str:
    """Write a certificate as a page that needs no network."""
    numbers = [
        {
            "run": " on ".join(run.row.slot.cell[:2]),
            "sampler": run.row.slot.cell.sampler,
            "replicate": run.row.slot.replicate,
            "number": number,
            "stored": text.number(number.stored, _DIGITS),
            "replayed": text.number(number.replayed, _DIGITS),
        }
        for run in certificate.runs
        for number in run.numbers
    ]
    changes = [(c, _value(c.before), _value(c.now)) for c in certificate.changed]
    return render("certificate.html.j2", certificate=certificate, numbers=numbers, changes=changes)


def _differences(certificate: Certificate) -> Iterator[str]:
    """Yield a line for every number that is not identical."""
    for run in certificate.runs:
        method, dataset, _ = run.row.slot.cell.labels
        stored, replayed = run.row.result.state, run.again.state
        note = "" if replayed == stored else f" ({replayed} instead of {stored})"
        for number in run.numbers:
            if number.verdict != "identical":
                old, new = (text.number(v, _DIGITS) for v in (number.stored, number.replayed))
                yield f"{method} on {dataset}: {number.metric} {old} → {new}{note}"


def _seconds(run: Replayed) -> float:
    """Return how long a run took when it was made, by its own account."""
    compute = run.row.result.compute
    return math.fsum(value for name, value in compute.items() if name.endswith("_seconds"))


def _change(change: Change) -> str:
    values = f": {_value(change.before)} → {_value(change.now)}"
    return f"changed: {change.field}{values if change.before or change.now else ''}"


def _value(value: object) -> str:
    return text.MISSING if value is None else str(value)
