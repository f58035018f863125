"""What a running study tells whoever listens. Nothing here prints."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..cell import Cell
from ..rundir.rows import Row
from ..specs.spec import StudySpec


@dataclass(frozen=True)
class StudyStarted:
    """The run directory is open and work begins.

    Attributes:
        study: What is run.
        directory: Where it is kept.
        total: Runs that the whole study takes if every cell finds a winner.
        done: Those that were already there.
        cells: Number of cells, those of the reference rows included.
        workers: Processes that run them.
        left: Runs that each cell has still to do.
        trained: The cells that are not references.
    """

    study: StudySpec
    directory: Path
    total: int
    done: int
    cells: int
    workers: int
    left: Mapping[Cell, int]
    trained: Collection[Cell]


@dataclass(frozen=True)
class RunsFinished:
    """Rows were stored.

    Attributes:
        rows: The new ones; they travelled as one task.
        done: Rows there are now.
        total: Rows there will be, as far as is known.
    """

    rows: Sequence[Row]
    done: int
    total: int


@dataclass(frozen=True)
class CellFinished:
    """Nothing is left to do in a cell.

    Attributes:
        cell: Which.
        winner: Number of the winning trial; None for reference rows and where every trial failed.
        confirmed: Mean objective of the confirmed runs, None without any.
        failures: Runs of the cell that are not ok.
        fresh: False if all of it was there before.
        finished: Cells finished so far.
    """

    cell: Cell
    winner: int | None
    confirmed: float | None
    failures: int
    fresh: bool
    finished: int


@dataclass(frozen=True)
class StudyFinished:
    """Everything is done and the tables are written.

    Attributes:
        directory: Where they are.
        rows: Rows of the results table.
        failures: Those that are not ok.
        ran: Runs that this call carried out.
        seconds: Time it took.
    """

    directory: Path
    rows: int
    failures: int
    ran: int
    seconds: float


Event = StudyStarted | RunsFinished | CellFinished | StudyFinished
Listener = Callable[[Event], None]
