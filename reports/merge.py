"""Merge run directories of several machines or people into one."""

import json
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..datasets.errors import UsageError
from ..studies.cell import Slot
from ..studies.engine import Engine
from ..studies.plan import Plan
from ..studies.progress import standing
from ..studies.results import write_results
from ..studies.rundir.artifacts import FOLDERS
from ..studies.rundir.changes import difference
from ..studies.rundir.files import refuse_links, refused, write_output
from ..studies.rundir.read import read_environments, read_rows, read_study
from ..studies.rundir.rows import Row
from ..studies.rundir.store import Store
from ..studies.specs.entries import Entry
from ..studies.specs.spec import StudySpec

_GRID = ("methods", "datasets", "samplers")
_FREE = ("name", "limits", *_GRID)
_TOLERANCE = 0.01

MERGED = "merged.json"
"""File of a merged run directory: the names of those that it was merged from."""


def merge(out: str | Path, directories: Sequence[str | Path]) -> Path:
    """Merge studies that differ only in their methods, datasets or samplers.

    Rows that several directories have are taken from the first. Cells that no directory has are
    shown as missing. The directories are not changed.

    Args:
        out: The new run directory.
        directories: Two or more run directories.

    Returns:
        The new run directory.

    Raises:
        UsageError: The studies cannot be compared, and why.
    """
    folders = [Path(directory) for directory in directories]
    target = Path(out)
    if len(folders) < 2:
        raise UsageError("nothing to merge: give two or more run directories")
    if target.exists() and any(target.iterdir() if target.is_dir() else [target]):
        raise UsageError(f"{str(target)!r} already exists: give the name of a new directory")
    studies = [read_study(folder) for folder in folders]
    for folder in folders:
        refuse_links(folder)
    for folder, study in zip(folders[1:], studies[1:], strict=True):
        _comparable(folders[0], studies[0], folder, study)
    spec = _merged(target.name, studies)
    rows: dict[Slot, Row] = {}
    environments: dict[str, dict[str, object]] = {}
    engine = Engine()
    for folder, study in zip(folders, studies, strict=True):
        for row in standing(Plan(study, engine), read_rows(folder)):
            _agree(spec.objective, rows.setdefault(row.slot, row), row, folder)
        environments |= read_environments(folder)
    with Store(target, spec) as store:
        store.append(list(rows.values()), environments)
        _copy(folders, target)
        write_results(target, store.rows, Plan(spec, engine))
        write_output(target / MERGED, (json.dumps([f.name for f in folders]) + "\n").encode())
    return target


def _comparable(first: Path, study: StudySpec, second: Path, other: StudySpec) -> None:
    """Refuse studies that differ in more than their methods, datasets or samplers."""
    free = {name: getattr(study, name) for name in _FREE if hasattr(study, name)}
    if changes := difference(study, other.model_copy(update=free)):
        raise UsageError(
            f"{str(first)!r} and {str(second)!r} cannot be compared: {'; '.join(changes)}"
        )
    for field in _GRID:
        entries: dict[str, Entry] = {entry.label: entry for entry in getattr(study, field)}
        for entry in getattr(other, field):
            if entries.get(entry.label, entry) != entry:
                raise UsageError(
                    f"{str(first)!r} and {str(second)!r} cannot be compared: {entry.label} among "
                    f"the {field} has other settings"
                )


def _merged(name: str, studies: Sequence[StudySpec]) -> StudySpec:
    """Return the study that has the methods, datasets and samplers of all."""
    grid = {
        field: tuple({e.label: e for study in studies for e in getattr(study, field)}.values())
        for field in _GRID
    }
    usable = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name)
    return studies[0].model_copy(update={**grid, "name": name if usable else studies[0].name})


def _agree(objective: str, row: Row, other: Row, folder: Path) -> None:
    """Refuse two rows of the same slot that are not the same run."""
    if row is other:
        return
    method, dataset, sampler = other.slot.cell.labels
    where = f"{method} on {dataset} ({sampler}) in {str(folder)!r}"
    if row.result.key != other.result.key:
        raise UsageError(
            f"{where} was run with other code or settings than in the directories before: "
            "run it again with the same version"
        )
    a, b = (run.result.metrics.get(objective, math.nan) for run in (row, other))
    equal = math.isclose(a, b, rel_tol=_TOLERANCE) or (math.isnan(a) and math.isnan(b))
    if row.result.state != other.result.state or not equal:
        raise UsageError(
            f"{where} gave {b:.6g}, but the same run gave {a:.6g} in a directory before: results "
            "of these machines cannot be merged"
        )


def _copy(folders: Sequence[Path], target: Path) -> None:
    for folder in reversed(folders):
        for kind in FOLDERS:
            for path in sorted((folder / kind).glob("*")):
                try:
                    (target / kind).mkdir(exist_ok=True)
                    shutil.copyfile(path, target / kind / path.name)
                except OSError as error:
                    raise refused(target, "write to", error) from error
