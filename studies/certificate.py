"""A certificate of a replay: what was reproduced, what was not, and which changes explain it.

A certificate is plain data, which ``reports/pages/certificate.py`` shows. It holds no date and no
machine name, so equal replays on equal machines give equal certificates.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..bench.spec import Phase
from .archive import digest_of
from .comparison import VERDICTS, Replayed
from .engine import Engine
from .replay import Replay, opened, replayed
from .rundir.changes import Change
from .rundir.read import read_study
from .rundir.versions import CERTIFICATE_FORMAT

T = TypeVar("T")


class Certificate(NamedTuple):
    """The results of a replay.

    Attributes:
        study: Name of the study.
        archive: SHA-256 of the replayed archive; None for a run directory.
        replay: The replay.
    """

    study: str
    archive: str | None
    replay: Replay

    @property
    def runs(self) -> tuple[Replayed, ...]:
        """The runs with their replays."""
        return self.replay.runs

    @property
    def verdict(self) -> str:
        """The worst verdict of all runs; ``differs`` if anything does not fit the study."""
        verdicts = [run.verdict for run in self.runs] + [VERDICTS[-1]] * bool(self.replay.problems)
        return max(verdicts, key=VERDICTS.index)

    @property
    def counts(self) -> dict[str, int]:
        """The number of values by verdict."""
        verdicts = [number.verdict for run in self.runs for number in run.numbers]
        return {verdict: verdicts.count(verdict) for verdict in VERDICTS}

    @property
    def changed(self) -> list[Change]:
        """All changes since the runs were made, without repetitions."""
        return _distinct([change for run in self.runs for change in run.changed])

    @property
    def summary(self) -> str:
        """A sentence on how much was reproduced."""
        numbers = sum(self.counts.values())
        runs = f"{len(self.runs)} run{'s' * (len(self.runs) != 1)}"
        if self.counts["identical"] == numbers:
            return f"All {numbers} numbers of {runs} are bitwise identical."
        counts = [f"{count} {verdict}" for verdict, count in self.counts.items() if count]
        return f"Of {numbers} numbers of {runs}: {', '.join(counts)}."

    @property
    def coverage(self) -> str:
        """Sentences on the share of rows that were run again, and on what is not proved."""
        total, again = self.replay.rows, self.replay.replayed
        names: dict[Phase, str] = {
            "confirm": "ranked", "reference": "reference", "search": "search"
        }  # fmt: skip
        parts = [f"{again[p]} of {total[p]} {name}" for p, name in names.items() if total[p]]
        share = sum(again.values()) / sum(total.values())
        sentences = [f"Run again: {_and(parts)} rows ({math.floor(100 * share)} %)."]
        missing = [name for phase, name in names.items() if again[phase] < total[phase]]
        if missing:
            search = ", so not the choice of winners" if "search" in missing else ""
            sentences.append(
                f"Not proved: the {_and(missing)} rows that were not run again{search} "
                "(--rows 1 runs all again); running times."
            )
        else:
            sentences.append("Not proved: running times.")
        return " ".join(sentences)

    @property
    def explanation(self) -> str:
        """One or two sentences on which change of environment or code explains differences."""
        changed_runs = [run for run in self.runs if run.verdict != "identical"]
        if not changed_runs:
            causes = _causes(self.runs)
            return f"The numbers are the same although {_and(causes)} changed." if causes else ""
        unexplained = [run for run in changed_runs if not _causes([run])]
        code = [cause for cause in _causes(changed_runs) if _is_code(cause)]
        machine = [cause for cause in _causes(changed_runs) if not _is_code(cause)]
        sentences = []
        if code:
            sentences.append(f"Differences are expected, because this changed: {_and(code)}.")
        if machine and not code:
            sentences.append(f"This changed and can explain differences: {_and(machine)}.")
        elif machine:
            sentences.append(f"{_and(machine)} changed too.")
        if unexplained:
            names = _and(list(dict.fromkeys(run.row.slot.cell.method for run in unexplained)))
            sentences.append(f"No recorded change explains the differences of {names}.")
        return " ".join(sentences)

    def to_json(self) -> str:
        """Write the whole certificate as strict JSON."""
        runs = [_run(run) for run in self.runs]
        data = {
            "certificate": CERTIFICATE_FORMAT,
            "study": self.study,
            "archive": self.archive,
            "verdict": self.verdict,
            "counts": self.counts,
            "summary": self.summary,
            "explanation": self.explanation,
            "coverage": self.coverage,
            "rows": {"stored": dict(self.replay.rows), "replayed": self.replay.replayed},
            "problems": list(self.replay.problems),
            "unchecked": list(self.replay.open),
            "changed": [change._asdict() for change in self.changed],
            "runs": runs,
            "before": _distinct([dict(run.before) for run in self.runs]),
            "now": _distinct([dict(run.now) for run in self.runs]),
        }
        return json.dumps(data, indent=1, allow_nan=False) + "\n"


def certify(
    source: str | Path,
    method: str | None = None,
    dataset: str | None = None,
    sampler: str | None = None,
    *,
    rows: float | None = None,
    workers: int = 1,
    engine: Engine | None = None,
    trust: bool = False,
) -> Certificate:
    """Replay rows of a run directory or an archive; takes the arguments of ``replay``.

    Rows that do not fit the study are part of the certificate.
    """
    path = Path(source)
    digest = digest_of(path) if path.is_file() else None
    with opened(path, trust=trust) as folder:
        found = replayed(folder, (method, dataset, sampler), rows, workers, engine)
        return Certificate(read_study(folder).name, digest, found)


def _causes(runs: Sequence[Replayed]) -> list[str]:
    """List the changed parts of code and environment that can affect results."""
    changed = (change for run in runs for change in run.changed)
    return list(dict.fromkeys(change.cause for change in changed if change.cause))


def _is_code(cause: str) -> bool:
    return cause.startswith(("code ", "settings "))


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _run(run: Replayed) -> dict[str, object]:
    slot = run.row.slot
    numbers = [
        {**number._asdict(), "stored": _plain(number.stored), "replayed": _plain(number.replayed)}
        for number in run.numbers
    ]
    return {
        **slot.cell.named,
        "trial": slot.trial,
        "replicate": slot.replicate,
        "key": run.row.result.key,
        "state": {"stored": run.row.result.state, "replayed": run.again.state},
        "verdict": run.verdict,
        "numbers": numbers,
    }


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _distinct(items: Sequence[T]) -> list[T]:
    """Drop repetitions; items need not be hashable."""
    return [item for i, item in enumerate(items) if item not in items[:i]]
