"""A replay as a certificate: what came back, what did not, and what of the environment explains it.

A certificate is plain data, which ``reports/pages/certificate.py`` shows; equal replays on
equal machines give equal certificates, since it holds no date and no name of a machine.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .engine import Engine
from .replay import VERDICTS, Replayed, opened, replayed
from .rundir.changes import Change
from .rundir.read import read_study

CERTIFICATE = 1
"""The format of certificates."""


class Certificate(NamedTuple):
    """What a replay of some runs shows.

    Attributes:
        study: Name of the study.
        archive: SHA-256 of the archive that was replayed; None if it was a run directory.
        runs: The runs with their replays.
    """

    study: str
    archive: str | None
    runs: tuple[Replayed, ...]

    @property
    def verdict(self) -> str:
        """The worst verdict on any run."""
        return max((run.verdict for run in self.runs), key=VERDICTS.index)

    @property
    def counts(self) -> dict[str, int]:
        """Numbers by verdict."""
        all_of_them = [number.verdict for run in self.runs for number in run.numbers]
        return {verdict: all_of_them.count(verdict) for verdict in VERDICTS}

    @property
    def changed(self) -> list[Change]:
        """Everything that differs from how some run was made, once each."""
        found: list[Change] = []
        for run in self.runs:
            found += [change for change in run.changed if change not in found]
        return found

    @property
    def summary(self) -> str:
        """How much came back, in one sentence."""
        numbers = sum(self.counts.values())
        runs = f"{len(self.runs)} run{'s' * (len(self.runs) != 1)}"
        said = [f"{count} {verdict}" for verdict, count in self.counts.items() if count]
        if self.verdict == "identical":
            return f"All {numbers} numbers of {runs} are identical to the bit."
        return f"Of {numbers} numbers of {runs}: {', '.join(said)}."

    @property
    def explanation(self) -> str:
        """Which part of the environment or the code explains it, in one sentence or two."""
        moved = [run for run in self.runs if run.verdict != "identical"]
        if not moved:
            causes = _causes(self.runs)
            return f"The same numbers came out although {_and(causes)} differ." if causes else ""
        unexplained = [run for run in moved if not _causes([run])]
        said = []
        code = [cause for cause in _causes(moved) if _is_code(cause)]
        machine = [cause for cause in _causes(moved) if not _is_code(cause)]
        if code:
            said.append(
                f"Other numbers are to be expected, since this is not as it was: {_and(code)}."
            )
        if machine and not code:
            said.append(f"What is not as it was, and can explain it: {_and(machine)}.")
        elif machine:
            said.append(f"{_and(machine)} changed too.")
        if unexplained:
            names = _and(list(dict.fromkeys(run.row.slot.cell.method for run in unexplained)))
            said.append(f"Nothing that is recorded explains the differences of {names}.")
        return " ".join(said)

    def to_json(self) -> str:
        """The whole certificate as strict JSON."""
        runs = [_run(run) for run in self.runs]
        data = {
            "certificate": CERTIFICATE, "study": self.study, "archive": self.archive,
            "verdict": self.verdict, "counts": self.counts, "summary": self.summary,
            "explanation": self.explanation,
            "changed": [change._asdict() for change in self.changed], "runs": runs,
            "before": _once([dict(run.before) for run in self.runs]),
            "now": _once([dict(run.now) for run in self.runs]),
        }  # fmt: skip
        return json.dumps(data, indent=1, allow_nan=False) + "\n"


def certify(
    source: str | Path,
    method: str | None = None,
    dataset: str | None = None,
    sampler: str | None = None,
    *,
    replicates: bool = False,
    workers: int = 1,
    engine: Engine | None = None,
    trust: bool = False,
) -> Certificate:
    """Replay the best runs of a run directory or an archive; arguments are those of ``replay``."""
    path = Path(source)
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    with opened(path, trust=trust) as folder:
        runs = replayed(
            folder, method, dataset, sampler, replicates=replicates, workers=workers, engine=engine
        )
        return Certificate(read_study(folder).name, digest, tuple(runs))


def _causes(runs: Sequence[Replayed]) -> list[str]:
    """Parts of the code and the environment that changed and that numbers can come from."""
    changed = (change for run in runs for change in run.changed)
    return list(dict.fromkeys(change.cause for change in changed if change.cause))


def _is_code(cause: str) -> bool:
    return cause.startswith(("code ", "settings "))


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _run(run: Replayed) -> dict[str, Any]:
    slot = run.row.slot
    numbers = [
        {**number._asdict(), "stored": _plain(number.stored), "replayed": _plain(number.replayed)}
        for number in run.numbers
    ]
    return {
        **slot.cell._asdict(), "trial": slot.trial, "replicate": slot.replicate,
        "key": run.row.result.key, "state": {"stored": run.row.result.state,
        "replayed": run.again.state}, "verdict": run.verdict, "numbers": numbers,
    }  # fmt: skip


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _once(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for record in records:
        if record not in found:
            found.append(record)
    return found
