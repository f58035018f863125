"""Entries of a public board: archives, their outcomes, and which entries can be compared."""

import hashlib
import io
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ..bench.plugins import registries
from ..datasets.errors import UsageError
from ..studies.cell import Cell
from ..studies.closed_in import ENTRY, ask
from ..studies.outcome import Verification, what_is_wrong
from ..studies.progress import standing
from ..studies.results import frame, read_csv, to_csv
from ..studies.rundir.read import STUDY, read_environments, read_rows
from ..studies.signing import Proof, read_proof
from ..studies.specs.check import used
from ..studies.specs.spec import StudySpec
from ..studies.stored_files import check_directory
from ..studies.trust import trusted_of
from ..studies.unread import plan_of
from ..studies.verify import code_of, name_of, open_entry
from . import text
from .pages.protocol import missing
from .ranking.evidence import Evidence, gather
from .ranking.searchers import of_first
from .source import Source

_SECONDS = 600.0


@dataclass(frozen=True)
class Submission:
    """An archive on a board.

    Attributes:
        name: Name of its file, without ``.zip``.
        content: The archive.
        study: Its study.
        results: Its rows, as in ``results.csv``.
        problems: Contradictions to its study, a sentence each.
        notes: Notes for the reader, a sentence each.
        record: The latest outcome of its verification, a signed one first; None if there is none.
    """

    name: str
    content: bytes = field(repr=False)
    study: StudySpec = field(repr=False)
    results: pd.DataFrame = field(repr=False)
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    record: Proof | None

    @property
    def outcome(self) -> Verification | None:
        """The outcome of its verification."""
        return None if self.record is None else self.record.outcome

    @property
    def refuted(self) -> bool:
        """Whether its verification failed."""
        return self.outcome is not None and self.outcome.verdict == "differs"

    @property
    def ranked(self) -> bool:
        """Whether no check failed."""
        return not (self.problems or self.refuted)

    @property
    def proof(self) -> str:
        """The result of its verification in a few words."""
        if self.problems and not self.refuted:
            return f"refused: {what_is_wrong(self.problems)}"
        if self.record is None:
            return "not verified"
        return self.record.outcome.headline + f", {self.record.by}" * (not self.record.signer)

    @property
    def sentence(self) -> str:
        """The result of its verification, with date and signer."""
        said = not self.problems or self.refuted
        return self.record.sentence if self.record and said else self.proof

    @property
    def methods(self) -> list[str]:
        """Labels of its methods."""
        return [method.label for method in self.study.methods]

    def keys(self, method: str) -> frozenset[str]:
        """Keys of the ranked rows of a method, and its code, which could give any key."""
        ranked = self.results[self.results["phase"] == "confirm"]
        names = [entry.name for entry in self.study.methods if entry.label == method]
        own = not set(names) <= set(registries()["method"].builtin)
        code = self.code.values() if own else ()
        return frozenset([*ranked.loc[ranked["method"] == method, "key"], *code])

    @cached_property
    def code(self) -> dict[str, str]:
        """Hashes of the code that it brings, by file or module."""
        return code_of(self.study)

    @cached_property
    def protocol(self) -> str:
        """Hash of all that entries of a board share: the study but for its methods and name.

        Code counts if it may decide more than how a method of the entry works.
        """
        study, known = self.study, registries()
        samplers = (*study.samplers, *study.evaluation.also)
        names = [("metric", study.evaluation.metric(name)) for name in study.evaluation.metrics]
        names += [("dataset", entry.name) for entry in study.datasets]
        names += [("sampler", entry.name) for entry in samplers]
        foreign = any(name not in known[kind].builtin for kind, name in names)
        free = {"name", "methods", "plugins", "limits", "plan"}
        shared = study.model_dump(mode="json", exclude=free)
        code = self.code if foreign or study.network.module is not None else {}
        return hashlib.sha256(json.dumps([shared, code], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Board:
    """Entries that can be compared, and their ranking.

    Attributes:
        name: Name of their study, with a number if another board has it.
        entries: The entries, those that are verified first.
        labels: Labels of methods on the board, by entry and label in its study. The same runs of
            several entries have one label, and count as those of the first.
    """

    name: str
    entries: tuple[Submission, ...]
    labels: dict[tuple[str, str], str]

    @property
    def study(self) -> StudySpec:
        """The study of the first entry: all have its protocol."""
        return self.entries[0].study

    @cached_property
    def evidence(self) -> Evidence | None:
        """The ranking of the entries that are ranked, with the references of the first."""
        tables: list[pd.DataFrame] = []
        planned: list[Cell] = []
        for entry in filter(lambda entry: entry.ranked, self.entries):
            rows = of_first(entry.results)
            shown = {label: self.labels[entry.name, label] for label in entry.methods}
            names = {own: label for own, label in shown.items() if self.owner(label) is entry}
            rows = rows[rows["method"].isin(names) | (rows["phase"] == "reference")]
            reference = rows["phase"] == "reference"
            rows = rows.assign(method=rows["method"].where(reference, rows["method"].map(names)))
            tables.append(rows[~reference] if tables else rows)
            planned += [
                Cell(method, dataset.label, sampler.label)
                for method in names.values()
                for dataset in self.study.datasets
                for sampler in self.study.samplers
            ]
        if not tables:
            return None
        together = pd.concat(tables, ignore_index=True)
        return gather(together, self.study.objective, planned, self.study.decide)

    def owner(self, label: str) -> Submission:
        """Return the entry of a method on the board."""
        name = next(name for (name, _), shown in self.labels.items() if shown == label)
        return next(entry for entry in self.entries if entry.name == name)


def boards(entries: Sequence[Submission]) -> list[Board]:
    """Put entries that differ in their methods only on one board; names are those of studies."""
    groups: dict[str, list[Submission]] = {}
    for entry in sorted(entries, key=lambda e: (not e.ranked, e.outcome is None, e.name)):
        groups.setdefault(entry.protocol, []).append(entry)
    found: list[Board] = []
    taken: Counter[str] = Counter()
    for group in sorted(groups.values(), key=lambda group: group[0].study.name):
        name = group[0].study.name
        taken[name] += 1
        number = f"-{taken[name]}" if taken[name] > 1 else ""
        found.append(Board(name + number, tuple(group), _labels(group)))
    return found


def _labels(entries: Sequence[Submission]) -> dict[tuple[str, str], str]:
    """Label the methods of entries; a label that several give to other runs names the entry."""
    owners: dict[tuple[str, frozenset[str]], str] = {}
    for entry in entries:
        for label in entry.methods:
            if entry.ranked:
                owners.setdefault((label, entry.keys(label)), entry.name)
    known = Counter(label for label, _ in owners)
    return {
        (entry.name, label): label
        if known[label] < 2
        else f"{label} ({owners.get((label, entry.keys(label)), entry.name)})"
        for entry in entries
        for label in entry.methods
    }


def load_entries(
    sources: Sequence[Path], proofs: Path, signers: Path | None = None
) -> list[Submission]:
    """Read run directories, archives, and folders of archives; none of their code is run.

    Args:
        sources: Their paths.
        proofs: Folder with outcomes of ``verify``, which need not exist.
        signers: List of who may sign them; see ``read_proof``.

    Raises:
        UsageError: One is no entry, or has untrusted code other than methods; two have one name;
            or a file in ``proofs`` is no outcome, or its signature is not valid.
    """
    records = [read_proof(path, signers) for path in proofs.glob("*.json")]
    # Of one day, the worse one stands.
    records.sort(key=lambda r: (bool(r.signer), r.outcome.date, r.outcome.verdict == "differs"))
    latest = {record.outcome.archive: record for record in records}
    entries: dict[str, Submission] = {}
    for path in [found for source in sources for found in _archives(source)]:
        entry = _load(path, latest)
        if entries.setdefault(entry.name, entry).content != entry.content:
            raise UsageError(f"two entries are called {entry.name!r}: rename {str(path)!r}")
    if not entries:
        raise UsageError(
            "no entries found: give run directories, archives, or folders with archives"
        )
    return list(entries.values())


def _archives(source: Path) -> list[Path]:
    inside = sorted(source.glob("*.zip")) if source.is_dir() else []
    return inside if inside and not (source / STUDY).exists() else [source]


def _load(path: Path, records: dict[str, Proof]) -> Submission:
    with tempfile.TemporaryDirectory(prefix="scorebench-") as temporary:
        folder = Path(temporary)
        content, study = open_entry(path, folder)
        machines = len(read_environments(folder / ENTRY))
        try:
            known = trusted_of(study.code)
            told, _ = ask("reports.boards:describe", folder, _SECONDS, known, {})
        except UsageError as error:
            raise UsageError(f"{str(path)!r} cannot be shown: {error}") from error
        results = read_csv(io.StringIO(told["results"]), dtype={"trial": "Int64"})
        results["failure"] = results["failure"].map(lambda v: v if isinstance(v, str) else "")
        problems, notes = told["problems"], told["notes"]
        if machines > 1:
            notes.append(f"Its rows come from {machines} machines or merged studies")
        if made := [method.label for method in study.methods if method.name == "points"]:
            notes.append(f"Cannot be replayed, points from a file: {text.listed(made)}")
        record = records.get(hashlib.sha256(content).hexdigest())
        return Submission(
            name_of(path), content, study, results, tuple(problems), tuple(notes), record
        )


def describe(entry: Path) -> dict[str, Any]:
    """Tabulate and check an unpacked entry, sandboxed and without its code."""
    plan = plan_of(entry)
    results = frame(standing(plan, read_rows(entry)), plan)
    source = Source(entry, plan.study, results, read_environments(entry))
    found = check_directory(entry, plan)
    unknown = dict.fromkeys(
        (k, name) for k, name in used(plan.study) if name not in plan.engine.names(k)
    )
    problems = [f"study: {kind} {name!r} is not installed" for kind, name in unknown]
    notes = [f"Not finished. {sentence}" for sentence in missing(source)]
    notes += [f"Not checked: {sentence}" for sentence in found.open]
    notes += source.notes_on_data
    return {"results": to_csv(results), "problems": problems + found.problems, "notes": notes}
