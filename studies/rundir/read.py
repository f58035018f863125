"""Read a run directory: study, rows, environments, code; without its lock."""

import itertools
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ...datasets.errors import UsageError
from ..cell import Cell, Slot
from ..specs.load import ROWS as ROWS
from ..specs.load import STUDY as STUDY
from ..specs.load import parse
from ..specs.spec import StudySpec
from .files import refused, refusing
from .packed import PackedRows
from .rows import Discard, Row, parse_line
from .strict import lines_of, open_plain, parse_json, read_text
from .versions import FORMAT, read_format, upgrade_study

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
        data = tomllib.loads(read_text(path))
    except FileNotFoundError as error:
        problem = "is not a run directory" if directory.is_dir() else "does not exist"
        raise UsageError(f"{str(directory)!r} {problem} (there is no {STUDY} in it)") from error
    except OSError as error:
        raise refused(path, "read", error) from error
    except UsageError:
        raise
    except (ValueError, RecursionError) as error:
        detail = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{str(path)!r} is damaged: {detail.splitlines()[0]}") from error
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
        tables = parse_json(read_text(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise refused(path, "read", error) from error
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is damaged: {error}") from error
    if not isinstance(tables, dict) or not all(isinstance(v, dict) for v in tables.values()):
        raise UsageError(f"{str(path)!r} is damaged: not a table of {content}")
    return tables


def read_rows(directory: Path) -> list[Row]:
    """Read the rows of a run directory, cell by cell as they ended, without its lock.

    Discarded rows and a last line that is cut short are left out.

    Raises:
        UsageError: The table is damaged, of a newer format, or cannot be read.
    """
    return list(read_packed(directory).stream())


def read_packed(directory: Path) -> PackedRows:
    """Read the rows of a run directory as ``read_rows``, in less memory."""
    return _scanned(directory).rows


def read_retried(directory: Path) -> list[Row]:
    """Read the failed rows of a run directory that were set aside; raises as ``read_rows``."""
    path = directory / ROWS
    # Every line that sets rows aside has this word; texts may be escaped.
    with refusing(path, "read"), suppress(ValueError), open_plain(path) as file:
        if not any(b"discard" in line or b"\\u" in line for line in lines_of(file)):
            return []
    return [row for row in _scanned(directory).aside if not row.ok]


def _scanned(directory: Path) -> "Scan":
    path = directory / ROWS
    version = read_format(directory)
    with refusing(path, "read"), suppress(FileNotFoundError):
        return scan(path, version)
    return Scan(PackedRows(), set(), [], 0)


class Scan(NamedTuple):
    """The content of the table's file up to the first line that is cut short, at byte ``size``.

    ``rows`` are those that count, by slot; of the cells in ``discarded`` rows were excluded. Rows
    in ``aside`` were set aside to be run again.
    """

    rows: PackedRows
    discarded: set[Cell]
    aside: list[Row]
    size: int


def scan(path: Path, version: int = FORMAT) -> Scan:
    """Read the table's file, of a directory in format ``version``.

    Raises:
        UsageError: A damaged line is followed by rows, which no kill can cause; two rows have one
            slot; or a line is too long to be one.
        OSError: The file does not exist or cannot be read.
    """
    rows = PackedRows()
    discarded: set[Cell] = set()
    aside: list[Row] = []
    valid_bytes = 0
    damage = ""
    for number, (line, record) in enumerate(_lines(path, version), 1):
        if isinstance(record, str):
            damage = damage or f"line {number} of {str(path)!r} is damaged ({record})"
            continue
        if damage:
            raise UsageError(f"{damage}: restore it from a copy")
        valid_bytes += len(line)
        if isinstance(record, Row):
            if record.slot in rows:
                raise UsageError(
                    f"line {number} of {str(path)!r} repeats the run of line "
                    f"{_line_of(record.slot, path, version, number)}: restore the file from a copy"
                )
            rows.add(record)
        else:
            excluded = set(record.cells)
            discarded |= excluded
            rows.drop(excluded)
            aside += [rows.pop(slot) for slot in record.slots if slot in rows]
    return Scan(rows, discarded, aside, valid_bytes)


def _line_of(slot: Slot, path: Path, version: int, before: int) -> int:
    """Number of the last line with the row of a slot that is before another line."""
    records = itertools.islice((record for _, record in _lines(path, version)), before - 1)
    known = enumerate(records, 1)
    return max(n for n, row in known if isinstance(row, Row) and row.slot == slot)


def _lines(path: Path, version: int) -> Iterator[tuple[bytes, Row | Discard | str]]:
    """Yield each line and its record, or why it is none."""
    with open_plain(path) as file:
        try:
            for line in lines_of(file):
                try:
                    whole = line.endswith(b"\n")
                    yield line, parse_line(line, version) if whole else "it is cut short"
                except ValueError as error:
                    yield line, " ".join(str(error).split())[:300]
        except ValueError as error:
            raise UsageError(f"a line of {str(path)!r} is damaged: {error}") from error
