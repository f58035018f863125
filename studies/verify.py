"""Verify an entry of a board: replay random ranked rows and winners, and write the outcome."""

import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..bench.spec import RunResult
from ..datasets.errors import UsageError
from .archive import export, unpack
from .cell import Cell, Slot
from .certificate import Certificate
from .closed_in import ENTRY, ask
from .engine import Engine
from .execution.again import Again, run_again
from .integrity import Findings
from .outcome import LONGEST, MOST, Verification
from .plan import Plan
from .replay import ELSEWHERE, check, compare, is_made_here
from .rundir.artifacts import ArtifactFiles
from .rundir.files import refuse_links
from .rundir.read import STUDY, read_rows, read_study
from .rundir.rows import Row
from .rundir.strict import parse_json
from .rundir.versions import FORMAT_FILE
from .specs.spec import TRUTH, StudySpec
from .stored_files import check_directory
from .trust import Trusted, identified, trusted_of
from .unread import Unread, plan_of
from .winners import confirmed

# Rows that scores are measured by: where they are doctored, so is every score.
_SCALE = (TRUTH, "untrained")

AGAIN = "again"
"""Folder of what running rows again gives, beside the entry."""


def verify(
    source: str | Path,
    *,
    rows: int = 5,
    seed: int | None = None,
    budget: float = 3600,
    trust: bool = False,
    engine: Engine | None = None,
) -> Verification:
    """Replay random ranked rows of an entry and its winners, in sandboxed processes.

    Args:
        source: An archive, or a run directory, which is verified as the archive of it.
        rows: Number of ranked rows to draw.
        seed: Seed of the draw (default: random).
        budget: Seconds after which no further run begins.
        trust: Trust code of the entry: it may run in every process, sandboxed or not.
        engine: Executes runs in this process (default: the real one, in processes of its own).

    Raises:
        UsageError: The source is no entry, has no rows that can be run again, or contains
            untrusted code where no sandbox is available.
    """
    path, seed = Path(source), secrets.randbelow(2**32) if seed is None else seed
    for option, value in {"rows": rows, "budget": budget}.items():
        if not value > 0:
            raise UsageError(f"--{option} {value:g}: must be above 0")
    with tempfile.TemporaryDirectory(prefix="scorebench-") as temporary:
        folder = Path(temporary)
        archive, study = open_entry(path, folder, engine)
        stored = read_rows(folder / ENTRY)
        ranked = [row for row in stored if row.slot.phase == "confirm"]
        drawn, winners = _drawn(ranked, seed)[:rows], _winners(ranked, study.objective)
        references = [row for row in stored if row.slot.phase == "reference"]
        scale = [row for row in references if row.slot.cell.method in _SCALE]
        chosen = [*scale, *drawn, *winners, *references]
        known = [*map(identified, study.code)] if trust else trusted_of(study.code)
        try:
            told, closed = _told_of(folder, chosen, budget, known, engine)
            today = datetime.now(UTC).date().isoformat()
            outcome = Verification(
                **told, archive=sha256(archive).hexdigest(), study=study.name,
                entry=name_of(path), date=today, closed=tuple(closed),
                machine=(engine or Engine()).environment()[1], code=code_of(study), seed=seed,
                trusted=tuple(item.name for item in known),
                ranked=len(ranked), asked=len(drawn),
                drawn=sum(row.name in told["runs"] for row in drawn), cells=len(winners),
                winners=sum(row.name in told["runs"] for row in winners), budget=budget,
            )  # fmt: skip
        except (UsageError, ValueError, KeyError, TypeError) as error:
            why = (
                str(error)
                if isinstance(error, UsageError)
                else "its process gave an invalid answer"
            )
            raise UsageError(f"{str(source)!r} cannot be verified: {why}") from error
    if not (outcome.drawn or outcome.problems):
        why = "; ".join(outcome.unchecked)[:500] or "the budget was too small: raise --budget"
        raise UsageError(f"{str(source)!r} cannot be verified: no random row was run: {why}")
    return outcome


