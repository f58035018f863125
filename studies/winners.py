"""The winning configuration of a cell, as a study that runs it and nothing else."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..bench.spec import Option
from ..datasets.errors import UsageError, unknown
from ..methods.space import NONE
from .cell import Cell, Slot, restart_seed
from .engine import Engine
from .plan import Plan
from .progress import standing
from .rundir.read import read_rows, read_study
from .rundir.rows import Row
from .specs.entries import Entry, is_open
from .specs.open import by_table
from .specs.spec import StudySpec


def best(
    directory: str | Path,
    method: str,
    dataset: str,
    sampler: str | None = None,
    engine: Engine | None = None,
) -> StudySpec:
    """Make the study that repeats the confirmation runs of a cell's winner, without a search.

    Args:
        directory: A run directory.
        method: Label of the method.
        dataset: Label of the dataset.
        sampler: Label of the sampler (default: the one with the best confirmed mean). Of several
            restarts and searchers too the one with the best confirmed mean is taken.
        engine: Where metrics are found (default: the real one).

    Raises:
        UsageError: It is not a run directory, a label is unknown, or there are no confirmation
            runs yet.
    """
    path = Path(directory)
    study = read_study(path)
    rows = standing(Plan(study, engine or Engine()), read_rows(path))
    cells = pick_cells(study, method, dataset, sampler)
    winner = best_cell(rows, cells, study.objective)
    if winner is None:
        raise UsageError(f"{method} has no confirmation runs on {dataset} in {str(path)!r} yet")
    number = confirmed(rows, winner, study.objective)[0].slot.trial
    trial = next((r for r in rows if r.slot == Slot(winner, "search", number, 0)), None)
    return _fixed(study, winner, trial)


def best_cell(rows: Sequence[Row], cells: Iterable[Cell], objective: str) -> Cell | None:
    """Find the cell with the best mean of its confirmation runs; None if none has any."""
    winners = {cell: ranked for cell in cells if (ranked := confirmed(rows, cell, objective))}
    return min(winners, key=lambda cell: _mean_loss(winners[cell], objective), default=None)


def pick_cells(
    study: StudySpec, method: str | None, dataset: str | None, sampler: str | None
) -> list[Cell]:
    """List the cells with these labels; without a label all match.

    Raises:
        UsageError: A label is not in the study; the nearest is suggested.
    """
    methods = _pick(study.methods, "method", method)
    datasets = _pick(study.datasets, "dataset", dataset)
    samplers = _pick(study.samplers, "sampler", sampler)
    return [
        Cell(m, d, s, restart, searcher)
        for m in methods
        for d in datasets
        for s in samplers
        for restart in range(study.search.restarts)
        for searcher in study.search.axis
    ]


def confirmed(rows: Iterable[Row], cell: Cell, objective: str) -> list[Row]:
    """List the confirmation runs of a cell that are ok, best objective first."""
    good = [
        row
        for row in rows
        if row.slot.cell == cell and row.slot.phase == "confirm" and row.result.state == "ok"
    ]
    return sorted(good, key=lambda row: (row.loss(objective), row.slot.replicate))


def _pick(entries: Iterable[Entry], kind: str, label: str | None) -> list[str]:
    labels = [entry.label for entry in entries]
    if label is None:
        return labels
    if label not in labels:
        raise unknown(f"{kind} in this study called", label, labels)
    return [label]


def _mean_loss(rows: Sequence[Row], objective: str) -> float:
    return sum(row.loss(objective) for row in rows) / len(rows)


def _fixed(study: StudySpec, cell: Cell, trial: Row | None) -> StudySpec:
    """The study of one cell, with the values of a trial in its open places."""
    method, sampler = _entry(study.methods, cell.method), _entry(study.samplers, cell.sampler)
    training, network = study.training, study.network
    if trial is not None and trial.suggested is not None:
        values = by_table(trial.suggested)
        method = _settled(method, values["method"])
        sampler = _settled(sampler, values["sampler"])
        training = training.with_values(values["training"])
        network = network.with_values(values["network"])
    return study.model_copy(
        update={
            "name": f"{study.name}-best-{cell.stem}"[:100],
            "seed": restart_seed(study.seed, cell.restart),
            "methods": (method,),
            "datasets": (_entry(study.datasets, cell.dataset),),
            "samplers": (sampler,),
            "network": network,
            "training": training,
            "search": study.search.model_copy(
                update={
                    "trials": 0,
                    "restarts": 1,
                    "sampler": study.search.sampler[:1],
                    **dict.fromkeys(("first", "warm", "require"), ()),
                }
            ),
        }
    )


def _settled(entry: Entry, values: dict[str, Option]) -> Entry:
    """An entry with values in its open places."""
    # A place without a value was on a branch of the space that the trial did not take.
    fixed = {name: value for name, value in entry.settings.items() if not is_open(value)}
    written = {name: NONE if value is None else value for name, value in values.items()}
    return entry.model_copy(update={"settings": fixed | written})


def _entry(entries: Iterable[Entry], label: str) -> Entry:
    return next(entry for entry in entries if entry.label == label)
