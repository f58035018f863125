"""The winning configuration of a cell, as a study that runs it and nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..bench.spec import Option
from ..datasets.errors import UsageError, unknown
from .cell import Cell, Slot
from .engine import Engine
from .plan import Plan
from .progress import standing
from .rundir.read import read_rows, read_study
from .rundir.rows import Row
from .specs.entries import Choices, Entry, Range
from .specs.space import LEARNING_RATE
from .specs.spec import StudySpec
from .specs.sweep import SAMPLER


def best(
    directory: str | Path,
    method: str,
    dataset: str,
    sampler: str | None = None,
    engine: Engine | None = None,
) -> StudySpec:
    """The study that repeats the confirmed runs of a cell's winner, with nothing left to search.

    Args:
        directory: A run directory.
        method: Label of the method.
        dataset: Label of the dataset.
        sampler: Label of the sampler; the one with the best confirmed mean if not given.
        engine: Where metrics are found; the real one unless given.

    Raises:
        UsageError: It is not a run directory, a label is unknown, or nothing is confirmed yet.
    """
    path = Path(directory)
    engine = engine or Engine()
    study = read_study(path)
    rows = standing(Plan(study, engine), read_rows(path))
    found = {
        cell: ranked
        for cell in pick_cells(study, method, dataset, sampler)
        if (ranked := confirmed(rows, cell, study.objective))
    }
    if not found:
        raise UsageError(f"{method} has no confirmed runs on {dataset} in {str(path)!r} yet")
    cell = min(found, key=lambda c: _mean_loss(found[c], study.objective))
    trial = found[cell][0].slot.trial
    tried = next((r for r in rows if r.slot == Slot(cell, "search", trial, 0)), None)
    return _fixed(study, cell, tried)


def pick_cells(
    study: StudySpec, method: str | None, dataset: str | None, sampler: str | None
) -> list[Cell]:
    """The cells with these labels; a label that is not given matches all.

    Raises:
        UsageError: A label is not in the study; the nearest is suggested.
    """
    methods = _pick(study.methods, "method", method)
    datasets = _pick(study.datasets, "dataset", dataset)
    samplers = _pick(study.samplers, "sampler", sampler)
    return [Cell(m, d, s) for m in methods for d in datasets for s in samplers]


def confirmed(rows: Iterable[Row], cell: Cell, objective: str) -> list[Row]:
    """The confirmed runs of a cell that are ok, best objective first."""
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


def _fixed(study: StudySpec, cell: Cell, tried: Row | None) -> StudySpec:
    method = _entry(study.methods, cell.method)
    sampler = _entry(study.samplers, cell.sampler)
    training, network = study.training, study.network
    search = study.search.model_copy(update={"trials": 0})
    if tried is not None and tried.suggested is not None:
        found = dict(tried.suggested)
        rate = found.pop(LEARNING_RATE, None)
        # What stays open was on a branch of the space that the winner did not take.
        kept = {k: v for k, v in method.settings.items() if not isinstance(v, Range | Choices)}
        chosen = {name: found.pop(name) for name in list(found) if "." in name}
        method = method.model_copy(update={"settings": kept | found})
        if rate is not None:
            training = training.model_copy(update={"learning_rate": rate})
        training = training.model_copy(update=_of("training", chosen))
        network = network.model_copy(update=_of("network", chosen))
        decided = sampler.settings | _of(SAMPLER, chosen)
        sampler = sampler.model_copy(update={"settings": decided})
    return study.model_copy(
        update={
            "name": f"{study.name}-best-{'-'.join(cell)}"[:100],
            "methods": (method,),
            "datasets": (_entry(study.datasets, cell.dataset),),
            "samplers": (sampler,),
            "network": network,
            "training": training,
            "swept": {},
            "search": search,
        }
    )


def _of(table: str, chosen: Mapping[str, Option]) -> dict[str, Option]:
    """What was chosen for the fields of one table."""
    found = (name.partition(".") for name in chosen)
    return {field: chosen[f"{head}.{field}"] for head, _, field in found if head == table}


def _entry(entries: Iterable[Entry], label: str) -> Entry:
    return next(entry for entry in entries if entry.label == label)
