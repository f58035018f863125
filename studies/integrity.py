"""Check without training whether the rows and files of a run directory are those of its study.

What remains is to train again: ``replay``.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..bench.spec import RunSpec
from ..datasets.errors import UsageError
from .cell import Cell, Job, Slot
from .plan import Plan
from .progress import by_cell, follow
from .rundir.changes import CodeParts, changed_parts
from .rundir.rows import Row
from .specs.spec import TRUTH, StudySpec

COSTS = ("train_evaluations", "sample_evaluations", "acceptance")
"""Numbers beside the metrics that a run gives again."""

_TIMES = ("train_seconds", "sample_seconds", "score_seconds")
_REPEAT = "repeat_error"
_BEYOND_NOISE = 10
"""A distance below minus this many times the largest noise floor is impossible."""

_FALSE_ALARMS = 1e-4
"""Probability that all floors are so near 0 that a value of two standard deviations is beyond."""


class Findings:
    """What a check found: problems, and what could not be checked, each with its places.

    Attributes:
        unfit: Slots of rows that the study does not lead to; they must not be run.
        unfinished: Cells that lack rows.
    """

    def __init__(self) -> None:
        self._problems: dict[str, list[str]] = {}
        self._open: dict[str, list[str]] = {}
        self.unfit: set[Slot] = set()
        self.unfinished: list[Cell] = []

    def problem(self, place: str, text: str) -> None:
        """Note what does not fit at a row or file."""
        self._problems.setdefault(text, []).append(place)

    def unchecked(self, place: str, text: str) -> None:
        """Note what could not be checked of a row or file."""
        self._open.setdefault(text, []).append(place)

    @property
    def problems(self) -> list[str]:
        """Everything that does not fit, a sentence for each kind."""
        return [_sentence(text, places) for text, places in self._problems.items()]

    @property
    def open(self) -> list[str]:
        """Everything that could not be checked, a sentence for each kind."""
        return [_sentence(text, places) for text, places in self._open.items()]


def _sentence(text: str, places: Sequence[str]) -> str:
    more = f" and {len(places) - 2} more" if len(places) > 2 else ""
    return f"{', '.join(places[:2])}{more}: {text}"


def check_rows(
    plan: Plan, cells: Iterable[tuple[Cell, list[Row]]], code: Mapping[str, CodeParts]
) -> Findings:
    """Hold all rows of a run directory against the plan of its study; none is run.

    Args:
        plan: The plan.
        cells: The rows of each cell, also those that do not count.
        code: Fingerprints of the code behind each cell, by its stem.
    """
    found = Findings()
    known, absent = frozenset(plan.cells), dict.fromkeys(plan.cells)
    for cell, stored in cells:
        absent.pop(cell, None)
        if cell not in known:
            _refuse(found, stored, "the study has no such cell")
            continue
        table = {row.slot: row for row in stored}
        state, jobs = follow(plan, cell, table)
        if not state.finished:
            found.unfinished.append(cell)
        asked = {job.slot: job for job in jobs}
        planned = [_planned(plan, row, asked, found) for row in stored]
        fitting = [(row, spec) for row, spec in zip(stored, planned, strict=True) if spec]
        _check_keys(plan, fitting, code.get(cell.stem), found)
        for row in stored:
            for text in _impossible(row, plan.study):
                found.problem(row.name, text)
            if further := _further(row, plan.study):
                found.unchecked(row.name, f"the study does not measure {', '.join(further)}")
    found.unfinished[:0] = absent
    return found


def _refuse(found: Findings, rows: Iterable[Row], text: str) -> None:
    for row in rows:
        found.problem(row.name, text)
        found.unfit.add(row.slot)


def _planned(plan: Plan, row: Row, asked: Mapping[Slot, Job], found: Findings) -> RunSpec | None:
    """Return the settings that the study leads to in a slot, if they are those of its row."""
    problem = None
    if _is_first(row):
        from .search import trial_of

        try:
            template = plan.template(row.slot.cell)
            spec = trial_of(template, row, [0.0] * (1 + len(plan.study.costs)))[0]
        except UsageError:
            spec, problem = None, "the study does not lead to its hyperparameters"
    else:
        # Rows of other finalists, from when the study was smaller, do not count.
        spec = asked[row.slot].spec if row.slot in asked else None
    if _is_beyond(row.slot, plan):
        problem = "the study has no such run"
    elif spec is not None and spec.canonical() != row.spec:
        spec = plan.engine.same(spec, row.run)
        problem = None if spec else "its settings are not those of the study"
    if problem is None:
        return spec
    _refuse(found, [row], problem)
    return None


def _is_beyond(slot: Slot, plan: Plan) -> bool:
    """Whether a slot is outside of the budgets of a study, which never shrink."""
    study, size = plan.study, plan.size(slot.cell)
    if slot.phase == "reference":
        return slot.replicate >= size.reference
    if size.reference or (slot.trial or 0) >= max(study.search.trials, 1):
        return True
    most = study.confirm.seeds if slot.phase == "confirm" else 1 + study.search.repeats
    return slot.replicate >= most or (slot.phase == "search" and not size.search)


def _check_keys(
    plan: Plan,
    rows: Sequence[tuple[Row, RunSpec]],
    before: CodeParts | None,
    found: Findings,
) -> None:
    """Compute the keys of rows again; where their code has changed that is impossible."""
    wrong = [row for row, spec in rows if plan.engine.key(spec) != row.result.key]
    if not wrong:
        return
    now = plan.engine.parts(rows[-1][1])
    changed = ["unknown code"] if before is None else changed_parts(before, now)
    for row in wrong:
        if changed:
            text = "the key cannot be checked, because it was made with other code"
            found.unchecked(row.name, f"{text} ({', '.join(changed)})")
        else:
            found.problem(row.name, "the key is not that of its settings and code")


def _impossible(row: Row, study: StudySpec) -> Iterator[str]:
    """Yield what no run can have given."""
    result, measured = row.result, study.evaluation.metrics
    if row.ok != (result.failure is None):
        yield f"it is {result.state}, " + ("with" if row.ok else "without") + " a failure"
    for name, value in result.metrics.items():
        if row.ok and math.isnan(value):
            yield f"{name} is not a number"
    if row.ok and (missing := [name for name in measured if name not in result.metrics]):
        yield f"it has no {', '.join(missing)}"
    for name, value in result.compute.items():
        whole = name not in COSTS[:2] or value == round(value, 0)
        most = 1 if name == "acceptance" else math.inf
        if name not in (*COSTS, *_TIMES, _REPEAT):
            yield f"no run has {name}"
        elif not (0 <= value <= most and value < math.inf and whole):
            yield f"{name} = {value:g} is impossible"
    if row.slot.cell.method == TRUTH and not all(map(math.isfinite, result.metrics.values())):
        yield "a floor is not finite"


def _further(row: Row, study: StudySpec) -> list[str]:
    """List metrics of a row that are not of its study."""
    labels = ("", "split", *(entry.label for entry in study.evaluation.also))
    parts = {name: name.rpartition(".") for name in row.result.metrics}
    measured = study.evaluation.metrics
    return [
        name
        for name, (label, _, metric) in parts.items()
        if metric not in measured or label not in labels
    ]


def check_environments(
    plan: Plan,
    rows: Iterable[Row],
    environments: Mapping[str, Mapping[str, object]],
    found: Findings,
) -> None:
    """Check that the name of each environment is the hash of its description."""
    used = {row.environment for row in rows}
    for name in sorted(used | environments.keys()):
        place = f"environment {name[:40]}"
        if name not in environments:
            found.unchecked(place, "it is not described")
        elif name not in used:
            found.unchecked(place, "no run was made in it")
        elif plan.engine.identity(environments[name]) != name:
            found.unchecked(place, "its name is not that of its description")


def check_proposals(plan: Plan, rows: Iterable[Row], found: Findings) -> None:
    """Ask the searcher again for every trial, given the stored values of those before it."""
    from optuna.storages import InMemoryStorage

    from .search import CellSearch

    for cell, stored in by_cell(rows).items():
        trials = sorted(filter(_is_first, stored), key=lambda row: row.slot.trial or 0)
        size = plan.study.search.batch
        if not trials:
            continue
        search = CellSearch(plan.template(cell), InMemoryStorage())
        for start in range(0, len(trials), size):
            batch = trials[start : start + size]
            try:
                proposed = search.ask(trials[:start], len(batch))
                same = [row.suggested for row in batch] == [job.suggested for job in proposed]
                why = search.otherwise
                if same:
                    search.tell(start, batch)
            except UsageError as error:
                same, why = False, str(error)
            if not same:
                found.unchecked(f"trial {start} of {cell.stem}", why)
                break


def _is_first(row: Row) -> bool:
    return row.slot.phase == "search" and row.slot.replicate == 0


def check_distances(
    rows: Iterable[Row], floors: Mapping[tuple[str, str], Sequence[float]], found: Findings
) -> None:
    """Note distances that are negative beyond their noise.

    Args:
        rows: Rows of a run directory.
        floors: Metrics of fresh samples of the truth, by dataset and metric, computed just now.
        found: Where problems are noted.
    """
    for row in rows:
        for name, value in row.result.metrics.items():
            known = floors.get((row.slot.cell.dataset, name.rpartition(".")[2]), ())
            if len(known) < 2 or not row.ok:
                continue
            # A few floors may all happen to be near 0: n normal numbers are within 2/f standard
            # deviations with probability (1.6/f)^n. That all are positive says nothing: they
            # share the truth that they are measured against.
            factor = max(_BEYOND_NOISE, 1.6 / _FALSE_ALARMS ** (1 / len(known)))
            if value < -factor * max(map(abs, known)):
                found.problem(row.name, f"{name} = {value:.6g} is below what noise explains")
