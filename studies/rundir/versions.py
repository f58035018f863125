"""The format of run directories: which one a directory has, and how older ones are read.

A directory says its format in ``format.json``; without one it is of format 1, which had none. What
is read from an older directory is brought up to date on the way, one format at a time. A change of
the format raises ``FORMAT`` and adds a step to ``STEPS``, and a directory of the former format to
``tests/studies/formats``.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ...bench.spec import RunSpec
from ...datasets.errors import UsageError
from .files import refused, write_atomically

FORMAT = 2
"""The format that is written."""

FILE = "format.json"

Table = dict[str, Any]


class Step(NamedTuple):
    """From one format to the next; what it gives it leaves alone when it gets it again.

    Attributes:
        study: Of the tables of ``study.toml``.
        row: Of a line of the table of runs.
    """

    study: Callable[[Table], Table]
    row: Callable[[Table], Table]


def _as_it_is(data: Table) -> Table:
    return data


def _with_every_field(row: Table) -> Table:
    """Specs of format 1 may lack fields that came later; their defaults are what was done then."""
    spec = RunSpec.model_validate_json(json.dumps(row["spec"])).model_dump(mode="json")
    return {**row, "spec": spec}


STEPS = {1: Step(_as_it_is, _with_every_field)}


def read_format(directory: Path) -> int:
    """The format of a run directory.

    Raises:
        UsageError: It is newer than this version of scorebench knows, or cannot be told.
    """
    path = directory / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["format"]
    except (FileNotFoundError, NotADirectoryError):
        return 1
    except OSError as error:
        raise refused(path, "read", error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{str(path)!r} is damaged: it should say the format") from error
    if type(found) is not int or found < 1:
        raise UsageError(f"{str(path)!r} is damaged: the format is a whole number, not {found!r}")
    if found > FORMAT:
        raise UsageError(
            f"{str(directory)!r} is of format {found}, and this version of scorebench knows "
            f"formats up to {FORMAT}: install a newer one"
        )
    return found


def write_format(directory: Path) -> None:
    """Say that a directory is of the present format."""
    write_atomically(directory / FILE, f"{json.dumps({'format': FORMAT})}\n".encode())


def upgrade_study(data: Table, version: int) -> Table:
    """Tables of a study file of an older format, as they are written now."""
    for number in range(version, FORMAT):
        data = STEPS[number].study(data)
    return data


def upgrade_row(data: Table, version: int) -> Table:
    """A row of an older format, as it is written now.

    Raises:
        ValueError: It is not a row of that format.
    """
    for number in range(version, FORMAT):
        try:
            data = STEPS[number].row(data)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a row: {error}") from error
    return data
