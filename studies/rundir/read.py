"""Read a run directory: study, rows, environments, code; without its lock."""

import json
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ...bench.plugins import read_text
from ...datasets.errors import UsageError
from ..cell import Cell, Slot
from ..specs.load import STUDY_FILE, parse
from ..specs.spec import StudySpec
from .files import refused, refusing
from .rows import Discard, Row, parse_line
from .versions import FORMAT, read_format, upgrade_study

STUDY = STUDY_FILE
ROWS = "runs.jsonl"
ENVIRONMENT = "environment.json"
CODE = "code.json"
JOURNAL = "optuna.journal"


def read_study(directory: Path) -> StudySpec:
    """Read the study of a run directory.

    Raises:
        UsageError: The directory does not exist, is not a run directory, is of a newer format, or
            cannot be read.
    """
    path = directory / STUDY
    version = read_format(directory)
    try:
        text = read_text(path)
        data = tomllib.loads(text)
    except FileNotFoundError as error:
        problem = "is not a run directory" if directory.is_dir() else "does not exist"
        raise UsageError(f"{str(directory)!r} {problem} (there is no {STUDY} in it)") from error
    except OSError as error:
        raise refused(path, "read", error) from error
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is damaged: {str(error).splitlines()[0]}") from error
    return parse(upgrade_study(data, version), f"{str(path)!r} is damaged")


def read_environments(directory: Path) -> dict[str, dict[str, object]]:
    """Read the environments that rows were made in, by identity; empty before the first row.

    Raises:
        UsageError: The file is damaged or cannot be read.
    """
    return _read_tables(directory / ENVIRONMENT, "environments")


def read_code(directory: Path) -> dict[str, dict[str, Any]]:
    """Read the fingerprints of the code behind each cell, by stem; empty before the first row.

    Raises:
        UsageError: The file is damaged or cannot be read.
    """
    return _read_tables(directory / CODE, "fingerprints")


def _read_tables(path: Path, content: str) -> dict[str, dict[str, object]]:
    try:
        tables = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise refused(path, "read", error) from error
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is damaged: {error}") from error
    if not isinstance(tables, dict) or not all(isinstance(v, dict) for v in tables.values()):
        raise UsageError(f"{str(path)!r} is damaged: not a table of {content}")
    return tables


def read_rows(directory: Path) -> list[Row]:
    """Read the rows of a run directory in the order in which they ended, without its lock.

    Discarded rows and a last line that is cut short are left out.

    Raises:
        UsageError: The table is damaged, of a newer format, or cannot be read.
    """
    return list(_scanned(directory).rows.values())


def read_retried(directory: Path) -> list[Row]:
    """Read the failed rows of a run directory that were set aside; raises as ``read_rows``."""
    return [row for row in _scanned(directory).aside if not row.ok]


def _scanned(directory: Path) -> "Scan":
    path = directory / ROWS
    version = read_format(directory)
    with refusing(path, "read"), suppress(FileNotFoundError):
        return scan(path, version)
    return Scan({}, set(), [], 0)


class Scan(NamedTuple):
    """The content of the table's file up to the first line that is cut short, at byte ``size``.

    ``rows`` are those that count, by slot; of the cells in ``discarded`` rows were excluded. Rows
    in ``aside`` were set aside to be run again.
    """

    rows: dict[Slot, Row]
    discarded: set[Cell]
    aside: list[Row]
    size: int


def scan(path: Path, version: int = FORMAT) -> Scan:
    """Read the table's file, of a directory in format ``version``.

    Raises:
        UsageError: A damaged line is followed by rows, which no kill can cause.
        OSError: The file does not exist or cannot be read.
    """
    rows: dict[Slot, Row] = {}
    discarded: set[Cell] = set()
    aside: list[Row] = []
    valid_bytes = 0
    bad_line = None
    for number, (line, record) in enumerate(_lines(path, version), 1):
        if record is None:
            bad_line = bad_line or number
            continue
        if bad_line is not None:
            raise UsageError(f"line {bad_line} of {str(path)!r} is damaged: restore it from a copy")
        valid_bytes += len(line)
        if isinstance(record, Row):
            rows[record.slot] = record
        else:
            excluded = set(record.cells)
            discarded |= excluded
            rows = {slot: row for slot, row in rows.items() if slot.cell not in excluded}
            aside += [rows.pop(slot) for slot in record.slots if slot in rows]
    return Scan(rows, discarded, aside, valid_bytes)


def _lines(path: Path, version: int) -> Iterator[tuple[bytes, Row | Discard | None]]:
    """Yield each line and its record; None for a line that is not a record."""
    with path.open("rb") as file:
        for line in file:
            try:
                yield line, parse_line(line, version) if line.endswith(b"\n") else None
            except ValueError:
                yield line, None
