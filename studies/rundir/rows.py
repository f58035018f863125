"""Rows of the table of runs, and the lines they are stored as."""

import json
import math
from dataclasses import dataclass
from typing import Any, Self

from pydantic import ValidationError

from ...bench.spec import Option, RunResult, RunSpec
from ..cell import Cell, Slot
from .versions import FORMAT, upgrade_row


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
        """The settings of the run."""
        return RunSpec.parse(self.spec)

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
            ValueError: The data is not a whole row.
        """
        try:
            slot = Slot(_cell(data["cell"]), data["phase"], data["trial"], data["replicate"])
            return cls(
                slot,
                json.dumps(data["spec"], sort_keys=True, separators=(",", ":")),
                RunResult.model_validate(data["result"]),
                data["environment"],
                data["suggested"],
            )
        except (KeyError, TypeError, ValidationError) as error:
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
    data = json.loads(text)
    if not isinstance(data, dict) or "discard" not in data:
        return Row.from_data(upgrade_row(data, version))
    try:
        cells = tuple(map(_cell, data["discard"]))
        slots = (Slot(_cell(cell), *place) for cell, *place in data.get("slots", ()))
        return Discard(cells, tuple(map(str, data["because"])), tuple(slots))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a row: {error}") from error


def _cell(stored: Any) -> Cell:
    """Read what ``Cell.stored`` wrote."""
    cell = Cell(*stored)
    strings = all(isinstance(label, str) for label in cell.labels)
    if cell.stored != stored or not strings or type(cell.restart) is not int:
        raise TypeError(f"{stored!r} is no cell")
    return cell


def _strict(value: object) -> object:
    """Replace non-finite numbers, which JSON lacks, by strings that pydantic reads as floats."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    return value
