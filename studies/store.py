"""The run directory: one writer, an append-only table, nothing half-written.

``runs.jsonl`` is the truth. Rows are appended and forced to disk before anything is made of them; a
tail that a kill or a full disk cut short is dropped when the directory is opened for writing.
"""

import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from ..datasets.errors import UsageError
from .difference import difference
from .files import clear_drafts, refused, write_atomically
from .load import parse
from .rows import Place, Row
from .spec import StudySpec

STUDY = "study.toml"
ROWS = "runs.jsonl"
ENVIRONMENT = "environment.json"
JOURNAL = "optuna.journal"
LOCK = ".lock"


class Store:
    """A run directory, opened for writing.

    Use as a context manager: entering takes the lock, checks that the directory is this study's
    (or makes it so) and reads the table.

    Args:
        directory: Made if it does not exist.
        study: What is run in it.
    """

    def __init__(self, directory: Path, study: StudySpec) -> None:
        self.directory = directory
        self.study = study
        self.rows: dict[Place, Row] = {}
        self.environments: dict[str, dict[str, Any]] = {}
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
            rows: At places that have no row.
            environment: The environments that the rows refer to, by identity.

        Raises:
            UsageError: The disk is full or went away.
        """
        assert self._file is not None, "the store is open"  # noqa: S101
        try:
            new = {key: value for key, value in environment.items() if key not in self.environments}
            if new:
                self.environments |= new
                text = json.dumps(self.environments, indent=2, sort_keys=True) + "\n"
                write_atomically(self.directory / ENVIRONMENT, text.encode())
            data = "".join(f"{row.to_json()}\n" for row in rows).encode()
            end = os.lseek(self._file, 0, os.SEEK_END)
            try:
                _write_all(self._file, data)
            except OSError:
                os.ftruncate(self._file, end)
                raise
            os.fsync(self._file)
        except OSError as error:
            raise refused(self.directory, "write to", error) from error
        self.rows |= {row.place: row for row in rows}

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
            self._check_study()
            self.environments = read_environments(self.directory)
            path = self.directory / ROWS
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            rows, good = _read(path)
            if good < os.fstat(self._file).st_size:
                os.ftruncate(self._file, good)
                os.fsync(self._file)
        except OSError as error:
            raise refused(self.directory, "use", error) from error
        self.rows = {row.place: row for row in rows}

    def _check_study(self) -> None:
        path = self.directory / STUDY
        if path.exists():
            changes = difference(read_study(self.directory), self.study)
            if changes:
                raise UsageError(
                    f"{str(self.directory)!r} holds another version of this study "
                    f"({'; '.join(changes)}): give another --out, or the same study"
                )
            return
        strangers = sorted(p.name for p in self.directory.iterdir() if p.name != LOCK)
        if strangers:
            raise _foreign(self.directory, strangers[0])
        write_atomically(path, self.study.to_toml().encode())

    def _release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._lock.release()


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


def read_study(directory: Path) -> StudySpec:
    """The study that a run directory belongs to.

    Raises:
        UsageError: The directory does not exist, is not a run directory, or cannot be read.
    """
    path = directory / STUDY
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError as error:
        what = "is not a run directory" if directory.is_dir() else "does not exist"
        raise UsageError(f"{str(directory)!r} {what} (there is no {STUDY} in it)") from error
    except OSError as error:
        raise refused(path, "read", error) from error
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is damaged: {str(error).splitlines()[0]}") from error
    return parse(data, f"{str(path)!r} is damaged")


def read_environments(directory: Path) -> dict[str, dict[str, Any]]:
    """Every environment that took part, by identity; empty before the first row.

    Raises:
        UsageError: The file is damaged or cannot be read.
    """
    path = directory / ENVIRONMENT
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise refused(path, "read", error) from error
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is damaged: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise UsageError(f"{str(path)!r} is damaged: not a table of environments")
    return found


def read_rows(directory: Path) -> list[Row]:
    """The whole rows of a run directory, in the order in which they ended; takes no lock.

    Raises:
        UsageError: The table is damaged or cannot be read.
    """
    path = directory / ROWS
    try:
        return _read(path)[0]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise refused(path, "read", error) from error


def _read(path: Path) -> tuple[list[Row], int]:
    """Rows up to the first torn one, and the number of bytes they take.

    Raises:
        UsageError: Something that is not a row is followed by rows: not the mark of a kill.
    """
    rows: list[Row] = []
    good = 0
    torn = None
    for number, (line, row) in enumerate(_lines(path), 1):
        if row is None:
            torn = torn or number
        elif torn is not None:
            raise UsageError(f"line {torn} of {str(path)!r} is damaged; restore it from a copy")
        else:
            rows.append(row)
            good += len(line)
    return rows, good


def _lines(path: Path) -> Iterator[tuple[bytes, Row | None]]:
    with path.open("rb") as file:
        for line in file:
            try:
                yield line, Row.from_json(line) if line.endswith(b"\n") else None
            except ValueError:
                yield line, None
