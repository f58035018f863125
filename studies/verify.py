"""Verify an entry of a board: replay a random part of its ranked rows, and say what that proves."""

import json
import math
import re
import secrets
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from ..bench.spec import Frozen
from ..datasets.errors import UsageError, in_one_line
from .archive import export, unpack
from .cell import Cell, Slot
from .certificate import Certificate
from .closed_in import ENTRY, ask
from .comparison import VERDICTS
from .engine import Engine
from .plan import Plan
from .replay import Asked, replayed
from .rundir.read import read_rows, read_study
from .rundir.rows import Row
from .rundir.strict import parse_json, read_text
from .rundir.versions import OUTCOME_FORMAT, too_new
from .specs.spec import TRUTH, StudySpec
from .stored_files import check_directory
from .trust import identified, untrusted
from .winners import confirmed

SHARES = (0.01, 0.05, 0.1, 0.25, 0.5)
"""Shares of doctored rows whose chance to be met an outcome states."""

Verdict = Literal["identical", "within tolerance", "differs"]
_Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_LONGEST, _MOST = 2000, 1000
_Text = Annotated[str, Field(max_length=_LONGEST)]
_Texts = Annotated[tuple[_Text, ...], Field(max_length=_MOST)]
_Count = Annotated[int, Field(ge=0)]


class Verification(Frozen):
    """What a verification found, as it is kept beside a board.

    Attributes:
        archive: SHA-256 of the archive that was verified.
        entry: Its name.
        study: Name of its study.
        date: Day, in universal time.
        machine: Software and processor, as in ``environment.json``.
        closed: How the process was closed in, a sentence each; empty if it was not.
        code: Hashes of the code that the entry brings, as of ``trust``, by file or module.
        seed: Decides which rows were drawn.
        ranked: Ranked rows of the entry; of these ``asked`` were to be drawn, and ``drawn`` ran.
        cells: Winners, one per method, dataset, sampler and restart; of these ``winners`` ran.
        budget: Seconds after which no run began.
        runs: The verdict on each row that ran, by its name.
        summary: How much was reproduced.
        problems: What does not fit, a sentence each.
        unchecked: What could not be checked, a sentence each.
    """

    archive: _Hash
    entry: _Text
    study: _Text
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    machine: dict[str, Any]
    closed: _Texts
    code: dict[str, _Hash]
    seed: _Count
    ranked: _Count
    asked: _Count
    drawn: _Count
    cells: _Count
    winners: _Count
    budget: float
    runs: dict[str, Verdict]
    summary: _Text
    problems: _Texts
    unchecked: _Texts

    @property
    def verdict(self) -> Verdict:
        """The worst verdict on all that was checked."""
        verdicts: list[Verdict] = ["identical", *self.runs.values()]
        return "differs" if self.problems else max(verdicts, key=VERDICTS.index)

    @property
    def headline(self) -> str:
        """What was found, in a few words."""
        if self.verdict == "differs":
            return "refuted: it does not replay"
        doubts = f", {len(self.unchecked)} not checked" if self.unchecked else ""
        return f"replayed {self.drawn} of {self.asked}, {self.verdict}{doubts}"

    @property
    def caught(self) -> dict[str, float]:
        """Chance that the random rows would have met a doctored one, by the share of such rows."""
        return {f"{share:g}": chance(share, self.ranked, self.drawn) for share in SHARES}

    @property
    def sentences(self) -> list[str]:
        """What was done, and what it proves."""
        caught = (f"{100 * float(f):.0f} %: {100 * p:.0f} %" for f, p in self.caught.items())
        own = (
            f"It brings code of its own ({', '.join(self.code)}), which could answer in place of "
            "scorebench: who relies on the outcome has to read it."
        )
        return [
            f"{self.drawn} of {self.ranked} ranked rows, drawn at random (seed {self.seed}), and "
            f"{self.winners} of {self.cells} winners were run again. {self.summary}",
            "Chance that the random rows would have met a doctored one, by the share of ranked "
            f"rows that are doctored: {', '.join(caught)}.",
            *([own] if self.code else []),
            f"Confinement: {'; '.join(self.closed) or 'none'}.",
        ]

    def to_json(self) -> str:
        """Write the outcome, and what follows from it, as strict JSON."""
        more = {"outcome": OUTCOME_FORMAT, "verdict": self.verdict, "caught": self.caught}
        return json.dumps({**more, **self.model_dump()}, indent=1, allow_nan=False) + "\n"


