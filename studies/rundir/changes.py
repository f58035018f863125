"""Compare studies, code and environments: what changed, and what the change affects.

A study may grow: more trials, finalists, seeds, methods, datasets or samplers only add rows. Any
other change makes existing rows of some cells incomparable with new ones.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...bench.spec import RunSpec
from ..cell import Cell
from ..specs.entries import Entry
from ..specs.spec import IID, TRUTH, StudySpec
from .files import write_if_changed
from .read import CODE
from .rows import Row

# Budgets that may grow, and the cells that lose rows if they shrink.
_TUNED, _FLOORS, _ANCHORS = "tuned", "floors", "anchors"
BUDGETS = {
    "search.trials": _TUNED,
    "search.finalists": _TUNED,
    "search.repeats": _TUNED,
    "confirm.seeds": _TUNED,
    "reference.floors": _FLOORS,
    "reference.seeds": _ANCHORS,
}

# No row depends on these; the code of plug-ins is part of the keys of rows.
FREE = ("name", "plugins", "limits")

# Reference rows are neither trained nor searched.
_SEARCH_ONLY = ("objective", "search", "training.steps", "training.learning_rate")


class Conflict(NamedTuple):
    """Something that does not fit what is there.

    Attributes:
        text: What, as ``field: old -> new``.
        cells: The old study's cells whose rows it concerns.
    """

    text: str
    cells: frozenset[Cell]


def difference(old: StudySpec, new: StudySpec) -> list[str]:
    """Fields that differ, as ``field: old -> new``; nothing if the studies are equal."""
    return [text for _, text in _differences(old, new)]


def conflicts(old: StudySpec, new: StudySpec) -> list[Conflict]:
    """Changes that more runs do not bridge; empty if the new study is the old one, or contains it.

    Args:
        old: The study that made the rows.
        new: The one that is to go on with them.
    """
    anchors = frozenset(
        Cell(*labels)
        for labels in itertools.product(
            old.reference.labels, _labels(old.datasets), _labels(old.samplers)
        )
    )
    floors = frozenset(Cell(TRUTH, dataset, IID) for dataset in _labels(old.datasets))
    tuned = frozenset(
        Cell(*labels)
        for labels in itertools.product(
            _labels(old.methods), _labels(old.datasets), _labels(old.samplers)
        )
    )
    groups = {_TUNED: tuned, _FLOORS: floors, _ANCHORS: anchors}
    everything = tuned | floors | anchors
    found = []
    before, after = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    for field, text in _differences(old, new):
        if _within(field, FREE) or field in _PARTS or field == "reference.methods":
            continue
        if field in BUDGETS:
            if after[field] < before[field]:
                found.append(Conflict(text, groups[BUDGETS[field]]))
        else:
            found.append(Conflict(text, tuned if _within(field, _SEARCH_ONLY) else everything))
    for field, axis in _PARTS.items():
        entries = {entry.label: entry for entry in getattr(new, field)}
        for entry in getattr(old, field):
            change = _entry_change(entry, entries)
            if change is not None:
                concerned = (cell for cell in everything if cell[axis] == entry.label)
                found.append(Conflict(f"{field}: {change}", frozenset(concerned)))
    entries = {entry.label: entry for entry in new.reference.methods}
    for entry in old.reference.methods:
        changed = _entry_change(entry, entries)
        if changed is not None:
            concerned = (cell for cell in anchors if cell.method == entry.label)
            found.append(Conflict(f"reference.methods: {changed}", frozenset(concerned)))
    return found


# Lists of the study that give cells their labels, and which label.
_PARTS = {"methods": 0, "datasets": 1, "samplers": 2}


def _entry_change(old: Entry, entries: Mapping[str, Entry]) -> str | None:
    new = entries.get(old.label)
    if new is None:
        return f"without {old.label}"
    if new == old:
        return None
    return f"{_shown(old.model_dump(mode='json'))} -> {_shown(new.model_dump(mode='json'))}"


def _labels(entries: tuple[Entry, ...]) -> list[str]:
    return [entry.label for entry in entries]


def _within(field: str, parents: tuple[str, ...]) -> bool:
    return any(field == parent or field.startswith(f"{parent}.") for parent in parents)


def _differences(old: StudySpec, new: StudySpec) -> list[tuple[str, str]]:
    before, after = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    return [
        (key, f"{key}: {_shown(before.get(key))} -> {_shown(after.get(key))}")
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{key}" if prefix else key)
    return flat


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_shown(item)}" for key, item in value.items()) + "}"
    return repr(value) if isinstance(value, float) else str(value)


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
) -> list[Conflict]:
    """Rows made by other code than would run now, which must not be mixed with new ones.

    Args:
        rows: The table.
        code: What made each cell, as far as it was written down.
        key: Gives the key that a run has now.
        parts: Gives the fingerprints that the parts of its code have now.
    """
    last = {row.slot.cell: row for row in rows if key(row.run) != row.result.key}
    changed: dict[str, set[Cell]] = {}
    for cell, row in last.items():
        before = code.get(cell.stem, {})
        now = parts(row.run) if parts is not None and before else {}
        names = [part for part in sorted({*before, *now}) if before.get(part) != now.get(part)]
        for what in [_called(part, row.run) for part in names] or [_all_of(row.run)]:
            changed.setdefault(what, set()).add(cell)
    return [
        Conflict(f"the code {what} has changed since its rows were made", frozenset(cells))
        for what, cells in changed.items()
    ]


def _called(part: str, run: RunSpec) -> str:
    if part == "core":
        return "that all runs share"
    return f"of {part} {getattr(run, part).name}" if part in _NAMED else f"of {part}"


def _all_of(run: RunSpec) -> str:
    return f"behind {run.method.name} on {run.dataset.name} with {run.sampler.name}"


# What the numbers of a run depend on besides its code, by what they are called in the record. All
# else in a record (Optuna, pandas, the number of cores ...) proposes, stores or shows numbers.
_CAUSES = {
    "cpu.model": "CPU",
    "torch.vector_instructions": "CPU",
    "torch": "torch",
    "packages.torch": "torch",
    "packages.numpy": "NumPy and SciPy",
    "packages.scipy": "NumPy and SciPy",
    "threads": "threads",
    "python": "Python",
    "platform": "operating system",
}

_ANY_CODE = "code of the method, dataset, sampler or metrics"


class Change(NamedTuple):
    """Something that is not as it was.

    Attributes:
        field: Its name in the record of the environment, or ``code of the method`` and the like.
        before: What it was; None if that is not known.
        now: What it is.
        cause: Which part of the environment it belongs to (``CPU``, ``torch``, ``code of the
            method`` ...) if numbers can come from it; None if no number can.
    """

    field: str
    before: Any
    now: Any
    cause: str | None


def changes(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    code: tuple[Mapping[str, str], Mapping[str, str]] | None = None,
) -> tuple[Change, ...]:
    """Everything that differs, the code first.

    Args:
        before: Record of the environment that a run was made in.
        now: That of its replay.
        code: If the run's code is not the same: fingerprints of its parts as they were (empty if
            not known) and as they are.
    """
    found = [] if code is None else list(_code(*code))
    found += (
        Change(field, old, new, _cause(field)) for field, old, new in _fields(before, now, "")
    )
    return tuple(found)


def _code(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Change]:
    if not before:
        yield Change(_ANY_CODE, None, None, _ANY_CODE)
        return
    parts = [part for part in sorted({*before, *now}) if before.get(part) != now.get(part)]
    for part in parts:
        name = "code that all runs share" if part == "core" else f"code of the {part}"
        yield Change(name, before.get(part), now.get(part), name)
    if not parts:
        # The key holds the run's settings too, and later versions have more of them.
        yield Change("settings that a run has", None, None, "settings that a run has")


def _cause(field: str) -> str | None:
    for name, cause in _CAUSES.items():
        if field == name or field.startswith(f"{name}."):
            return cause
    return None


def _fields(before: Any, now: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    tables = [one for one in (before, now) if isinstance(one, Mapping)]
    if tables and all(one is None or isinstance(one, Mapping) for one in (before, now)):
        before, now = before or {}, now or {}
        for key in sorted({*before, *now}):
            yield from _fields(before.get(key), now.get(key), f"{prefix}{key}.")
    elif before != now:
        yield prefix.rstrip(".") or "environment", before, now
