"""Compute a finding part by part; parts stored in a directory are not computed again."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ...bench.environment import environment
from ...bench.fingerprint import code_behind
from ...bench.process import one_thread
from ...datasets.errors import UsageError, unknown
from ...studies.execution.where import open_pool
from ...studies.rundir.files import append_lines, locked, refused, write_atomically
from ...studies.specs.load import parse_overrides
from . import findings
from .base import Finding, TableRow, right

if TYPE_CHECKING:
    import pandas as pd

PARTS = "parts.jsonl"
SETTINGS = "finding.json"
TABLE = "table.csv"
WRONG = "wrong.csv"


@dataclass(frozen=True)
class PartFinished:
    """An event: a part was computed.

    Attributes:
        name: Name of the part.
        done: Number of finished parts.
        total: Number of all parts.
        computed: Number of parts that this call computed.
    """

    name: str
    done: int
    total: int
    computed: int


PartListener = Callable[[PartFinished], None]


def load_finding(name: str, overrides: Sequence[str] = ()) -> Finding:
    """Make a finding with its settings; overrides are ``setting=value`` pairs in TOML.

    Raises:
        UsageError: The finding or a setting is unknown, or a value is invalid.
    """
    kind = findings.get(name)
    settings = {}
    for override in parse_overrides(overrides):
        if override.key not in kind.model_fields:
            raise unknown(
                f"setting of the finding {name!r} called", override.key, kind.model_fields
            )
        settings[override.key] = override.value
    try:
        return kind.model_validate_json(json.dumps(settings), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        setting = ".".join(map(str, first["loc"]))
        reason = first["msg"][:1].lower() + first["msg"][1:]
        raise UsageError(f"finding {name}: {setting} = {first['input']!r}: {reason}") from error


def compute(
    name: str,
    finding: Finding,
    directory: Path | None = None,
    workers: int = 1,
    listener: PartListener | None = None,
) -> "pd.DataFrame":
    """Compute the table of a finding; it depends only on the finding's settings.

    Its column ``wrong`` names the wrong implementation of a row, and is empty for the right ones.

    Args:
        name: Name of the finding in the registry.
        finding: The finding with its settings.
        directory: Directory for finished parts, created if it does not exist; None stores nothing.
        workers: Number of processes; 1 computes in this process.
        listener: Called after every part.

    Raises:
        UsageError: The directory cannot be used, or there are no workers.
    """
    import pandas as pd

    from ...studies.results import to_csv

    if workers < 1:
        raise UsageError(f"{workers} workers cannot compute anything: at least 1 is needed")
    names = list(finding.parts())
    if directory is None:
        finished = dict(_computed(name, finding, names, 0, workers, listener))
    else:
        with locked(directory):
            finished = _continued(name, finding, names, directory, workers, listener)
    rows = [{"part": part, **row} for part in names for row in finished[part]]
    last = ["quantity", "value", "error", "expected"]
    table = pd.DataFrame(rows)
    table = table[[*(column for column in table.columns if column not in last), *last]]
    table = table.astype(dict.fromkeys(last[1:], "float64"))
    table["wrong"] = table["wrong"].fillna("") if "wrong" in table else ""
    if directory is not None:
        _write(directory / TABLE, to_csv(right(table)))
        _write(directory / WRONG, to_csv(table[table["wrong"] != ""]))
    return table


def _continued(
    name: str,
    finding: Finding,
    names: Sequence[str],
    directory: Path,
    workers: int,
    listener: PartListener | None,
) -> dict[str, list[TableRow]]:
    """Rows by part: stored ones from the directory, the others computed and stored there."""
    path = directory / PARTS
    module = findings.builtin[name].module if name in findings.builtin else None
    code = code_behind(module or findings.get(name).__module__)
    keys = {part: _key(name, finding, part, code) for part in names}
    stored = _read(path)
    finished = {part: stored[keys[part]] for part in names if keys[part] in stored}
    missing = [part for part in names if part not in finished]
    for part, rows in _computed(name, finding, missing, len(finished), workers, listener):
        record = {"key": keys[part], "part": part, "rows": rows}
        append_lines(path, [json.dumps(record, separators=(",", ":"))])
        finished[part] = rows
    description = {
        "finding": name,
        "settings": finding.model_dump(mode="json"),
        "code": code,
        "environment": environment(),
    }
    _write(directory / SETTINGS, json.dumps(description, indent=2, sort_keys=True) + "\n")
    return finished


def _computed(
    name: str,
    finding: Finding,
    missing: Sequence[str],
    done: int,
    workers: int,
    listener: PartListener | None,
) -> Iterator[tuple[str, list[TableRow]]]:
    """Compute parts and yield each with its rows; ``done`` parts were finished before."""
    if not missing:
        return
    settings = finding.model_dump_json()
    total = done + len(missing)
    pool = open_pool(min(workers, len(missing)), prepare=partial(_prepare, name))
    complete = False
    try:
        running: dict[Future[list[TableRow]], str] = {}
        waiting, computed = list(missing), 0
        while waiting or running:
            while waiting and len(running) < pool.capacity:
                part = waiting.pop(0)
                running[pool.submit(partial(compute_part, name, settings, part))] = part
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                part = running.pop(future)
                yield part, future.result()
                computed += 1
                if listener is not None:
                    listener(PartFinished(part, done + computed, total, computed))
        complete = True
    finally:
        pool.close(kill=not complete)


def _prepare(name: str) -> None:
    """Import a finding in a worker."""
    findings.get(name)


def compute_part(name: str, settings: str, part: str) -> list[TableRow]:
    """Compute the rows of one part, in any process: the task of a worker."""
    finding = findings.get(name).model_validate_json(settings)
    with one_thread():
        return finding.parts()[part]()


def _key(name: str, finding: Finding, part: str, code: str) -> str:
    """Identity of a part: the same key means the same numbers."""
    text = json.dumps([name, finding.model_dump(mode="json"), part, code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> dict[str, list[TableRow]]:
    """Rows of finished parts by key; lines that a kill cut short are skipped."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise refused(path, "read", error) from error
    rows = {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            record = json.loads(line)
            rows[record["key"]] = record["rows"]
    return rows


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise refused(path, "write", error) from error