def read_outcome(path: Path) -> Verification:
    """Read an outcome that ``Verification.to_json`` wrote.

    Raises:
        UsageError: The file is none, is of a newer format, or cannot be read.
    """
    try:
        data = dict(parse_json(read_text(path)))
        if type(data["outcome"]) is not int or data["outcome"] > OUTCOME_FORMAT:
            raise too_new(path, data["outcome"], OUTCOME_FORMAT)
        return Verification.model_validate({name: data[name] for name in Verification.model_fields})
    except UsageError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = in_one_line(error, 200)
        raise UsageError(f"{str(path)!r} is not what `scorebench verify` wrote: {why}") from error


def chance(share: float, rows: int, drawn: int) -> float:
    """Give the probability that drawing rows without replacement meets one of a doctored share.

    Args:
        share: Share of doctored rows, rounded up to whole rows.
        rows: Number of rows.
        drawn: Number of rows that are drawn. Among many rows it is 1 − (1 − share)^drawn.
    """
    return 1 - math.comb(rows - math.ceil(share * rows), drawn) / math.comb(rows, drawn)


def verify(
    source: str | Path,
    *,
    rows: int = 5,
    seed: int | None = None,
    budget: float = 3600,
    trust: bool = False,
    engine: Engine | None = None,
) -> Verification:
    """Replay random ranked rows of an entry and its winners, in a process that is closed in.

    Args:
        source: An archive, or a run directory, which is verified as the archive of it.
        rows: Number of ranked rows to draw.
        seed: Decides which; by default nobody can know it before.
        budget: Seconds after which no further run begins.
        trust: Run code of the entry even if it cannot be closed in.
        engine: Executes runs in this process (default: the real one, in a process of its own).

    Raises:
        UsageError: The source is no entry, holds nothing that can be run again, or brings code
            that can neither be closed in nor is trusted.
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
        chosen = [*(row for row in stored if row.slot.cell.method == TRUTH), *drawn, *winners]
        request = {"slots": [[*r.slot.cell, *r.slot[1:]] for r in chosen], "seconds": budget}
        try:
            if engine is None:
                trusted = trust or not untrusted(study.code)
                told, closed = ask("studies.verify:work", folder, 2 * budget, trusted, request)
            else:
                told, closed = work(folder / ENTRY, engine=engine, **request), []  # type: ignore[arg-type]
            # The process may name no other rows.
            runs = {row.name: told["runs"][row.name] for row in chosen if row.name in told["runs"]}
            today = datetime.now(UTC).date().isoformat()
            outcome = Verification(
                **{**told, "runs": runs}, archive=sha256(archive).hexdigest(), study=study.name,
                entry=name_of(path), date=today, closed=tuple(closed),
                machine=(engine or Engine()).environment()[1], code=code_of(study), seed=seed,
                ranked=len(ranked), asked=len(drawn), drawn=sum(r.name in runs for r in drawn),
                cells=len(winners), winners=sum(r.name in runs for r in winners), budget=budget,
            )  # fmt: skip
        except (UsageError, ValidationError, KeyError, TypeError) as error:
            why = str(error) if isinstance(error, UsageError) else "it answered in another form"
            raise UsageError(f"{str(source)!r} cannot be verified: {why}") from error
    if not (outcome.drawn or outcome.problems):
        why = "; ".join(outcome.unchecked)[:500] or "the budget was too small"
        raise UsageError(f"{str(source)!r} cannot be verified: no random row was run: {why}")
    return outcome


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


def work(
    entry: Path, slots: Sequence[Sequence[Any]], seconds: float, engine: Engine | None = None
) -> dict[str, Any]:
    """Check an unpacked entry and run rows of it again: what the process does that is closed in."""
    engine, study = engine or Engine(), read_study(entry)
    wanted = [Slot(Cell(*slot[:5]), *slot[5:]) for slot in slots]
    doubts = check_directory(entry, Plan(study, engine))
    replay = replayed(entry, (None, None, None), None, 1, engine, Asked(wanted, seconds))
    certificate = Certificate(study.name, None, replay)
    return {
        "runs": {run.row.name: run.verdict for run in replay.runs},
        "summary": f"{certificate.summary} {certificate.explanation}".strip()[:_LONGEST],
        "problems": _told([*doubts.problems, *replay.problems]),
        "unchecked": _told([*doubts.open, *replay.open]),
    }


def _told(sentences: Sequence[str]) -> list[str]:
    """Leave out repetitions, and what is more than an outcome holds."""
    return list(dict.fromkeys(sentence[:_LONGEST] for sentence in sentences))[:_MOST]
