"""Which code made the rows of each cell, and which part of it is another one now."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ...bench.spec import RunSpec
from ..specs.difference import Change
from .records import CODE
from .rows import Cell, Row
from .whole_files import write_if_changed

Parts = Mapping[str, str]

_NAMED = ("method", "dataset", "sampler")


def write_code(directory: Path, code: Mapping[str, Parts]) -> None:
    """Write down what made each cell.

    Args:
        directory: The run directory.
        code: Fingerprints of the parts of the code by name, by cell.

    Raises:
        OSError: The disk is full or went away.
    """
    text = json.dumps({stem: dict(parts) for stem, parts in code.items()}, indent=1, sort_keys=True)
    write_if_changed(directory / CODE, f"{text}\n".encode())


def changed_code(
    rows: Iterable[Row],
    code: Mapping[str, Parts],
    key: Callable[[RunSpec], str],
    parts: Callable[[RunSpec], Parts] | None,
) -> list[Change]:
    """Rows made by other code than would run now, which must not be mixed with new ones.

    Args:
        rows: The table.
        code: What made each cell, as far as it was written down.
        key: Gives the key that a run has now.
        parts: Gives the fingerprints that the parts of its code have now.
    """
    last = {row.place.cell: row for row in rows if key(row.run) != row.result.key}
    changed: dict[str, set[Cell]] = {}
    for cell, row in last.items():
        before = code.get(cell.stem, {})
        now = parts(row.run) if parts is not None and before else {}
        names = [part for part in sorted({*before, *now}) if before.get(part) != now.get(part)]
        for what in [_called(part, row.run) for part in names] or [_all_of(row.run)]:
            changed.setdefault(what, set()).add(cell)
    return [
        Change(f"the code {what} has changed since its rows were made", frozenset(cells))
        for what, cells in changed.items()
    ]


def _called(part: str, run: RunSpec) -> str:
    if part == "core":
        return "that all runs share"
    return f"of {part} {getattr(run, part).name}" if part in _NAMED else f"of {part}"


def _all_of(run: RunSpec) -> str:
    return f"behind {run.method.name} on {run.dataset.name} with {run.sampler.name}"
