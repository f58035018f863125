"""Verify an entry of a board: replay a random part of its ranked rows, and say what that proves."""

import json
import math
import secrets
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from ..bench.plugins import PluginFile, executed_by_import
from ..bench.spec import Frozen
from ..datasets.errors import UsageError, in_one_line
from .archive import digest_of, export, unpack
from .cell import Cell, Slot
from .certificate import Certificate
from .closed_in import ENTRY, Answer, ask
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
from .trust import untrusted
from .winners import confirmed

SHARES = (0.01, 0.05, 0.1, 0.25, 0.5)
"""Shares of doctored rows whose chance to be caught an outcome states."""

Verdict = Literal["identical", "within tolerance", "differs"]
_Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0)]
_Text = Annotated[str, Field(max_length=2000)]
_Texts = Annotated[tuple[_Text, ...], Field(max_length=1000)]


class Found(Frozen):
    """What the replay of an entry gave, as its process says.

    Attributes:
        runs: The verdict on each row that ran, by its name.
        summary: How many numbers were reproduced.
        explanation: Changes of code or machine that explain differences; may be empty.
        problems: What does not fit, a sentence each.
        unchecked: What could not be checked, a sentence each.
    """

    runs: dict[str, Verdict]
    summary: _Text
    explanation: _Text
    problems: _Texts
    unchecked: _Texts

    @property
    def verdict(self) -> Verdict:
        """The worst verdict on all that was checked."""
        verdicts: list[Verdict] = ["identical", *self.runs.values()]
        return "differs" if self.problems else max(verdicts, key=VERDICTS.index)


class Outcome(Found):
    """What a verification found, as it is kept beside a board.

    Attributes:
        archive: SHA-256 of the archive that was verified.
        entry: Name of its file.
        study: Name of the study.
        date: Day, in universal time.
        machine: Software and processor, as in ``environment.json``.
        confinement: How the process was closed in, a sentence each; empty if it was not.
        code: SHA-256 of the code that the entry brings, by file or module.
        seed: Decides which rows were drawn.
        ranked: Ranked rows of the entry; of these ``asked`` were to be drawn, and ``drawn`` ran.
        cells: Winners, one per method, dataset, sampler and restart; of these ``winners`` ran.
        budget: Seconds after which no run began.
    """

    archive: _Hash
    entry: Annotated[str, Field(max_length=200)]
    study: Annotated[str, Field(max_length=100)]
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    machine: dict[str, Any]
    confinement: _Texts
    code: dict[str, _Hash]
    seed: _Count
    ranked: _Count
    asked: _Count
    drawn: _Count
    cells: _Count
    winners: _Count
    budget: float

    def caught(self, share: float) -> float:
        """Give the probability that the random rows would have met one of a doctored share."""
        return chance(share, self.ranked, self.drawn)

    @property
    def headline(self) -> str:
        """What was found, in a few words."""
        if self.verdict == "differs":
            return "refuted: it does not replay"
        doubts = f", {len(self.unchecked)} not checked" if self.unchecked else ""
        return f"replayed {self.drawn} of {self.asked}, {self.verdict}{doubts}"

    @property
    def sentences(self) -> list[str]:
        """What was done, and what it proves."""
        chances = ", ".join(
            f"{100 * share:.0f} %: {100 * self.caught(share):.0f} %" for share in SHARES
        )
        said = [
            f"{self.drawn} of {self.ranked} ranked rows, drawn at random (seed {self.seed}), and "
            f"{self.winners} of {self.cells} winners were run again: {self.verdict}.",
            self.summary,
            self.explanation,
            "Chance that the random rows would have met a doctored one, by the share of ranked "
            f"rows that are doctored: {chances}.",
        ]
        if self.code:
            said.append(
                f"The entry brings code of its own ({', '.join(self.code)}), which could answer in "
                "place of scorebench: who relies on the outcome has to read it."
            )
        how = self.confinement or ("the process was not closed in",)
        return [*filter(None, said), f"Confinement: {'; '.join(how)}."]

    def to_json(self) -> str:
        """Write the outcome as strict JSON."""
        chances = {f"{share:g}": self.caught(share) for share in SHARES}
        data = {"outcome": OUTCOME_FORMAT, "verdict": self.verdict, **self.model_dump(mode="json")}
        return json.dumps({**data, "caught": chances}, indent=1, allow_nan=False) + "\n"


def read_outcome(path: Path) -> Outcome:
    """Read an outcome that ``Outcome.to_json`` wrote.

    Raises:
        UsageError: The file is none, is of a newer format, or cannot be read.
    """
    try:
        data = dict(parse_json(read_text(path)))
        version = data.pop("outcome")
        if type(version) is not int or version > OUTCOME_FORMAT:
            raise too_new(path, version, OUTCOME_FORMAT)
        # What follows from the rest is for readers of the file.
        given = {name: data[name] for name in Outcome.model_fields}
        return Outcome.model_validate(given)
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
    honest = rows - math.ceil(share * rows)
    return 1 - math.comb(honest, drawn) / math.comb(rows, drawn)


