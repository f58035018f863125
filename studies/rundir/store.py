"""The run directory: one writer, an append-only table, nothing half-written.

``runs.jsonl`` is the truth. Rows are appended and forced to disk before anything is made of them; a
tail that a kill or a full disk cut short is dropped when the directory is opened for writing.
"""

import fnmatch
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from ...bench.spec import RunSpec
from ...datasets.errors import UsageError, unknown
from ..cell import Cell, Slot
from ..specs.spec import StudySpec
from .changes import Conflict, Parts, changed_code, conflicts, write_code
from .files import clear_drafts, clear_locks, refused, write_atomically
from .read import (
    ENVIRONMENT,
    JOURNAL,
    LOCK,
    ROWS,
    STUDY,
    read_code,
    read_environments,
    read_study,
    scan,
)
from .rows import Discard, Row, parse_line
from .versions import FORMAT, read_format, write_format


class Store:
    """A run directory, opened for writing.

    Use as a context manager: entering takes the lock, reads the table and checks that its rows fit
    the study (or makes the directory the study's).

    Args:
        directory: Made if it does not exist.
        study: What is run in it; what is there may be a part of it.
        discard: Patterns of cells (``dsm-rings-langevin``, ``dsm-*``) whose rows may be set
            aside if they no longer fit. Rows that fit are never set aside.
        key: Gives the key that a run has now; unless given, keys are not compared.
        discarded: Called with cells whose rows were set aside.
        parts: Gives the fingerprints of the parts of a run's code, to name what has changed.
    """

    def __init__(
        self,
        directory: Path,
        study: StudySpec,
        discard: Sequence[str] = (),
        key: Callable[[RunSpec], str] | None = None,
        discarded: Callable[[Sequence[Cell]], None] | None = None,
        parts: Callable[[RunSpec], Parts] | None = None,
    ) -> None:
        self.directory = directory
        self.study = study
        self._discard = discard
        self._key = key
        self._discarded = discarded
        self._parts = parts
        self.rows: dict[Slot, Row] = {}
        self.environments: dict[str, dict[str, Any]] = {}
        self.code: Mapping[str, Parts] = {}
        self._lock = FileLock(directory / LOCK, blocking=False)
        self._file: int | None = None

    def __enter__(self) -> Self:
        """Open the directory.

        Raises:
            UsageError: It is in use, foreign, another study's, damaged, or may not be used.
        """
        made = _claim(self.directory)
        try:
            self._acquire()
        except BaseException:
            _unmake(self.directory, made)
            raise
        try:
            self._open()
        except BaseException:
            fresh = not (self.directory / STUDY).exists()
            self._release()
            if fresh:
                (self.directory / LOCK).unlink(missing_ok=True)
                _unmake(self.directory, made)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._release()

    def append(self, rows: Sequence[Row], environment: Mapping[str, dict[str, Any]]) -> None:
        """Add rows for good: when this returns they survive a power cut.

        Args:
            rows: At slots that have no row.
            environment: The environments that the rows refer to, by identity.

        Raises:
            UsageError: The disk is full or went away.
        """
        new = {key: value for key, value in environment.items() if key not in self.environments}
        try:
            if new:
                found = self.environments | new
                text = json.dumps(found, indent=2, sort_keys=True) + "\n"
                write_atomically(self.directory / ENVIRONMENT, text.encode())
                self.environments = found
            self._add("".join(f"{row.to_json()}\n" for row in rows).encode())
        except OSError as error:
            raise refused(self.directory, "write to", error) from error
        self.rows |= {row.slot: row for row in rows}

    def note_code(self, code: Mapping[str, Parts]) -> None:
        """Remember which code makes the rows of each cell; before they are added, lest it be lost.

        Args:
            code: Fingerprints of the parts of the code by name, by stem of the cell.

        Raises:
            UsageError: The disk is full or went away.
        """
        if code == self.code:
            return
        try:
            write_code(self.directory, code)
        except OSError as error:
            raise refused(self.directory, "write to", error) from error
        self.code = code

    def _add(self, data: bytes) -> None:
        assert self._file is not None, "the store is open"  # noqa: S101
        end = os.lseek(self._file, 0, os.SEEK_END)
        try:
            _write_all(self._file, data)
        except OSError:
            os.ftruncate(self._file, end)
            raise
        os.fsync(self._file)

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
        except Timeout as error:
            raise UsageError(
                f"the run directory {str(self.directory)!r} is in use by another process: "
                "wait for it, or give another --out"
            ) from error
        except OSError as error:
            raise refused(self.directory, "write to", error) from error

    def _open(self) -> None:
        try:
            clear_drafts(self.directory)
            # Also where nothing is left to search, and the journal is not opened any more.
            clear_locks(self.directory / JOURNAL)
            old = self._old_study()
            self.environments = read_environments(self.directory)
            self.code = read_code(self.directory)
            path = self.directory / ROWS
            if old is None:
                write_atomically(self.directory / STUDY, self.study.to_toml().encode())
                # Killed before this it is a directory of the first format without a row.
                write_format(self.directory)
            version = read_format(self.directory)
            self._file = _open(path)
            found = scan(path, version)
            if found.size < os.fstat(self._file).st_size:
                os.ftruncate(self._file, found.size)
                os.fsync(self._file)
            self.rows = found.rows
            if old is not None:
                self._take_over(old, found.discarded)
            if version < FORMAT:
                self._upgrade(path, version)
        except OSError as error:
            raise refused(self.directory, "use", error) from error

    def _old_study(self) -> StudySpec | None:
        if (self.directory / STUDY).exists():
            return read_study(self.directory)
        strangers = sorted(p.name for p in self.directory.iterdir() if p.name != LOCK)
        if strangers:
            raise _foreign(self.directory, strangers[0])
        return None

    def _take_over(self, old: StudySpec, before: set[Cell]) -> None:
        """Make the directory the new study's, if its rows fit or may be set aside."""
        held = {slot.cell for slot in self.rows}
        problems = [*conflicts(old, self.study), *self._changed_code()]
        problems = [p._replace(cells=p.cells & held) for p in problems if p.cells & held]
        gone = self._permitted(held | before) & frozenset().union(*(p.cells for p in problems))
        remaining = [problem for problem in problems if problem.cells - gone]
        if remaining:
            raise _incomparable(self.directory, remaining, held)
        if gone:
            cells = tuple(sorted(gone))
            because = tuple(problem.text for problem in problems)
            self._add(f"{Discard(cells, because).to_json()}\n".encode())
            self.rows = {slot: row for slot, row in self.rows.items() if slot.cell not in gone}
            if self._discarded is not None:
                self._discarded(cells)
        if old != self.study:
            write_atomically(self.directory / STUDY, self.study.to_toml().encode())

    def _upgrade(self, path: Path, version: int) -> None:
        """Write the whole table anew in the present format; killed on the way, it is done again."""
        lines = path.read_text(encoding="utf-8").splitlines()
        text = "".join(f"{parse_line(line, version).to_json()}\n" for line in lines)
        write_atomically(path, text.encode())
        self._close()
        self._file = _open(path)
        write_atomically(self.directory / STUDY, self.study.to_toml().encode())
        write_format(self.directory)

    def _changed_code(self) -> list[Conflict]:
        if self._key is None:
            return []
        return changed_code(self.rows.values(), self.code, self._key, self._parts)

    def _permitted(self, seen: set[Cell]) -> frozenset[Cell]:
        known = seen | _cells(self.study)
        permitted: set[Cell] = set()
        for pattern in self._discard:
            found = {cell for cell in known if fnmatch.fnmatchcase(cell.stem, pattern)}
            if not found:
                raise unknown("cell", pattern, sorted(cell.stem for cell in known))
            permitted |= found
        return frozenset(permitted)

    def _release(self) -> None:
        self._close()
        self._lock.release()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _claim(directory: Path) -> list[Path]:
    """Make the directory; gives the folders that were not there before, innermost first."""
    if "\0" in str(directory):
        raise UsageError(f"{str(directory)!r} cannot be the name of a directory")
    try:
        if directory.is_dir():
            if not (directory / STUDY).exists():
                # Looked at before the lock file is put there, to leave no trace in it.
                for path in directory.iterdir():
                    if path.name != LOCK and not path.name.endswith(".draft"):
                        raise _foreign(directory, path.name)
            return []
        made = [p for p in (directory, *directory.parents) if not p.exists()]
        directory.mkdir(parents=True)
    except OSError as error:
        raise refused(directory, "make the run directory", error) from error
    return made


