"""A row of the results table: where it belongs, what was run, what came out."""

import json
import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from pydantic import ValidationError

from ...bench.spec import Option, Phase, RunResult, RunSpec
from .versions import FORMAT, upgrade_row


class Cell(NamedTuple):
    """Labels of a method, a dataset and a sampler; reference rows have a reference's label."""

    method: str
    dataset: str
    sampler: str

    @property
    def stem(self) -> str:
        """Beginning of the names of the cell's files."""
        return "-".join(self)


class Place(NamedTuple):
    """Where a row belongs: no two rows of a table share one.

    Attributes:
        cell: Whose run it is.
        phase: Step of the study.
        trial: Number of the configuration within the cell, None for reference rows.
        replicate: Number of the repetition.
    """

    cell: Cell
    phase: Phase
    trial: int | None
    replicate: int


class Job(NamedTuple):
    """A run that a cell asks for.

    Attributes:
        place: Where its row will belong.
        spec: What to run.
        suggested: Optuna's parameters behind a trial, before the method made options of them.
    """

    place: Place
    spec: RunSpec
    suggested: dict[str, Option] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One finished run.

    Attributes:
        place: Where it belongs.
        spec: ``RunSpec.canonical()`` of what was run (text: ten thousand of them must fit).
        result: What came out.
        environment: Identity of the environment it ran in.
        suggested: See ``Job``.
    """

    place: Place
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
        cell, phase, trial, replicate = self.place
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
            place = Place(
                Cell(method, dataset, sampler), data["phase"], data["trial"], data["replicate"]
            )
            return cls(
                place,
                json.dumps(data["spec"], sort_keys=True, separators=(",", ":")),
                RunResult.model_validate(data["result"]),
                data["environment"],
                data["suggested"],
            )
        except (KeyError, TypeError, ValidationError) as error:
            raise ValueError(f"not a row: {error}") from error

    def loss(self, metric: str, sign: int) -> float:
        """An objective, made small-is-better; infinite unless the run is ok and has it.

        Args:
            metric: Name of the objective, a metric or a count of network evaluations.
            sign: 1 if it should be small, -1 if large.
        """
        value = self.result.metrics.get(metric, self.result.compute.get(metric, math.nan))
        if self.result.state != "ok" or not math.isfinite(value):
            return math.inf
        return sign * value


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
