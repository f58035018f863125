"""The formats of what is written, and how older run directories are read.

A directory states its format in ``format.json``; without that file it is of format 1. Data of an
older directory is upgraded while it is read, one format at a time. A change of the format
increments ``FORMAT``, adds a step to ``STEPS``, and adds a directory of the former format to
``tests/studies/formats``.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ...bench.spec import RunSpec
from ...datasets.errors import UsageError
from ..specs.entries import short
from .files import refused, write_atomically
from .strict import parse_json, read_text

FORMAT = 2
"""Format of run directories."""

ARCHIVE_FORMAT = 1
"""Format of archives."""

CERTIFICATE_FORMAT = 1
"""Format of certificates."""

OUTCOME_FORMAT = 1
"""Format of outcomes of `verify`."""

FORMAT_FILE = "format.json"

Table = dict[str, object]


class Step(NamedTuple):
    """An upgrade of ``study.toml`` and of a line of runs to the next format; safe to repeat."""

    study: Callable[[Table], Table]
    row: Callable[[Table], Table]


def _unchanged(data: Table) -> Table:
    return data


def _with_every_field(row: Table) -> Table:
    """Add the fields that a spec of format 1 may lack; their defaults are what was done then."""
    spec = RunSpec.model_validate_json(json.dumps(row["spec"])).model_dump(mode="json")
    return {**row, "spec": spec}


STEPS = {1: Step(_unchanged, _with_every_field)}


def read_format(directory: Path) -> int:
    """Read the format of a run directory.

    Raises:
        UsageError: The format is newer than this version of scorebench knows, or cannot be read.
    """
    path = directory / FORMAT_FILE
    try:
        version = parse_json(read_text(path))["format"]
    except (FileNotFoundError, NotADirectoryError):
        return 1
    except OSError as error:
        raise refused(path, "read", error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{str(path)!r} is damaged: it states no format") from error
    if type(version) is not int or version < 1:
        why = f"the format {short(version)} is not a whole number"
        raise UsageError(f"{str(path)!r} is damaged: {why}")
    if version > FORMAT:
        raise too_new(directory, version, FORMAT)
    return version


def too_new(path: Path, version: object, latest: int) -> UsageError:
    """Build the error for a file or directory of a later version of scorebench."""
    return UsageError(
        f"{str(path)!r} is of format {short(version)}, and this version of scorebench knows "
        f"formats up to {latest}: install a newer one"
    )


def write_format(directory: Path) -> None:
    """Mark a directory as one of the present format."""
    write_atomically(directory / FORMAT_FILE, f"{json.dumps({'format': FORMAT})}\n".encode())


def upgrade_study(data: Table, version: int) -> Table:
    """Bring the tables of a study file of an older format to the present one."""
    for number in range(version, FORMAT):
        data = STEPS[number].study(data)
    return data


def upgrade_row(data: Table, version: int) -> Table:
    """Bring a row of an older format to the present one.

    Raises:
        ValueError: The data is not a row of that format.
    """
    for number in range(version, FORMAT):
        try:
            data = STEPS[number].row(data)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a row: {error}") from error
    return data
