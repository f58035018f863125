"""What was found out about a run directory, noted for as long as its files stay the same.

To read and check a million rows takes minutes; to see that no file has changed takes milliseconds.
Notes are kept in the user's cache, never in the run directory, which may come from strangers. A
note holds for the very files that it was made from: their names, sizes and places on the disk, and
the times at which they were last changed, which nobody can set. It also holds for this code only.
Where any of it differs, or there is no note, everything is read again.
"""

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from ...datasets.errors import UsageError
from ...datasets.private import make_private, user_folder, write_atomically
from .artifacts import FOLDERS
from .read import CODE, ENVIRONMENT, ROWS, STUDY
from .strict import parse_json, read_text
from .versions import FORMAT_FILE

MIN_SECONDS = 1.0
"""What takes less than this to find out is not noted."""

RESULTS, PARQUET = "results.csv", "results.parquet"

# Of ``datasets.cache``, which imports torch.
_VARIABLE = "SCOREBENCH_CACHE"

_FILES = (STUDY, FORMAT_FILE, ROWS, ENVIRONMENT, CODE, RESULTS, PARQUET)
_PACKAGE = Path(__file__).resolve().parents[2]
_ROOMS = ("datasets", "methods", "bench", "studies", "reports")
_OTHERS = ("numpy", "optuna", "pandas", "pyarrow", "pydantic", "scipy", "torch")

# Two changes of a file within a tick of the system's clock have one time.
_TICK = 0.05

Found = TypeVar("Found", bool, list[str])


def noted(directory: Path, name: str, find: Callable[[], Found]) -> Found:
    """Return what ``find`` finds out, or found when the files of a run directory were the same.

    Args:
        directory: The run directory.
        name: Name of the note.
        find: Reads files of the directory, and nothing else that may change but this package.
    """
    home = user_folder("cache", _VARIABLE)
    state = _state(directory)
    if home is None or state is None or not make_private(home / "notes"):
        return find()
    place = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()
    file = home / "notes" / f"{place}.json"
    notes = _read(file, state)
    if name in notes:
        found: Found = notes[name]
        return found
    began = time.monotonic()
    found = find()
    if time.monotonic() - began >= MIN_SECONDS and _state(directory) == state:
        text = json.dumps({"state": state, "notes": {**_read(file, state), name: found}})
        try:
            write_atomically(file, text.encode(), durable=False)
        except OSError:
            return found
    return found


def _read(file: Path, state: str) -> dict[str, Any]:
    """The notes in a file; none if they were made in another state."""
    try:
        content = parse_json(read_text(file))
        return dict(content["notes"]) if content["state"] == state else {}
    except (OSError, UsageError, ValueError, KeyError, TypeError):
        return {}


def _state(directory: Path) -> str | None:
    """Hash what tells the files of a run directory from others; None if they may just change."""
    paths = [directory / name for name in _FILES]
    paths += [path for folder in FOLDERS for path in sorted((directory / folder).glob("*"))]
    files = [(str(path), _identity(path)) for path in paths]
    times = [identity[-1] for _, identity in files if identity]
    # Coarse clocks, as of some network drives, give whole microseconds.
    if max(times, default=0) > time.time_ns() - _TICK * 1e9 or not any(t % 1000 for t in times):
        return None
    return hashlib.sha256(json.dumps([files, _code()]).encode()).hexdigest()


def _identity(path: Path) -> tuple[int, ...]:
    """Tell a file from others and from itself before a change; empty if there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@cache
def _code() -> list[object]:
    """What else a finding depends on: this package, others, and the machine."""
    return [sorted(_sources()), [version(name) for name in _OTHERS], sys.version, platform.node()]


def _sources() -> Iterator[tuple[str, tuple[int, ...]]]:
    for room in _ROOMS:
        for folder, _, names in os.walk(_PACKAGE / room):
            for path in (Path(folder, name) for name in names if name.endswith((".py", ".json"))):
                yield str(path), _identity(path)
