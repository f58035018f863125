"""Runs that are looked up in a table of recorded searches instead of being executed."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..bench.data_files import DataFile
from ..bench.spec import Failure, RunResult, RunSpec
from ..bench.streams import stream
from ..datasets.errors import UsageError, unknown
from ..datasets.point_files import known_content
from ..methods.space import LEARNING_RATE

TABLES = Path(__file__).parent / "presets"

LOOKED_UP = 8
"""Recorded runs per task: each takes less time than its task."""

_COSTS = ("train_evaluations", "sample_evaluations")


def tables() -> list[str]:
    """List the packaged tables."""
    return sorted(path.stem for path in TABLES.glob("*.json"))


def place(parameter: str) -> tuple[str, str]:
    """Return the table of a study, and the field in it, that a parameter of Optuna belongs to."""
    table, _, field = parameter.rpartition(".")
    if table in ("method", "training", "network", "sampler"):
        return table, field
    return ("training" if parameter == LEARNING_RATE else "method"), parameter


def frame(run: RunSpec, parameters: Iterable[str]) -> dict[str, Any]:
    """Return the settings of a run without those that are searched, its seed and its metrics.

    Runs of one cell are equal in it.
    """
    data: dict[str, Any] = json.loads(run.canonical())
    for name in ("phase", "seed", "replicate"):
        del data[name]
    data["evaluation"] = {"samples": run.evaluation.samples}
    for parameter in parameters:
        table, field = place(parameter)
        part = data[table]["options"] if table in ("method", "sampler") else data[table]
        part.pop(field, None)
    return data


def value_at(run: RunSpec, parameter: str) -> Any:
    """Return the value of a run at the place of a parameter of Optuna; None if it has none."""
    table, field = place(parameter)
    part = getattr(run, table)
    return part.options.get(field) if table in ("method", "sampler") else getattr(part, field)


class Lookup:
    """The recorded searches of a table, and the losses that a run has in them. Can be pickled.

    A restart has the recorded seeds in an order of its own, which all methods and configurations
    share: a run of the search has seed ``replicate``, counted from the front, and a confirmation
    run from the back. So confirmation runs are on other seeds than the search.

    Args:
        name: Name of a packaged table, or of one of ``files``.
        files: Files of the study, which were provided: what ``scorebench record`` wrote.

    Raises:
        UsageError: There is no such table, or it is damaged.
    """

    def __init__(self, name: str, files: Iterable[DataFile] = ()) -> None:
        self._content = _content(name, files)
        self.digest = hashlib.sha256(self._content).hexdigest()
        try:
            data = json.loads(self._content)
            good = data["format"] == 1 and bool(data["cells"])
        except (ValueError, KeyError, TypeError):
            good = False
        if not good:
            raise UsageError(f"recorded = {name!r} is not a table that `scorebench record` wrote")

    @cached_property
    def _cells(self) -> list[tuple[dict[str, Any], Any]]:
        # Imported on first use: Optuna is slow to load.
        from .recorded import RecordedCell

        cells = json.loads(self._content)["cells"].values()
        return [(data["run"], RecordedCell(data)) for data in cells]

    @cached_property
    def _references(self) -> list[dict[str, Any]]:
        references: list[dict[str, Any]] = json.loads(self._content)["references"]
        return references

    @cached_property
    def _known(self) -> dict[str, Any]:
        return {}

    def complaint(self, run: RunSpec, space: Mapping[str, Any], seeds: int) -> str | None:
        """Say why runs like this one cannot be looked up; None if they can.

        Args:
            run: A run of a cell.
            space: Optuna's distributions of what is searched; references have no search.
            seeds: Number of seeds that the study needs.
        """
        if run.evaluation.also or run.evaluation.split:
            return "recorded runs are scored on one sampler: leave out evaluation.also and split"
        try:
            if run.phase == "reference":
                losses = self._reference(run)["losses"]
                there = len(next(iter(losses.values())))
            else:
                cell = self._cell(run)
                cell.nearest({name: value_at(run, name) for name in cell.search_space})
                for name, wanted in space.items():
                    if outside := _outside(name, wanted, cell.search_space.get(name)):
                        return outside
                losses, there = cell.losses, cell.seeds
        except ValueError as error:
            return str(error)
        if missing := [name for name in run.evaluation.metrics if name not in losses]:
            return f"{missing[0]} was not recorded, but {', '.join(losses)}"
        return f"{there} seeds were recorded, and {seeds} are needed" if there < seeds else None

    def answer(self, run: RunSpec) -> RunResult:
        """Return the recorded result of a run; a failed one if there is none, or if it failed."""
        key = run.key(self.digest)
        try:
            losses = self._losses(run)
        except (ValueError, IndexError) as error:
            failure = Failure(stage="score", reason=str(error))
            return RunResult(key=key, state="failed", failure=failure)
        metrics = {name: losses[name] for name in run.evaluation.metrics if name in losses}
        compute = {name: value for name, value in losses.items() if name in _COSTS}
        if not all(map(math.isfinite, metrics.values())):
            failure = Failure(stage="score", reason="the recorded run failed")
            return RunResult(key=key, state="failed", failure=failure, compute=compute)
        return RunResult(key=key, state="ok", metrics=metrics, compute=compute)

    def _losses(self, run: RunSpec) -> dict[str, float]:
        if run.phase == "reference":
            recorded = self._reference(run)["losses"].items()
            values = {name: column[run.replicate] for name, column in recorded}
            return {name: math.nan if x is None else x for name, x in values.items()}
        cell = self._cell(run)
        index = cell.nearest({name: value_at(run, name) for name in cell.search_space})
        order = np.random.default_rng(stream(run.seed, "recorded")).permutation(cell.seeds)
        seed = order[run.replicate if run.phase == "search" else -1 - run.replicate]
        return {name: float(losses[index, seed]) for name, losses in cell.losses.items()}

    def _reference(self, run: RunSpec) -> dict[str, Any]:
        wanted = frame(run, ())
        for reference in self._references:
            there = reference["run"]
            # Their sampler has the middle of a range, which the study may narrow.
            same = all(there[name] == wanted[name] for name in ("method", "dataset", "evaluation"))
            if same and there["sampler"]["name"] == wanted["sampler"]["name"]:
                return reference
        raise ValueError(f"{run.method.name} on {run.dataset.name} was not recorded")

    def _cell(self, run: RunSpec) -> Any:
        text = json.dumps([run.method.name, run.dataset.model_dump(), run.sampler.name])
        cell = self._known.get(text)
        if cell is None or frame(run, cell.search_space) != cell.data["run"]:
            cell = self._known[text] = self._found(run)
        return cell

    def _found(self, run: RunSpec) -> Any:
        differences = []
        for recorded, cell in self._cells:
            wanted = frame(run, cell.search_space)
            if wanted == recorded:
                return cell
            names = [wanted[name]["name"] for name in ("method", "dataset", "sampler")]
            if names == [recorded[name]["name"] for name in ("method", "dataset", "sampler")]:
                differences += _differences(recorded, wanted, "")
        name = f"{run.method.name} on {run.dataset.name} with {run.sampler.name}"
        if differences:
            raise ValueError(f"{name} was recorded with other settings: {differences[0]}")
        raise ValueError(f"{name} was not recorded")


def _content(name: str, files: Iterable[DataFile]) -> bytes:
    for file in files:
        if file.file == name:
            return known_content(name, file.sha256)
    packaged = TABLES / f"{name}.json"
    if not packaged.is_file():
        raise unknown("table of recorded searches", name, tables())
    return packaged.read_bytes()


def _outside(name: str, wanted: Any, recorded: Any) -> str | None:
    """Say why a searched parameter was not recorded everywhere; None if it was."""
    if recorded is None:
        return f"{name} was not searched when it was recorded: give it one value"
    if hasattr(recorded, "choices"):
        inside = set(getattr(wanted, "choices", ())) <= set(recorded.choices)
        return None if inside else f"{name} was recorded for {recorded.choices!r}"
    if recorded.low <= wanted.low and wanted.high <= recorded.high:
        return None
    return (
        f"{name} from {wanted.low!r} to {wanted.high!r} is outside of the recorded range, "
        f"{recorded.low!r} to {recorded.high!r}"
    )


def _differences(there: Any, here: Any, name: str) -> list[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        return [
            text
            for key in sorted({*there, *here})
            for text in _differences(there.get(key), here.get(key), f"{name}.{key}".strip("."))
        ]
    return [] if there == here else [f"{name} = {there!r} there, {here!r} here"]
