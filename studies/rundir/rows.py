"""Rows of the table of runs, and the lines they are stored as."""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Self, get_args

from pydantic import ValidationError

from ...bench.spec import Option, Phase, RunResult, RunSpec
from ...datasets.errors import UsageError
from ...methods.space import Value
from ..cell import Cell, Slot
from ..specs.entries import WORD, short
from .strict import parse_json
from .versions import FORMAT, upgrade_row

_PHASES = get_args(Phase)
# Keys are parts of file names.
_IDENTITY = re.compile("[A-Za-z0-9_-]{1,100}")
_LARGEST = 2**31


@dataclass(frozen=True, slots=True)
class Row:
    """One finished run.

    Attributes:
        slot: Its place in the table.
        spec: ``RunSpec.canonical()`` of the run (text, so that ten thousand rows fit in memory).
        result: Its result.
        environment: Identity of the environment that it ran in.
        suggested: See ``Job``.
    """

    slot: Slot
    spec: str
    result: RunResult
    environment: str
    suggested: dict[str, Option] | None = None

    @property
    def run(self) -> RunSpec:
        """The settings of the run.

        Raises:
            UsageError: They are damaged.
        """
        try:
            return RunSpec.parse(self.spec)
        except ValidationError as error:
            raise UsageError(f"the settings of {self.name} are damaged: {_first(error)}") from error

    @property
    def name(self) -> str:
        """The place of the row in words, as ``confirm 3 of dsm-rings-langevin``."""
        cell, phase, trial, replicate = self.slot
        number = "" if trial is None or phase == "confirm" else f" {trial}"
        again = f" {replicate}" if phase != "search" else f", repeat {replicate}" * bool(replicate)
        return f"{phase}{number}{again} of {cell.stem}"

    @property
    def ok(self) -> bool:
        """Whether the run ended without divergence or error."""
        return self.result.state == "ok"

    def to_json(self) -> str:
        """Write the row as one line of strict JSON, with non-finite numbers as strings."""
        cell, phase, trial, replicate = self.slot
        data = {
            "cell": cell.stored,
            "phase": phase,
            "trial": trial,
            "replicate": replicate,
            "environment": self.environment,
            "suggested": self.suggested,
            "result": self.result.model_dump(mode="python"),
            "spec": json.loads(self.spec),
        }
        return json.dumps(_strict(data), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """Build a row from the parsed JSON of ``to_json``.

        Raises:
            ValueError: The data is not a whole row, or a name, label or number in it is none.
        """
        try:
            return cls(
                _slot(data),
                json.dumps(data["spec"], sort_keys=True, separators=(",", ":")),
                _result(data["result"]),
                _matching(_IDENTITY, data["environment"], "environment"),
                _suggested(data["suggested"]),
            )
        except ValidationError as error:
            raise ValueError(f"not a row: {_first(error)}") from error
        except KeyError as error:
            raise ValueError(f"not a row: it has no {error}") from error
        except TypeError as error:
            raise ValueError(f"not a row: {error}") from error

    def loss(self, metric: str) -> float:
        """Return the value of an objective; infinite unless the run is ok and has a finite value.

        Args:
            metric: Name of the objective: a metric or a count of network evaluations.
        """
        value = self.result.metrics.get(metric, self.result.compute.get(metric, math.nan))
        if not self.ok or not math.isfinite(value):
            return math.inf
        return value


@dataclass(frozen=True, slots=True)
class Discard:
    """A line of the table that excludes earlier rows, which stay in the file.

    Attributes:
        cells: Cells whose rows up to this line no longer count.
        because: The changes that they do not fit.
        slots: Slots whose rows up to this line are set aside, to be run again.
    """

    cells: tuple[Cell, ...]
    because: tuple[str, ...]
    slots: tuple[Slot, ...] = ()

    def to_json(self) -> str:
        """Write the mark as one line of strict JSON."""
        data = {
            "discard": [cell.stored for cell in self.cells],
            "because": self.because,
            "slots": [[slot.cell.stored, *slot[1:]] for slot in self.slots],
        }
        return json.dumps(data, separators=(",", ":"))


def parse_line(text: str | bytes, version: int = FORMAT) -> Row | Discard:
    """Read a line of the table.

    Args:
        text: The line.
        version: Format of its directory.

    Raises:
        ValueError: The line is not whole.
    """
    data = parse_json(text)
    if isinstance(data, dict) and "discard" in data:
        return _discard(data)
    return Row.from_data(upgrade_row(data, version))


def _discard(data: dict[str, object]) -> Discard:
    match {"slots": [], **data}:
        case {"discard": [*cells], "because": [*because], "slots": [*slots]}:
            places = tuple(map(_set_aside, slots))
            return Discard(tuple(map(_cell, cells)), tuple(map(str, because)), places)
    raise ValueError("not a mark of excluded rows")


def _set_aside(stored: object) -> Slot:
    if not isinstance(stored, list) or len(stored) != 4:
        raise ValueError(f"{short(stored)} is no place of a run")
    return _slot(dict(zip(("cell", "phase", "trial", "replicate"), stored, strict=True)))


def _slot(data: Any) -> Slot:
    """Read the slot of a row; numbers are whole, and only rows of references have no trial."""
    phase, trial, replicate = data["phase"], data["trial"], data["replicate"]
    if phase not in _PHASES:
        raise ValueError(f"{short(phase)} is no phase")
    if (trial is None) != (phase == "reference"):
        raise ValueError(f"trial {short(trial)} is impossible for phase {phase}")
    for name, number in (("trial", 0 if trial is None else trial), ("replicate", replicate)):
        if type(number) is not int or not 0 <= number < _LARGEST:
            raise ValueError(f"{name} {short(number)} is no number of a run")
    return Slot(_cell(data["cell"]), phase, trial, replicate)


def _cell(stored: object) -> Cell:
    """Read what ``Cell.stored`` wrote; labels become file names, so they are words."""
    if not isinstance(stored, list) or not 3 <= len(stored) <= 5:
        raise ValueError(f"{short(stored)} is no cell")
    method, dataset, sampler = (_matching(WORD, label, "label") for label in stored[:3])
    searcher = _matching(WORD, stored[4], "label") if len(stored) == 5 else ""
    restart = stored[3] if len(stored) > 3 else 0
    # The first restart is written only where a searcher follows.
    first = 1 if len(stored) == 4 else 0
    if type(restart) is not int or not first <= restart < _LARGEST:
        raise ValueError(f"restart {short(restart)} is no number of a restart")
    return Cell(method, dataset, sampler, restart, searcher)


def _result(stored: object) -> RunResult:
    result = RunResult.model_validate(stored)
    _matching(_IDENTITY, result.key, "key")
    return result


def _suggested(stored: object) -> dict[str, Option] | None:
    if stored is None:
        return None
    if not isinstance(stored, dict):
        raise TypeError(f"suggested = {short(stored)} is no table")
    for name, value in stored.items():
        if not isinstance(value, Value):
            raise TypeError(f"{short(name)} = {short(value)} is no value of a hyperparameter")
    return stored


def _matching(pattern: re.Pattern[str], value: object, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{short(value)} is no {what}")
    return value


def _first(error: ValidationError) -> str:
    """Say in one line what is wrong first: the field and its value."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    return f"{field} = {short(first['input'])}: {first['msg']}"


def _strict(value: object) -> object:
    """Replace non-finite numbers, which JSON lacks, by strings that pydantic reads as floats."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    return value
