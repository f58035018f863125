"""Events of a running study, which its listener is called with."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..cell import Cell
from ..rundir.rows import Row
from ..specs.spec import StudySpec


@dataclass(frozen=True)
class StudyStarted:
    """The run directory is open and runs begin.

    Attributes:
        study: The study.
        directory: Its run directory.
        total: Runs of the whole study if every cell finds a winner.
        done: Runs that the directory already holds.
        cells: Number of cells, including those of reference rows.
        workers: Number of processes.
        left: Missing runs of each cell.
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
        rows: Rows of one task.
        done: Number of rows so far.
        total: Expected number of rows at the end.
    """

    rows: Sequence[Row]
    done: int
    total: int


@dataclass(frozen=True)
class CellFinished:
    """All runs of a cell are stored.

    Attributes:
        cell: The cell.
        winner: Number of the winning trial; None for reference rows and where every trial failed.
        confirmed: Mean objective of the confirmation runs; None if there are none.
        failures: Runs of the cell that are not ok.
        fresh: Whether any run of the cell was executed in this session.
        finished: Number of finished cells so far.
    """

    cell: Cell
    winner: int | None
    confirmed: float | None
    failures: int
    fresh: bool
    finished: int


@dataclass(frozen=True)
class StudyFinished:
    """All cells are finished and the tables are written.

    Attributes:
        directory: The run directory.
        rows: Number of rows of the results table.
        failures: Rows that are not ok.
        ran: Runs that were executed in this session.
        seconds: Duration of this session.
    """

    directory: Path
    rows: int
    failures: int
    ran: int
    seconds: float


Event = StudyStarted | RunsFinished | CellFinished | StudyFinished
Listener = Callable[[Event], None]
