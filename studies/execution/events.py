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

    The directory holds ``done`` of the ``total`` runs that the study has if every cell finds a
    winner; ``left`` are missing, by cell. ``cells`` counts references too, ``trained`` lists the
    others. ``warnings`` say in what the study exceeds this machine, ``notes`` what its data are.
    """

    study: StudySpec
    directory: Path
    total: int
    done: int
    cells: int
    workers: int
    left: Mapping[Cell, int]
    trained: Collection[Cell]
    warnings: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class RunsFinished:
    """The rows of a task were stored: ``done`` rows so far of an expected ``total``."""

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

    ``rows`` and ``failures``, rows that are not ok, are those of the table; ``ran``, the runs that
    were executed, and ``seconds`` those of this session.
    """

    directory: Path
    rows: int
    failures: int
    ran: int
    seconds: float


@dataclass(frozen=True)
class ReportStep:
    """A step of the report begins, after ``done`` of ``total``; of unknown many if that is 0."""

    doing: str
    done: int
    total: int


Event = StudyStarted | RunsFinished | CellFinished | StudyFinished | ReportStep
Listener = Callable[[Event], None]
