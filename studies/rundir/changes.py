"""Compare studies, code and environments: what changed, and which rows the change affects.

A study may grow: more trials, finalists, seeds, methods, datasets or samplers only add rows. Any
other change makes existing rows of some cells incomparable with new ones.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...bench.plugins import PluginFile
from ...bench.spec import RunSpec
from ...bench.syntax import module_digest
from ..cell import Cell
from ..engine import Engine
from ..specs.entries import Entry
from ..specs.spec import IID, TRUTH, StudySpec
from .files import write_if_changed
from .read import CODE
from .rows import Row

# Budgets that may grow, and the cells that lose rows if they shrink.
_TUNED, _LATER, _FLOORS, _ANCHORS = "tuned", "later", "floors", "anchors"
BUDGETS = {
    "search.trials": _TUNED,
    "search.finalists": _TUNED,
    "search.repeats": _TUNED,
    "search.restarts": _LATER,
    "confirm.seeds": _TUNED,
    "reference.floors": _FLOORS,
    "reference.seeds": _ANCHORS,
}

# Fields that no row depends on: the code of plug-ins and the hashes of data are in the rows' keys,
# and a race only chooses which configurations are repeated.
FREE = ("name", "plugins", "data", "limits", "decide", "plan", "search.race")

# Reference rows are neither trained nor searched.
_SEARCH_ONLY = ("objective", "search", "training.steps", "training.learning_rate")


class Conflict(NamedTuple):
    """A change, ``field: old -> new``, and the cells of the old study whose rows do not fit it."""

    text: str
    cells: frozenset[Cell]


def difference(old: StudySpec, new: StudySpec) -> list[str]:
    """List the fields that differ, as ``field: old -> new``; empty if the studies are equal."""
    return [_text(*change) for change in _differences(old, new)]


def conflicts(old: StudySpec, new: StudySpec) -> list[Conflict]:
    """List the changes that rows of the old study do not fit; empty if the new one contains it."""
    anchors = _grid(old.reference.methods, old)
    floors = frozenset(Cell(TRUTH, dataset.label, IID) for dataset in old.datasets)
    tuned = tuned_cells(old)
    later = frozenset(cell for cell in tuned if cell.restart >= new.search.restarts)
    groups = {_TUNED: tuned, _LATER: later, _FLOORS: floors, _ANCHORS: anchors}
    everything = tuned | floors | anchors
    problems: list[Conflict] = []
    for field, before, after in _differences(old, new):
        text = _text(field, before, after)
        if _within(field, (*FREE, "search.sampler")) or field in (*_AXES, "reference.methods"):
            continue
        if field in BUDGETS:
            if after < before:
                problems.append(Conflict(text, groups[BUDGETS[field]]))
        else:
            problems.append(Conflict(text, tuned if _within(field, _SEARCH_ONLY) else everything))
    problems += _searcher_conflicts(old, new, tuned)
    for field, axis in _AXES.items():
        entries = getattr(old, field), getattr(new, field)
        problems += _entry_conflicts(field, *entries, everything, axis)
    references = old.reference.methods, new.reference.methods
    return problems + _entry_conflicts("reference.methods", *references, anchors, 0)


# Lists of the study that give cells their labels, and the position of the label in a cell.
_AXES = {"methods": 0, "datasets": 1, "samplers": 2}


def tuned_cells(study: StudySpec) -> frozenset[Cell]:
    """List the cells of a study that are searched, those of restarts too."""
    grid, restarts = _grid(study.methods, study), range(study.search.restarts)
    cells = itertools.product(grid, restarts, study.search.axis)
    return frozenset(cell._replace(restart=number, searcher=own) for cell, number, own in cells)


def _searcher_conflicts(
    old: StudySpec, new: StudySpec, tuned: Iterable[Cell]
) -> Iterator[Conflict]:
    """Compare the searchers: the first, and the further ones by their labels."""
    first, now = old.search.sampler[0], new.search.sampler[0]
    if (first.name, first.settings) != (now.name, now.settings):
        cells = frozenset(cell for cell in tuned if not cell.searcher)
        before, after = (entry.model_dump(mode="json") for entry in (first, now))
        yield Conflict(_text("search.sampler", before, after), cells)
    further = old.search.sampler[1:], new.search.sampler[1:]
    yield from _entry_conflicts("search.sampler", *further, tuned, Cell._fields.index("searcher"))
    if _searcher_code(old) != _searcher_code(new) and old.search.sampler == new.search.sampler:
        yield Conflict("plugins: the code of the search algorithm has changed", frozenset(tuned))


def _searcher_code(study: StudySpec) -> list[str]:
    """Hash the plug-in files that the study's own searchers are taken from."""
    files = {entry.name.partition(":")[0] for entry in study.search.sampler}
    plugins = (plugin for plugin in study.plugins if isinstance(plugin, PluginFile))
    return [_digest(plugin.code) for plugin in plugins if plugin.file in files]


def _digest(code: str) -> str:
    try:
        return module_digest(code)
    except (SyntaxError, ValueError):
        return code


def _grid(methods: Iterable[Entry], study: StudySpec) -> frozenset[Cell]:
    entries = itertools.product(methods, study.datasets, study.samplers)
    return frozenset(Cell(m.label, d.label, s.label) for m, d, s in entries)


def _entry_conflicts(
    field: str, old: Iterable[Entry], new: Iterable[Entry], cells: Iterable[Cell], axis: int
) -> list[Conflict]:
    """Compare the entries of one list by their labels."""
    entries = {entry.label: entry for entry in new}
    problems = []
    for entry in old:
        change = _entry_change(entry, entries)
        if change is not None:
            concerned = frozenset(cell for cell in cells if cell[axis] == entry.label)
            problems.append(Conflict(f"{field}: {change}", concerned))
    return problems