def _told_of(
    folder: Path,
    chosen: Sequence[Row],
    budget: float,
    known: Sequence[Trusted],
    engine: Engine | None,
) -> tuple[dict[str, Any], list[str]]:
    """Run chosen rows of an entry again, and compare them.

    Returns:
        Fields of a ``Verification``, and the sandbox of the processes.
    """

    def call(function: Callable[..., dict[str, Any]], **given: Any) -> Any:
        if engine is not None:
            return function(folder / ENTRY, engine=engine, **given), []
        return ask(f"studies.verify:{function.__name__}", folder, 2 * budget, known, given)

    end = time.monotonic() + budget
    (folder / AGAIN).mkdir()
    slots = [[*row.slot.cell, *row.slot[1:]] for row in chosen]
    begun, closed = call(begin, slots=slots, seconds=budget)
    theirs = list({row.name: row for row in chosen if row.name in begun["theirs"]}.values())
    again: list[str] = begun["again"]
    unchecked: list[str] = []
    if theirs:
        left = max(end - time.monotonic(), 0.0)
        given, unchecked, closed = _run_apart(folder, theirs, left, known)
        again += given
    told, _ = call(finish, again=again)
    return {**told, "unchecked": _told([*told["unchecked"], *unchecked])}, closed


def _run_apart(
    folder: Path, rows: Sequence[Row], seconds: float, known: Sequence[Trusted]
) -> tuple[list[str], list[str], list[str]]:
    """Run rows of untrusted code in a process without the results.

    Returns:
        The rows with what the code gave, what could not be run, and its sandbox.
    """
    room, files = folder / "theirs", ArtifactFiles(folder / AGAIN)
    (room / ENTRY).mkdir(parents=True)
    for name in (STUDY, FORMAT_FILE):
        shutil.copyfile(folder / ENTRY / name, room / ENTRY / name)
    blank = RunResult(key="none", state="ok")
    jobs = [Row(row.slot, row.spec, blank, "none").to_json() for row in rows]
    request = {"jobs": jobs, "seconds": seconds}
    told, closed = ask("studies.verify:run", room, seconds, known, request, strange=True)
    # A link would pass off stored samples as new ones.
    for place in filter(Path.is_dir, (room, room / AGAIN)):
        refuse_links(place)
    asked, again = {row.slot: row for row in rows}, []
    for given in (Row.from_data(parse_json(text)) for text in told["again"]):
        row = replace(asked[given.slot], result=given.result)
        files.take(row, room / AGAIN)
        again.append(row.to_json())
    return again, list(map(str, told["unchecked"])), closed


def open_entry(source: Path, folder: Path, engine: Engine | None = None) -> tuple[bytes, StudySpec]:
    """Unpack an entry into ``entry`` in a folder; return its archive and its study.

    A run directory is taken as the archive of it. What runs in the folder later may change it.

    Raises:
        UsageError: It is no entry.
    """
    archive = source if source.is_file() else export(source, folder / "entry.zip", engine)
    (folder / ENTRY).mkdir()
    study = read_study(unpack(archive, folder / ENTRY))
    return archive.read_bytes(), study


