"""What a study consists of: cells, the slots of their runs, and the jobs that fill them."""

from typing import NamedTuple

from ..bench.spec import Option, Phase, RunSpec


class Cell(NamedTuple):
    """Labels of a method, a dataset and a sampler; reference rows have a reference's label."""

    method: str
    dataset: str
    sampler: str

    @property
    def stem(self) -> str:
        """Beginning of the names of the cell's files."""
        return "-".join(self)


class Slot(NamedTuple):
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
        slot: Where its row belongs.
        spec: What to run.
        suggested: Optuna's parameters behind a trial, before the method made options of them.
    """

    slot: Slot
    spec: RunSpec
    suggested: dict[str, Option] | None = None