def _entry_change(old: Entry, entries: Mapping[str, Entry]) -> str | None:
    new = entries.get(old.label)
    if new is None:
        return f"without {old.label}"
    if new == old:
        return None
    return f"{_shown(old.model_dump(mode='json'))} -> {_shown(new.model_dump(mode='json'))}"


def _within(field: str, parents: tuple[str, ...]) -> bool:
    return any(field == parent or field.startswith(f"{parent}.") for parent in parents)


def _differences(old: StudySpec, new: StudySpec) -> Iterator[tuple[str, Any, Any]]:
    return _fields(old.model_dump(mode="json"), new.model_dump(mode="json"), "")


def _text(field: str, before: object, after: object) -> str:
    return f"{field}: {_shown(before)} -> {_shown(after)}"


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list) and len(value) > 20:
        return f"a list of {len(value)}"
    if isinstance(value, list):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_shown(item)}" for key, item in value.items()) + "}"
    return repr(value) if isinstance(value, float) else str(value)


CodeParts = Mapping[str, str]
"""Fingerprints of the parts of a run's code, by their names."""

_NAMED = ("method", "dataset", "sampler")


def write_code(directory: Path, code: Mapping[str, CodeParts]) -> None:
    """Write ``code.json``: fingerprints of the code that made the rows of each cell, by its stem.

    Raises:
        OSError: The disk is full or not writable.
    """
    text = json.dumps({stem: dict(parts) for stem, parts in code.items()}, indent=1, sort_keys=True)
    write_if_changed(directory / CODE, f"{text}\n".encode())


def changed_code(
    rows: Iterable[Row], code: Mapping[str, CodeParts], engine: Engine
) -> list[Conflict]:
    """List the code that has changed since rows were made; old and new rows must not be mixed.

    ``code`` is the code behind each cell, as far as it was recorded.
    """
    last = {row.slot.cell: row for row in rows if engine.key(row.run) != row.result.key}
    changed: dict[str, set[Cell]] = {}
    for cell, row in last.items():
        before = code.get(cell.stem, {})
        parts = changed_parts(before, engine.parts(row.run)) if before else []
        run = row.run
        everything = f"behind {run.method.name} on {run.dataset.name} with {run.sampler.name}"
        for name in [_part_of(part, run) for part in parts] or [everything]:
            changed.setdefault(name, set()).add(cell)
    return [
        Conflict(f"the code {name} has changed since its rows were made", frozenset(cells))
        for name, cells in changed.items()
    ]


def changed_parts(before: CodeParts, now: CodeParts) -> list[str]:
    """List the parts of the code whose fingerprints differ."""
    return [part for part in sorted({*before, *now}) if before.get(part) != now.get(part)]


def _part_of(part: str, run: RunSpec) -> str:
    if part == "core":
        return "that all runs share"
    if part == "method" and "path" in run.method.options:
        # Its content counts as code.
        return f"of method {run.method.name}, or the file that it reads,"
    return f"of {part} {getattr(run, part).name}" if part in _NAMED else f"of {part}"


# Fields of an environment's record that numbers depend on, and what the reader knows them as. Other
# fields (Optuna, pandas, the number of cores ...) affect only how runs are proposed and stored.
_CAUSES = {
    "cpu.model": "CPU",
    "torch.vector_instructions": "CPU",
    "torch": "torch",
    "packages.torch": "torch",
    "packages.numpy": "NumPy and SciPy",
    "packages.scipy": "NumPy and SciPy",
    "threads": "threads",
    "settings": "MKL, OpenBLAS or Numba settings",
    "python": "Python",
    "platform": "operating system",
}

_ANY_CODE = "code of the method, dataset, sampler or metrics"
_SETTINGS = "settings that a run has"


class Change(NamedTuple):
    """A difference between the environment or code of a run and that of its replay.

    Attributes:
        field: Name in the record of the environment, or ``code of the method`` and the like.
        before: Old value; None if it is not known.
        now: New value.
        cause: Part of the environment it belongs to (``CPU``, ``torch``, ``code of the method``
            ...) if it can affect results; None if it cannot.
    """

    field: str
    before: object
    now: object
    cause: str | None


def changes(
    before: Mapping[str, object],
    now: Mapping[str, object],
    code: tuple[CodeParts, CodeParts] | None = None,
) -> tuple[Change, ...]:
    """List everything that differs in the environment of a run and of its replay, the code first.

    ``code`` are its old and new fingerprints if the run's key has changed; the old ones are empty
    if they are not known.
    """
    environment = (
        Change(field, old, new, _cause(field)) for field, old, new in _fields(before, now, "")
    )
    return (*(_code(*code) if code is not None else ()), *environment)


def _code(before: CodeParts, now: CodeParts) -> Iterator[Change]:
    if not before:
        yield Change(_ANY_CODE, None, None, _ANY_CODE)
        return
    parts = changed_parts(before, now)
    for part in parts:
        name = "code that all runs share" if part == "core" else f"code of the {part}"
        yield Change(name, before.get(part), now.get(part), name)
    if not parts:
        # The key also depends on the run's settings, and later versions have more of them.
        yield Change(_SETTINGS, None, None, _SETTINGS)


def _cause(field: str) -> str | None:
    for name, cause in _CAUSES.items():
        if field == name or field.startswith(f"{name}."):
            return cause
    return None


def _fields(before: Any, now: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """Walk two nested records; yield each field that differs with both values."""
    present = [value for value in (before, now) if value is not None]
    if present and all(isinstance(value, Mapping) for value in present):
        before, now = before or {}, now or {}
        for key in sorted({*before, *now}):
            yield from _fields(before.get(key), now.get(key), f"{prefix}{key}.")
    elif before != now:
        yield prefix.rstrip(".") or "environment", before, now
