"""What a run directory holds, read without its lock."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ...datasets.errors import UsageError
from ..cell import Cell, Slot
from ..specs.load import parse
from ..specs.spec import StudySpec
from .files import refused
from .rows import Discard, Row, parse_line
from .versions import FORMAT, read_format, upgrade_study

STUDY = "study.toml"
ROWS = "runs.jsonl"
ENVIRONMENT = "environment.json"
CODE = "code.json"
JOURNAL = "optuna.journal"
LOCK = ".lock"


def read_study(directory: Path) -> StudySpec:
    """The study that a run directory belongs to.

    Raises:
        UsageError: The directory does not exist, is not a run directory, is of a newer format, or
            cannot be read.
    """
    path = directory / STUDY
    version = read_format(directory)
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
    return parse(upgrade_study(data, version), f"{str(path)!r} is damaged")


def read_environments(directory: Path) -> dict[str, dict[str, Any]]:
    """Every environment that took part, by identity; empty before the first row.

    Raises:
        UsageError: The file is damaged or cannot be read.
    """
    return _read_tables(directory / ENVIRONMENT, "environments")


def read_code(directory: Path) -> dict[str, dict[str, Any]]:
    """Fingerprints of the parts of the code behind each cell; empty before the first row.

    Raises:
        UsageError: The file is damaged or cannot be read.
    """
    return _read_tables(directory / CODE, "fingerprints")


def _read_tables(path: Path, what: str) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise refused(path, "read", error) from error
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is damaged: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise UsageError(f"{str(path)!r} is damaged: not a table of {what}")
    return found


def read_rows(directory: Path) -> list[Row]:
    """The whole rows of a run directory, in the order in which they ended; takes no lock.

    Rows that were discarded are left out.

    Raises:
        UsageError: The table is damaged, of a newer format, or cannot be read.
    """
    path = directory / ROWS
    version = read_format(directory)
    try:
        return list(scan(path, version).rows.values())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise refused(path, "read", error) from error


class Scan(NamedTuple):
    """What the table's file holds up to the first torn line.

    Attributes:
        rows: Rows that count, by slot.
        discarded: Cells that had rows set aside.
        size: Bytes that are whole.
    """

    rows: dict[Slot, Row]
    discarded: set[Cell]
    size: int


def scan(path: Path, version: int = FORMAT) -> Scan:
    """Read the table's file.

    Args:
        path: The file.
        version: Format of its directory.

    Raises:
        UsageError: Something that is not a row is followed by rows: not the mark of a kill.
    """
    rows: dict[Slot, Row] = {}
    discarded: set[Cell] = set()
    good = 0
    torn = None
    for number, (line, record) in enumerate(_lines(path, version), 1):
        if record is None:
            torn = torn or number
            continue
        if torn is not None:
            raise UsageError(f"line {torn} of {str(path)!r} is damaged; restore it from a copy")
        good += len(line)
        if isinstance(record, Row):
            rows[record.slot] = record
        else:
            gone = set(record.cells)
            discarded |= gone
            rows = {slot: row for slot, row in rows.items() if slot.cell not in gone}
    return Scan(rows, discarded, good)


def _lines(path: Path, version: int) -> Iterator[tuple[bytes, Row | Discard | None]]:
    with path.open("rb") as file:
        for line in file:
            try:
                yield line, parse_line(line, version) if line.endswith(b"\n") else None
            except ValueError:
                yield line, None
