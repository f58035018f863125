"""Compute a finding part by part; parts that a directory holds already are not computed again."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from ...bench.environment import environment
from ...datasets.errors import UsageError, unknown
from ..execution.where import open_pool
from ..rundir.files import refused, write_atomically
from ..specs.load import parse_overrides
from . import findings
from .base import Finding, Row

if TYPE_CHECKING:
    import pandas as pd

PARTS = "parts.jsonl"
SETTINGS = "finding.json"
TABLE = "table.csv"


@dataclass(frozen=True)
class PartFinished:
    """A part was computed and stored.

    Attributes:
        name: Which.
        done: Parts there are now.
        total: Parts there will be.
        fresh: Those that this call computed.
    """

    name: str
    done: int
    total: int
    fresh: int


Listener = Callable[[PartFinished], None]


def load_finding(name: str, overrides: Sequence[str] = ()) -> Finding:
    """A finding by name with its settings.

    Args:
        name: In the registry.
        overrides: ``setting=value`` pairs in TOML.

    Raises:
        UsageError: There is no such finding or setting, or a value is impossible.
    """
    kind = findings.get(name)
    given = {}
    for override in parse_overrides(overrides):
        if override.key not in kind.model_fields:
            raise unknown(
                f"setting of the finding {name!r} called", override.key, kind.model_fields
            )
        given[override.key] = override.value
    try:
        return kind.model_validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"finding {name}: {where} = {first['input']!r}: {first['msg'][:1].lower()}"
            f"{first['msg'][1:]}"
        ) from error


def compute(
    name: str,
    finding: Finding,
    directory: Path | None = None,
    workers: int = 1,
    listener: Listener | None = None,
) -> "pd.DataFrame":
    """The table of a finding; it depends on the finding's settings alone.

    Args:
        name: Of the finding, in the registry.
        finding: With its settings.
        directory: Where finished parts are kept; made if it does not exist. None keeps nothing.
        workers: Processes; 1 computes in this one.
        listener: Told of every part.

    Raises:
        UsageError: The directory cannot be used.
    """
    import pandas as pd

    if workers < 1:
        raise UsageError(f"{workers} workers cannot compute anything: at least 1 is needed")
    names = list(finding.parts())
    if directory is None:
        kept: dict[str, list[Row]] = {}
        _work(name, finding, names, kept, lambda *_: None, workers, listener)
    else:
        with _opened(directory) as parts:
            code = _code(name)
            keys = {part: _key(name, finding, part, code) for part in names}
            stored = _read(parts)
            kept = {part: stored[keys[part]] for part in names if keys[part] in stored}

            def keep(part: str, rows: list[Row]) -> None:
                _append(parts, {"key": keys[part], "part": part, "rows": rows})

            _work(name, finding, names, kept, keep, workers, listener)
            _describe(directory, name, finding, code)
    rows = [{"part": part, **row} for part in names for row in kept[part]]
    last = ["quantity", "value", "error", "expected"]
    table = pd.DataFrame(rows)
    table = table[[*(column for column in table.columns if column not in last), *last]]
    table = table.astype(dict.fromkeys(last[1:], "float64"))
    if directory is not None:
        text = table.to_csv(index=False, lineterminator="\n")
        _write(directory / TABLE, text)
    return table


def compute_part(name: str, settings: str, part: str) -> list[Row]:
    """Rows of one part, in whatever process: what workers are sent."""
    from ...bench.process import one_thread

    finding = findings.get(name).model_validate_json(settings)
    with one_thread():
        return finding.parts()[part]()


def _work(
    name: str,
    finding: Finding,
    names: Sequence[str],
    kept: dict[str, list[Row]],
    keep: Callable[[str, list[Row]], None],
    workers: int,
    listener: Listener | None,
) -> None:
    """Compute the parts that are missing in ``kept``, and put them there."""
    missing = [part for part in names if part not in kept]
    if not missing:
        return
    settings = finding.model_dump_json()
    pool = open_pool(min(workers, len(missing)), prepare=partial(_prepare, name))
    finished = False
    try:
        under_way: dict[Future[list[Row]], str] = {}
        waiting, fresh = list(missing), 0
        while waiting or under_way:
            while waiting and len(under_way) < pool.capacity:
                part = waiting.pop(0)
                under_way[pool.submit(partial(compute_part, name, settings, part))] = part
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                part = under_way.pop(future)
                kept[part] = future.result()
                fresh += 1
                keep(part, kept[part])
                if listener is not None:
                    listener(PartFinished(part, len(kept), len(names), fresh))
        finished = True
    finally:
        pool.close(kill=not finished)


def _prepare(name: str) -> None:
    findings.get(name)


@contextlib.contextmanager
def _opened(directory: Path):  # type: ignore[no-untyped-def]
    """The file of parts in a directory that nobody else is writing to."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / ".lock", blocking=False)
        lock.acquire()
    except Timeout:
        raise UsageError(f"{str(directory)!r} is in use by another process") from None
    except OSError as error:
        raise refused(directory, "use", error) from error
    try:
        yield directory / PARTS
    finally:
        lock.release()


def _read(path: Path) -> dict[str, list[Row]]:
    """Rows of finished parts by key; a line that a kill cut short is not there."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise refused(path, "read", error) from error
    found = {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            record = json.loads(line)
            found[record["key"]] = record["rows"]
    return found


def _append(path: Path, record: dict[str, Any]) -> None:
    """Add a part for good. A line begins by ending the one that a kill may have left."""
    try:
        with path.open("ab") as file:
            lead = b"\n" if file.tell() else b""
            # Python's own words for what JSON has no number for: nobody else reads this file.
            file.write(lead + json.dumps(record, separators=(",", ":")).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise refused(path, "write to", error) from error


def _describe(directory: Path, name: str, finding: Finding, code: str) -> None:
    said = {
        "finding": name,
        "settings": finding.model_dump(mode="json"),
        "code": code,
        "environment": environment(),
    }
    _write(directory / SETTINGS, json.dumps(said, indent=2, sort_keys=True) + "\n")


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise refused(path, "write", error) from error


def _code(name: str) -> str:
    """Fingerprint of all code that the numbers of a finding may depend on."""
    from ...bench.fingerprint import code_behind

    module = findings.builtin[name].module if name in findings.builtin else None
    return code_behind(module or findings.get(name).__module__)


def _key(name: str, finding: Finding, part: str, code: str) -> str:
    """Identity of a part: same key, same numbers."""
    text = json.dumps([name, finding.model_dump(mode="json"), part, code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
