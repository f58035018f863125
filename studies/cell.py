"""The parts of a study: cells, the slots of their runs, and the jobs that fill the slots."""

from typing import NamedTuple

from ..bench.spec import Option, Phase, RunSpec


class Cell(NamedTuple):
    """Labels of a method (or reference), a dataset and a sampler, which are compared together."""

    method: str
    dataset: str
    sampler: str

    @property
    def stem(self) -> str:
        """The beginning of the names of the cell's files."""
        return "-".join(self)


class Slot(NamedTuple):
    """The place of a row in its table, which no other row has.

    Attributes:
        cell: The cell of the run.
        phase: Phase of the study.
        trial: Number of the configuration in its cell; None for reference rows.
        replicate: Number of the repetition.
    """

    cell: Cell
    phase: Phase
    trial: int | None
    replicate: int


class Job(NamedTuple):
    """A run that a cell asks for.

    Attributes:
        slot: The slot of its row.
        spec: Its settings.
        suggested: Optuna's parameters of a trial, from which the method derived its options.
    """

    slot: Slot
    spec: RunSpec
    suggested: dict[str, Option] | None = None
