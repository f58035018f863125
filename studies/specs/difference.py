"""How two studies differ, in words, and which rows of the first would be wrong in the second.

A study may grow: more trials, finalists, seeds, methods, datasets or samplers only add rows.
Whatever else changes makes rows of some cells incomparable with those that would follow.
"""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..storage.rows import Cell
from .entries import Entry
from .spec import IID, TRUTH, StudySpec

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


class Change(NamedTuple):
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


def conflicts(old: StudySpec, new: StudySpec) -> list[Change]:
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
                found.append(Change(text, groups[BUDGETS[field]]))
        else:
            found.append(Change(text, tuned if _within(field, _SEARCH_ONLY) else everything))
    for field, axis in _PARTS.items():
        entries = {entry.label: entry for entry in getattr(new, field)}
        for entry in getattr(old, field):
            change = _entry_change(entry, entries)
            if change is not None:
                concerned = (cell for cell in everything if cell[axis] == entry.label)
                found.append(Change(f"{field}: {change}", frozenset(concerned)))
    entries = {entry.label: entry for entry in new.reference.methods}
    for entry in old.reference.methods:
        changed = _entry_change(entry, entries)
        if changed is not None:
            concerned = (cell for cell in anchors if cell.method == entry.label)
            found.append(Change(f"reference.methods: {changed}", frozenset(concerned)))
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
