"""A run directory opened for writing: one writer, an append-only table, files written whole.

``runs.jsonl`` holds the rows; everything else can be rebuilt from them. Rows are appended and
forced to disk before anything is derived from them. A line that a kill or a full disk cut short is
dropped when the directory is opened for writing.
"""

import fnmatch
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from ...datasets.errors import UsageError, unknown
from ..cell import Cell, Slot
from ..engine import Engine
from ..specs.spec import StudySpec
from .artifacts import ArtifactFiles
from .changes import CodeParts, Conflict, changed_code, conflicts, tuned_cells, write_code
from .files import (
    LOCK,
    append_lines,
    clear_drafts,
    clear_locks,
    locked,
    refusing,
    truncate,
    write_atomically,
)
from .packed import PackedRows
from .read import ENVIRONMENT, JOURNAL, ROWS, STUDY, read_code, read_environments, read_study, scan
from .rows import Discard, Row, parse_line
from .versions import FORMAT, read_format, write_format

RETRIED = ("failed", "timeout")
"""States of rows that ``retry`` sets aside; a run that diverged would diverge again."""


class Store:
    """A run directory, opened for writing.

    Use as a context manager: entering locks the directory, reads its table and checks that the rows
    fit the study. An empty or new directory becomes the study's; it may hold a part of the study.

    Args:
        discard: Patterns of cells (``dsm-rings-langevin``, ``dsm-*``) whose rows may be excluded
            if they no longer fit. Rows that fit are never excluded.
        retry: Patterns of cells whose failed rows are set aside, so that they are run again.
        engine: Gives the keys and code fingerprints that runs have now; without it, rows are not
            compared with the present code.

    Attributes:
        rows: The rows that count, by slot.
        aside: Rows that were set aside to be run again, by slot.
        environments: Descriptions of the environments the rows refer to, by identity.
        code: Fingerprints of the code behind each cell, by stem of the cell.
        artifacts: Samples, curves, fields and models of the directory.
    """

    def __init__(
        self,
        directory: Path,
        study: StudySpec,
        discard: Sequence[str] = (),
        engine: Engine | None = None,
        retry: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.study = study
        self.rows = PackedRows()
        self.aside: dict[Slot, Row] = {}
        self.environments: dict[str, dict[str, object]] = {}
        self.code: Mapping[str, CodeParts] = {}
        self.artifacts = ArtifactFiles(directory)
        self._discard = discard
        self._retry = retry
        self._engine = engine
        self._lock = ExitStack()

    def __enter__(self) -> Self:
        """Open the directory.

        Raises:
            UsageError: The directory is in use, damaged, not a run directory, not writable, or
                holds rows that do not fit the study.
        """
        created = _create(self.directory)
        self._lock.enter_context(locked(self.directory))
        try:
            self._open()
        except BaseException:
            self._lock.close()
            if not (self.directory / STUDY).exists():
                _remove(self.directory, created)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def append(self, rows: Sequence[Row], environments: Mapping[str, dict[str, object]]) -> None:
        """Add rows at free slots, and the environments that they refer to, by identity.

        When this returns they survive a power cut.

        Raises:
            UsageError: The disk is full or not writable.
        """
        if not environments.keys() <= self.environments.keys():
            together = {**environments, **self.environments}
            text = json.dumps(together, indent=2, sort_keys=True) + "\n"
            with refusing(self.directory, "write to"):
                write_atomically(self.directory / ENVIRONMENT, text.encode())
            self.environments = together
        append_lines(self.directory / ROWS, [row.to_json() for row in rows])
        for row in rows:
            self.rows.add(row)

    def note_code(self, code: Mapping[str, CodeParts]) -> None:
        """Record the code behind the rows, by the cell's stem and name of the part.

        Call this before adding the rows, so that a crash cannot lose it.

        Raises:
            UsageError: The disk is full or not writable.
        """
        if code == self.code:
            return
        with refusing(self.directory, "write to"):
            write_code(self.directory, code)
        self.code = code

    def _open(self) -> None:
        with refusing(self.directory, "use"):
            clear_drafts(self.directory)
            # Also needed where nothing is left to search and the journal is never opened.
            clear_locks(self.directory / JOURNAL)
            old = read_study(self.directory) if (self.directory / STUDY).exists() else None
            if old is None:
                _require_empty(self.directory)
            self.environments = read_environments(self.directory)
            self.code = read_code(self.directory)
            table = self.directory / ROWS
            if old is None:
                write_atomically(self.directory / STUDY, self.study.to_toml().encode())
                # If killed before this, it is a directory of format 1 without rows.
                write_format(self.directory)
            version = read_format(self.directory)
            if not table.exists():
                table.touch()
            stored = scan(table, version)
            truncate(table, stored.size)
            self.rows = stored.rows
            self.aside = {row.slot: row for row in stored.aside}
            if old is not None:
                self._take_over(old, stored.discarded)
            self._set_aside()
            if version < FORMAT:
                self._upgrade(table, version)

    def _take_over(self, old: StudySpec, discarded: set[Cell]) -> None:
        """Make the directory the new study's, if its rows fit or may be excluded."""
        cells = self.rows.names
        problems = conflicts(old, self.study)
        if self._engine is not None:
            problems += changed_code(self.rows.stream(), self.code, self._engine)
        problems = [p._replace(cells=p.cells & cells) for p in problems if p.cells & cells]
        excluded = self._matching(self._discard, cells | discarded) & _cells_of(problems)
        remaining = [problem for problem in problems if problem.cells - excluded]
        if remaining:
            raise _incomparable(self.directory, remaining, cells)
        if excluded:
            mark = Discard(tuple(sorted(excluded)), tuple(problem.text for problem in problems))
            append_lines(self.directory / ROWS, [mark.to_json()])
            self.rows.drop(excluded)
            for cell in mark.cells:
                self.artifacts.discard(cell)
        if old != self.study:
            write_atomically(self.directory / STUDY, self.study.to_toml().encode())

    def _set_aside(self) -> None:
        """Set failed rows aside, and the rows of their cells that were planned in view of them."""
        batch = self.study.search.batch
        first: dict[Cell, tuple[int, int]] = {}
        if not self._retry:
            return
        cells = self._matching(self._retry, self.rows.names)
        failed = [
            row.slot
            for cell, rows in self.rows.cells()
            for row in rows
            if cell in cells and row.result.state in RETRIED
        ]
        for slot in failed:
            first[slot.cell] = min(_step(slot, batch), first.get(slot.cell, _step(slot, batch)))
        later = [s for s in self.rows if s.cell in first and _step(s, batch) > first[s.cell]]
        slots = tuple(dict.fromkeys([*failed, *later]))
        if slots:
            append_lines(self.directory / ROWS, [Discard((), (), slots).to_json()])
            self.aside |= {slot: self.rows.pop(slot) for slot in slots}

    def _upgrade(self, table: Path, version: int) -> None:
        """Rewrite the whole table in the present format; a killed upgrade starts again."""
        lines = table.read_text(encoding="utf-8").splitlines()
        text = "".join(f"{parse_line(line, version).to_json()}\n" for line in lines)
        write_atomically(table, text.encode())
        write_atomically(self.directory / STUDY, self.study.to_toml().encode())
        write_format(self.directory)

    def _matching(self, patterns: Sequence[str], stored: set[Cell]) -> set[Cell]:
        """Cells that patterns match, among those stored or in the study."""
        cells = stored | tuned_cells(self.study)
        matching: set[Cell] = set()
        for pattern in patterns:
            matches = {cell for cell in cells if fnmatch.fnmatchcase(cell.stem, pattern)}
            if not matches:
                raise unknown("cell", pattern, sorted(cell.stem for cell in cells))
            matching |= matches
        return matching


def _step(slot: Slot, batch: int) -> tuple[int, int]:
    """Order the steps of a cell: batches of trials, repeats by number, confirmation."""
    if slot.phase != "search":
        return (2 if slot.phase == "confirm" else 1), 0
    return (1, slot.replicate) if slot.replicate else (0, (slot.trial or 0) // batch)


def _create(directory: Path) -> list[Path]:
    """Create the directory; return the folders that did not exist before, innermost first."""
    if "\0" in str(directory):
        raise UsageError(f"{str(directory)!r} cannot be the name of a directory")
    with refusing(directory, "make the run directory"):
        if directory.is_dir():
            if not (directory / STUDY).exists():
                # Checked before the lock file is created, so that no trace is left in it.
                _require_empty(directory)
            return []
        created = [path for path in (directory, *directory.parents) if not path.exists()]
        directory.mkdir(parents=True)
    return created


def _require_empty(directory: Path) -> None:
    """Refuse a directory that holds other files than those of a killed first start, and logs."""
    for path in sorted(directory.iterdir()):
        if path.name != LOCK and not path.name.endswith(".draft") and not _is_log(path):
            raise UsageError(
                f"{str(directory)!r} is not a run directory (it holds {path.name!r} but no "
                f"{STUDY}): give an empty or a new one with --out"
            )


def _is_log(path: Path) -> bool:
    """Whether a file is empty, as that of ``tee``, or what this process prints into."""
    if not path.is_file():
        return False
    if not path.stat().st_size:
        return True
    with suppress(OSError):
        return any(os.path.samestat(path.stat(), os.fstat(number)) for number in (1, 2))
    return False


def _remove(directory: Path, created: Sequence[Path]) -> None:
    """Remove the lock file, and the folders that were created if they are empty."""
    (directory / LOCK).unlink(missing_ok=True)
    for path in created:
        try:
            path.rmdir()
        except OSError:
            return


def _cells_of(problems: Sequence[Conflict]) -> set[Cell]:
    return {cell for problem in problems for cell in problem.cells}


_SHOWN = 5


def _incomparable(directory: Path, problems: Sequence[Conflict], stored: set[Cell]) -> UsageError:
    texts = [problem.text for problem in problems]
    more = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    options = " ".join(f"--discard {name!r}" for name in _patterns(_cells_of(problems), stored))
    return UsageError(
        f"the results in {str(directory)!r} cannot be compared with those of this study "
        f"({'; '.join(texts[:_SHOWN])}{more}): give another --out, "
        f"or exclude the results that no longer fit with {options}"
    )


def _patterns(cells: set[Cell], stored: set[Cell]) -> list[str]:
    """As few patterns as possible that match these cells and no other stored ones."""
    if cells == stored:
        return ["*"]
    patterns = []
    for method in sorted({cell.method for cell in cells}):
        of_method = {cell for cell in cells if cell.method == method}
        if of_method == {cell for cell in stored if cell.method == method}:
            patterns.append(f"{method}-*")
        else:
            patterns += sorted(cell.stem for cell in of_method)
    return patterns