def name_of(source: Path) -> str:
    """Name an entry after its archive or run directory."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", source.resolve().name.removesuffix(".zip"))[:100]


def code_of(study: StudySpec) -> dict[str, str]:
    """Return hashes of the code that a study brings, as of ``trust``, by file or module."""
    return {item.name: item.digest for item in map(identified, study.code)}


def _drawn(rows: Sequence[Row], seed: int) -> list[Row]:
    """Shuffle rows: their order depends on the seed and the content of each."""
    return sorted(rows, key=lambda row: sha256(f"{seed}\n{row.to_json()}".encode()).digest())


def _winners(ranked: Sequence[Row], objective: str) -> list[Row]:
    """Pick the best row of each cell, whose model is stored; the best of each dataset come first.

    So they have run if the budget ends early.
    """
    cells = dict.fromkeys(row.slot.cell for row in ranked)
    best = [row for cell in cells for row in confirmed(ranked, cell, objective)[:1]]

    def place(row: Row) -> int:
        rivals = [other for other in best if other.slot.cell.dataset == row.slot.cell.dataset]
        return sum(other.loss(objective) < row.loss(objective) for other in rivals)

    return sorted(best, key=place)


def begin(
    entry: Path, slots: Sequence[Sequence[Any]], seconds: float, engine: Engine | None = None
) -> dict[str, Any]:
    """Check which rows of an unpacked entry fit its study; run them, or name those of its code."""
    plan = plan_of(entry, engine)
    able = {row.slot: row for row in check(entry, plan).able}
    wanted = dict.fromkeys(Slot(Cell(*slot[:5]), *slot[5:]) for slot in slots)
    rows = [able[slot] for slot in wanted if slot in able]
    own = plan.engine.own if isinstance(plan.engine, Unread) else ()
    theirs = [row for row in rows if row.run.method.name in own]
    again = _run(plan, [row for row in rows if row not in theirs], seconds, entry)
    return {"again": again, "theirs": [row.name for row in theirs]}


def run(entry: Path, jobs: Sequence[str], seconds: float) -> dict[str, Any]:
    """Run rows whose results are left out, by code that may do anything here."""
    plan = Plan(read_study(entry), Engine())
    (entry.parent / AGAIN).mkdir()
    rows = [Row.from_data(parse_json(job)) for job in jobs]
    made = [row for row in rows if is_made_here(row, plan)]
    elsewhere = [f"{row.name}: {ELSEWHERE}" for row in rows if row not in made]
    return {"again": _run(plan, made, seconds, entry), "unchecked": elsewhere}


def _run(plan: Plan, rows: Sequence[Row], seconds: float, entry: Path) -> list[str]:
    """Run rows in order, none after so many seconds; return them with their new results."""
    end, files = time.monotonic() + seconds, ArtifactFiles(entry.parent / AGAIN)
    again = []
    for row in rows:
        if time.monotonic() < end:
            result = run_again(plan, [row], 1, files)[row.slot].result
            again.append(replace(row, result=result).to_json())
    return again


def finish(entry: Path, again: Sequence[str], engine: Engine | None = None) -> dict[str, Any]:
    """Compare the rows of an unpacked entry with those that were run again."""
    plan = plan_of(entry, engine)
    doubts, checked = check_directory(entry, plan), check(entry, plan)
    rows = [Row.from_data(parse_json(text)) for text in again]
    files = ArtifactFiles(entry.parent / AGAIN)
    if isinstance(plan.engine, Unread):
        for row in rows:
            if row.run.method.name in plan.engine.own:
                _score_again(row, plan, files, checked.found)
    here = plan.engine.environment()[1]
    replay = compare(checked, {row.slot: Again(row.result, here) for row in rows}, files)
    certificate = Certificate(plan.study.name, None, replay)
    return {
        "runs": {run.row.name: run.verdict for run in replay.runs},
        "summary": f"{certificate.summary} {certificate.explanation}".strip()[:LONGEST],
        "changed": sorted({c.cause for c in certificate.changed if c.cause}),
        "problems": _told([*doubts.problems, *replay.problems]),
        "unchecked": _told([*doubts.open, *replay.open]),
    }


def _score_again(row: Row, plan: Plan, files: ArtifactFiles, found: Findings) -> None:
    """Compare the metrics that code of an entry gave with those of the samples it gave."""
    if row.result.key != plan.engine.key(row.run):
        found.unchecked(row.name, "its key belongs to other code")
    if not row.ok:
        return
    samples = files.samples(row)
    if samples is None or len(samples) != row.run.evaluation.samples:
        found.problem(row.name, "its code returns no samples")
        return
    metrics = plan.engine.measure(row.run, samples)
    for name, value in metrics.items():
        if row.result.metrics.get(name) != value:
            found.problem(row.name, f"{name} is not that of the samples of its code")
    for name in (plan.study.objective, *plan.study.costs):
        if name not in metrics:
            found.unchecked(row.name, f"{name} comes from its own code only")


def _told(sentences: Sequence[str]) -> list[str]:
    """Leave out repetitions, and what is more than an outcome holds."""
    return list(dict.fromkeys(sentence[:LONGEST] for sentence in sentences))[:MOST]
