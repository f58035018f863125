"""A row of the results table: where it belongs, what was run, what came out."""

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
        slot: Where it belongs.
        spec: ``RunSpec.canonical()`` of what was run (text: ten thousand of them must fit).
        result: What came out.
        environment: Identity of the environment it ran in.
        suggested: See ``Job``.
    """

    slot: Slot
    spec: str
    result: RunResult
    environment: str
    suggested: dict[str, Option] | None = None

    @property
    def run(self) -> RunSpec:
        """What was run."""
        return RunSpec.parse(self.spec)

    def to_json(self) -> str:
        """One line of strict JSON; non-finite numbers are written as strings."""
        cell, phase, trial, replicate = self.slot
        data = {
            "cell": cell, "phase": phase, "trial": trial, "replicate": replicate,
            "environment": self.environment, "suggested": self.suggested,
            "result": self.result.model_dump(mode="python"), "spec": json.loads(self.spec),
        }  # fmt: skip
        return json.dumps(_strict(data), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """Read what ``to_json`` wrote and ``json.loads`` read.

        Raises:
            ValueError: It is not a whole row.
        """
        try:
            method, dataset, sampler = data["cell"]
            slot = Slot(
                Cell(method, dataset, sampler), data["phase"], data["trial"], data["replicate"]
            )
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
        """Value of an objective; infinite unless the run is ok and has a finite one.

        Args:
            metric: Name of the objective, a metric or a count of network evaluations.
        """
        value = self.result.metrics.get(metric, self.result.compute.get(metric, math.nan))
        if self.result.state != "ok" or not math.isfinite(value):
            return math.inf
        return value


@dataclass(frozen=True, slots=True)
class Discard:
    """A line of the table that sets earlier rows aside; they stay where they are.

    Attributes:
        cells: Cells whose rows up to here no longer count.
        because: What no longer fits.
    """

    cells: tuple[Cell, ...]
    because: tuple[str, ...]

    def to_json(self) -> str:
        """One line of strict JSON."""
        data = {"discard": self.cells, "because": self.because}
        return json.dumps(data, separators=(",", ":"))


def parse_line(text: str | bytes, version: int = FORMAT) -> Row | Discard:
    """Read a line of the table.

    Args:
        text: The line.
        version: Format of the directory it is from.

    Raises:
        ValueError: It is not a whole one.
    """
    data = json.loads(text)
    if not isinstance(data, dict) or "discard" not in data:
        return Row.from_data(upgrade_row(data, version))
    try:
        cells = tuple(Cell(*map(str, labels)) for labels in data["discard"])
        return Discard(cells, tuple(map(str, data["because"])))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a row: {error}") from error


def _strict(value: Any) -> Any:
    """Replace what JSON has no number for by strings that pydantic reads as floats again."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    return value