def _unmake(directory: Path, made: Sequence[Path]) -> None:
    if made:
        (directory / LOCK).unlink(missing_ok=True)
    for path in made:
        try:
            path.rmdir()
        except OSError:
            return


def _foreign(directory: Path, name: str) -> UsageError:
    return UsageError(
        f"{str(directory)!r} is not a run directory (it holds {name!r} but no {STUDY}): "
        "give an empty or a new one with --out"
    )


def _cells(study: StudySpec) -> set[Cell]:
    return {
        Cell(method.label, dataset.label, sampler.label)
        for method in study.methods
        for dataset in study.datasets
        for sampler in study.samplers
    }


def _incomparable(directory: Path, problems: Sequence[Conflict], held: set[Cell]) -> UsageError:
    texts = [problem.text for problem in problems]
    more = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    concerned: set[Cell] = set().union(*(problem.cells for problem in problems))
    patterns = " ".join(f"--discard {pattern!r}" for pattern in _patterns(concerned, held))
    return UsageError(
        f"the results in {str(directory)!r} cannot be compared with those of this study "
        f"({'; '.join(texts[:_SHOWN])}{more}): give another --out, "
        f"or set aside what no longer fits with {patterns}"
    )


_SHOWN = 5


def _patterns(cells: set[Cell], held: set[Cell]) -> list[str]:
    """As few patterns as match these cells and no others that have rows."""
    if cells == held:
        return ["*"]
    patterns = []
    for method in sorted({cell.method for cell in cells}):
        own = {cell for cell in cells if cell.method == method}
        whole = own == {cell for cell in held if cell.method == method}
        patterns += [f"{method}-*"] if whole else sorted(cell.stem for cell in own)
    return patterns
