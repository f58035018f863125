"""The outcome of a verification, as stored beside a board, and its detection power."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ..bench.spec import Frozen
from ..datasets.errors import UsageError, in_one_line, visible
from .comparison import VERDICTS
from .rundir.strict import parse_json, read_text
from .rundir.versions import OUTCOME_FORMAT, too_new

SHARES = (0.01, 0.05, 0.1, 0.25, 0.5)
"""Shares of doctored rows for which an outcome states the chance of detection."""

Verdict = Literal["identical", "within tolerance", "differs"]
_Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
LONGEST, MOST = 2000, 1000
_Text = Annotated[str, Field(max_length=LONGEST)]
_Texts = Annotated[tuple[_Text, ...], Field(max_length=MOST)]
_Count = Annotated[int, Field(ge=0)]


class Verification(Frozen):
    """The outcome of a verification, as stored beside a board.

    Attributes:
        archive: SHA-256 of the archive that was verified.
        entry: Its name.
        study: Name of its study.
        date: Day, in universal time.
        machine: Software and processor, as in ``environment.json``.
        closed: The sandbox of the process, a sentence each; empty if there was none.
        code: Hashes of the code of the entry, as of ``trust``, by file or module.
        trusted: Names of the code that the verifier trusts.
        seed: Seed of the draw of rows.
        ranked: Ranked rows of the entry; of these ``asked`` were to be drawn, and ``drawn`` ran.
        cells: Winners, one per method, dataset, sampler and restart; of these ``winners`` ran.
        budget: Seconds after which no run began.
        runs: The verdict on each row that ran, by its name.
        summary: How much was reproduced.
        changed: What has changed since the rows were made and can change numbers.
        problems: Problems, a sentence each.
        unchecked: Checks that were not possible, a sentence each.
    """

    archive: _Hash
    entry: _Text
    study: _Text
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    machine: dict[str, Any]
    closed: _Texts
    code: dict[str, _Hash]
    trusted: _Texts
    seed: _Count
    ranked: _Count
    asked: _Count
    drawn: _Count
    cells: _Count
    winners: _Count
    budget: float
    runs: dict[str, Verdict]
    summary: _Text
    changed: _Texts
    problems: _Texts
    unchecked: _Texts

    @property
    def verdict(self) -> Verdict:
        """The worst verdict on all that was checked."""
        verdicts: list[Verdict] = ["identical", *self.runs.values()]
        return "differs" if self.problems else max(verdicts, key=VERDICTS.index)

    @property
    def headline(self) -> str:
        """The result in a few words."""
        failed = sum(verdict == "differs" for verdict in self.runs.values())
        if failed:
            since = f" ({self.changed[0]} changed)" if self.changed else ""
            return f"refuted: {failed} of {len(self.runs)} runs did not replay{since}"
        if self.problems:
            return f"refuted: {what_is_wrong(self.problems)}"
        doubts = f", {len(self.unchecked)} not checked" if self.unchecked else ""
        return f"replayed {self.drawn} of {self.asked}, {self.verdict}{doubts}"

    @property
    def caught(self) -> dict[str, float]:
        """Chance that the random rows include a doctored one, by the share of such rows."""
        return {f"{share:g}": chance(share, self.ranked, self.drawn) for share in SHARES}

    @property
    def sentences(self) -> list[str]:
        """What was run, and the detection power."""
        caught = (f"{100 * float(f):.0f} %: {100 * p:.0f} %" for f, p in self.caught.items())
        read = sorted(set(self.code) - set(self.trusted))
        own = [
            f"It contains code of its own ({', '.join(read)}), which ran without access to the "
            "results; metrics were computed from its samples. Only reading the code shows how it "
            "makes them."
        ] * bool(read)
        if self.trusted:
            own.append(f"Code that the verifier trusts: {', '.join(self.trusted)}.")
        return [
            f"{self.drawn} of {self.ranked} ranked rows, drawn at random (seed {self.seed}), and "
            f"{self.winners} of {self.cells} winners were run again. {self.summary}",
            "Chance that the random rows include a doctored one, by the share of ranked rows that "
            f"are doctored: {', '.join(caught)}.",
            *own,
            f"Sandbox: {'; '.join(self.closed) or 'none'}.",
        ]

    def to_json(self) -> str:
        """Write the outcome, and what follows from it, as strict JSON."""
        more = {"outcome": OUTCOME_FORMAT, "verdict": self.verdict, "caught": self.caught}
        return json.dumps({**more, **self.model_dump()}, indent=1, allow_nan=False) + "\n"


def what_is_wrong(problems: Sequence[str]) -> str:
    """Return the first problem without its place."""
    return visible((problems[0].partition(": ")[2] or problems[0])[:200])


def read_outcome(path: Path) -> Verification:
    """Read an outcome that ``Verification.to_json`` wrote.

    Raises:
        UsageError: The file is no outcome, has a newer format, or cannot be read.
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
        raise UsageError(
            f"{str(path)!r} is not an outcome of `scorebench verify`: {why}"
        ) from error


def chance(share: float, rows: int, drawn: int) -> float:
    """Return the probability that a draw without replacement includes a doctored row.

    Args:
        share: Share of doctored rows, rounded up to whole rows.
        rows: Number of rows.
        drawn: Number of rows that are drawn. Among many rows it is 1 − (1 − share)^drawn.
    """
    return 1 - math.comb(rows - math.ceil(share * rows), drawn) / math.comb(rows, drawn)