def verify(
    source: str | Path,
    *,
    rows: int = 5,
    seed: int | None = None,
    budget: float = 3600,
    trust: bool = False,
    engine: Engine | None = None,
) -> Outcome:
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
    path = Path(source)
    for option, value in {"rows": rows, "budget": budget}.items():
        if not value > 0:
            raise UsageError(f"--{option} {value:g}: must be above 0")
    with tempfile.TemporaryDirectory(prefix="scorebench-") as temporary:
        folder = Path(temporary)
        archive = path if path.is_file() else export(path, folder / "entry.zip", engine)
        entry = folder / ENTRY
        entry.mkdir()
        study = read_study(unpack(archive, entry))
        draw = _draw(
            study, read_rows(entry), rows, secrets.randbelow(2**32) if seed is None else seed
        )
        request: dict[str, Any] = {"slots": draw.slots, "seconds": budget}
        try:
            if engine is None:
                trusted = trust or not untrusted(study.code)
                answer = ask("studies.verify:work", folder, 2 * budget, trusted, request)
            else:
                answer = Answer(work(entry, engine=engine, **request), ())
            found = Found.model_validate(answer.value)
        except (UsageError, ValidationError) as error:
            raise UsageError(f"{str(source)!r} cannot be verified: {error}") from error
        return Outcome(
            **_counted(draw, found),
            archive=digest_of(archive),
            entry=f"{path.resolve().stem}.zip"[-200:],
            study=study.name,
            date=datetime.now(UTC).date().isoformat(),
            machine=(engine or Engine()).environment()[1],
            confinement=answer.confinement,
            code=code_of(study),
            budget=budget,
        )


def code_of(study: StudySpec) -> dict[str, str]:
    """Return the SHA-256 of the code that a study brings or names, by file or module."""
    texts = {
        item.file if isinstance(item, PluginFile) else item: item.code.encode("utf-8", "replace")
        if isinstance(item, PluginFile)
        else executed_by_import(item)
        for item in study.code
    }
    return {name: sha256(text).hexdigest() for name, text in texts.items()}


class _Draw(NamedTuple):
    """Rows that are to be run again: floors, random ranked rows, and the best of each cell."""

    seed: int
    asked: int
    ranked: int
    floors: Sequence[Row]
    random: Sequence[Row]
    winners: Sequence[Row]

    @property
    def slots(self) -> list[list[Any]]:
        """Their slots in this order, as JSON."""
        rows = [*self.floors, *self.random, *self.winners]
        return [[*row.slot.cell, *row.slot[1:]] for row in rows]


def _draw(study: StudySpec, rows: Sequence[Row], asked: int, seed: int) -> _Draw:
    ranked = [row for row in rows if row.slot.phase == "confirm"]
    if not ranked:
        raise UsageError(f"the study {study.name!r} has no ranked rows yet: finish it first")
    drawn = sorted(ranked, key=lambda row: sha256(f"{seed}\n{row.to_json()}".encode()).digest())
    by_dataset: dict[str, list[Row]] = {}
    for cell in dict.fromkeys(row.slot.cell for row in ranked):
        if best := confirmed(ranked, cell, study.objective):
            by_dataset.setdefault(cell.dataset, []).append(best[0])
    # Where the budget ends early, the best of each dataset are done.
    places = [
        (place, row)
        for winners in by_dataset.values()
        for place, row in enumerate(sorted(winners, key=lambda row: row.loss(study.objective)))
    ]
    winners = [row for _, row in sorted(places, key=lambda pair: pair[0])]
    floors = [row for row in rows if row.slot.cell.method == TRUTH]
    return _Draw(seed, min(asked, len(ranked)), len(ranked), floors, drawn[:asked], winners)


def _counted(draw: _Draw, found: Found) -> dict[str, Any]:
    """Count the rows that ran; a process may name no others."""
    names = {row.name for row in (*draw.floors, *draw.random, *draw.winners)}
    drawn, winners = (
        sum(row.name in found.runs for row in rows) for rows in (draw.random, draw.winners)
    )
    if not drawn:
        why = "; ".join([*found.problems, *found.unchecked])[:500] or "the budget was too small"
        raise UsageError(f"none of its random rows could be run again: {why}")
    return {
        **found.model_dump(),
        "runs": {name: verdict for name, verdict in found.runs.items() if name in names},
        "seed": draw.seed,
        "ranked": draw.ranked,
        "asked": draw.asked,
        "drawn": drawn,
        "cells": len(draw.winners),
        "winners": winners,
    }


def work(
    entry: Path, slots: Sequence[Sequence[Any]], seconds: float, engine: Engine | None = None
) -> dict[str, Any]:
    """Check an unpacked entry and run rows of it again: what the process does that is closed in."""
    engine = engine or Engine()
    study = read_study(entry)
    wanted = [Slot(Cell(*slot[:5]), *slot[5:]) for slot in slots]
    doubts = check_directory(entry, Plan(study, engine))
    replay = replayed(entry, (None, None, None), None, 1, engine, Asked(wanted, seconds))
    certificate = Certificate(study.name, None, replay)
    return {
        "runs": {run.row.name: run.verdict for run in replay.runs},
        "summary": certificate.summary,
        "explanation": certificate.explanation,
        "problems": list(dict.fromkeys([*doubts.problems, *replay.problems])),
        "unchecked": list(dict.fromkeys([*doubts.open, *replay.open])),
    }
